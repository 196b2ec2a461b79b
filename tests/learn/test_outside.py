"""Every way of learning works on environments of others: same seed, same result; stopped and resumed."""

import dataclasses
import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from outsiders import CartFamily
from second import make_interpreter

from metarl.adapt.evaluate import evaluate_adaptation
from metarl.adapt.protocol import Protocol
from metarl.meta.maml.config import MamlConfig
from metarl.meta.maml.maml import MamlTrainer
from metarl.meta.pearl.config import PearlConfig
from metarl.meta.pearl.trainer import PearlTrainer
from metarl.meta.rl2.config import Rl2Config
from metarl.meta.rl2.trainer import Rl2Trainer
from metarl.rl.dagger import DaggerConfig, DaggerTrainer
from metarl.rl.ppo import PpoConfig, PpoTrainer
from metarl.runs.fingerprint import fingerprint

TRAINERS = {
    "ppo": lambda f: PpoTrainer(f, PpoConfig(num_worlds=6, minibatch=60, epochs=2)),
    "dagger": lambda f: DaggerTrainer(f, DaggerConfig(num_worlds=6)),
    "maml": lambda f: MamlTrainer(f, MamlConfig(num_tasks=2, episodes=3)),
    "rl2": lambda f: Rl2Trainer(f, Rl2Config(num_tasks=4, episodes=2)),
    "pearl": lambda f: PearlTrainer(f, PearlConfig(num_tasks=2, episodes=2)),
}


class Cart(CartFamily):
    """Carts here, for a short while."""

    horizon = 12


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory) -> type[CartFamily]:
    """Carts in a second interpreter."""

    class Elsewhere(Cart):
        interpreter = make_interpreter(tmp_path_factory.mktemp("second") / "venv")

    return Elsewhere


@pytest.mark.parametrize("method", TRAINERS)
def test_resumed_equals_never_stopped_wherever_it_runs(method, elsewhere):
    make = TRAINERS[method]
    here, parts = make(Cart()), make(elsewhere())
    for _ in range(3):
        here.iterate()
    parts.iterate()
    tensors, meta = parts.checkpoint()
    resumed = make(elsewhere())
    resumed.restore(SimpleNamespace(tensors=tensors, meta=meta))
    resumed.iterate()
    resumed.iterate()
    mine, other = here.checkpoint()[0], resumed.checkpoint()[0]
    assert mine.keys() == other.keys()
    assert [name for name in mine if not torch.equal(mine[name], other[name])] == []


def test_an_iteration_goes_on_though_a_worker_is_killed(elsewhere):
    trainer = TRAINERS["ppo"](elsewhere())
    trainer.iterate()
    os.kill(trainer.env.worlds.benches.pids[0], signal.SIGKILL)
    told = trainer.iterate()
    assert 0 < told["num_diverged"] <= 6
    assert trainer.iterate()["num_diverged"] == 0


def test_policies_adapt_and_are_judged_alike(elsewhere):
    trainer = TRAINERS["ppo"](Cart())
    trainer.iterate()
    tensors, meta = trainer.checkpoint()
    checkpoint = SimpleNamespace(tensors=tensors, meta=meta)
    protocol = Protocol(num_tasks=2, episodes=2, updates=1, eval_episodes=2, seed=1000)
    for strategy in ("fine-tune", "strategy-optimization", "scratch"):
        found = [
            evaluate_adaptation(family(), strategy, checkpoint, protocol)
            for family in (Cart, elsewhere)
        ]
        mine, other = (dataclasses.asdict(each) for each in found)
        assert np.array_equal(mine["returns"], other["returns"])
        assert np.array_equal(mine["success"], other["success"])


def test_a_fingerprint_is_the_same_wherever_it_runs(elsewhere):
    mine, other = fingerprint(Cart()), fingerprint(elsewhere())
    assert mine["probe"] == other["probe"]
    assert mine["blocks"] == {"observation": 4, "task": 2}
