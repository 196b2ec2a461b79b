"""Pretraining: it learns, resumes bit for bit, and shares its networks with MAML."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from toy import Reach

from metarl.errors import ConfigError
from metarl.meta.maml import MamlConfig, MamlTrainer
from metarl.rl.ppo import PpoConfig, PpoTrainer
from metarl.runs import latest_checkpoint
from metarl.training_loop import train

TINY = PpoConfig(num_worlds=32, minibatch=640, epochs=2, iterations=4)


def test_ppo_learns_to_reach():
    trainer = PpoTrainer(Reach(), PpoConfig(num_worlds=128, minibatch=1280, gamma=0.9))
    first = trainer.iterate()
    for _ in range(30):
        last = trainer.iterate()
    assert first["success"] < 0.3
    assert last["return"] > first["return"] + 3.0


def test_resumed_equals_never_stopped():
    whole, parts = PpoTrainer(Reach(), TINY), PpoTrainer(Reach(), TINY)
    for _ in range(4):
        whole.iterate()
    for _ in range(2):
        parts.iterate()
    tensors, meta = parts.checkpoint()
    resumed = PpoTrainer(Reach(), TINY)
    torch.manual_seed(99)  # whatever the program does meanwhile must not matter
    np.random.seed(99)  # noqa: NPY002
    resumed.restore(_Saved(tensors, meta))
    for _ in range(2):
        resumed.iterate()
    for name, value in whole.networks.state_dict().items():
        assert torch.equal(value, resumed.networks.state_dict()[name]), name
    assert resumed.num_steps == whole.num_steps


class _Saved:
    def __init__(self, tensors, meta):
        self.tensors, self.meta = {n: t.clone() for n, t in tensors.items()}, meta


def test_training_leaves_the_global_generators_alone():
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    expected = torch.rand(3), np.random.rand(3)  # noqa: NPY002
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    PpoTrainer(Reach(), TINY).iterate()
    assert torch.equal(torch.rand(3), expected[0])
    assert np.array_equal(np.random.rand(3), expected[1])  # noqa: NPY002


def test_what_ppo_trained_starts_maml_and_holds_no_pickle(tmp_path: Path):
    train(PpoTrainer(Reach(), TINY), tmp_path / "run")
    files = [p for p in (tmp_path / "run").rglob("*") if p.is_file()]
    assert not any(zipfile.is_zipfile(p) for p in files)
    found = latest_checkpoint(tmp_path / "run")
    assert found is not None
    policy = {
        n.removeprefix("policy."): t for n, t in found[1].tensors.items() if n.startswith("policy.")
    }
    maml = MamlTrainer(Reach(), MamlConfig(num_tasks=2, episodes=2, log_std=None), initial=policy)
    for name, value in maml.policy.state_dict().items():
        assert torch.equal(value, policy[name]), name


def test_the_context_stays_zero():
    trainer = PpoTrainer(Reach(), TINY)
    trainer.iterate()
    assert not trainer.policy.context.any()


@pytest.mark.parametrize(("field", "value"), [("epochs", 0), ("clip", -1.0), ("gamma", 1.5)])
def test_values_out_of_range_are_refused(field: str, value: float):
    with pytest.raises(ConfigError, match=field):
        PpoConfig(**{field: value})
