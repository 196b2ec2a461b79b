"""Imitation: it learns what the expert knows, resumes bit for bit, and starts MAML."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from alike import beyond
from toy import Reach

from metarl.errors import ConfigError, TrainingError
from metarl.family import TaskFamily
from metarl.learn.train import train as by_name
from metarl.meta.maml.config import MamlConfig
from metarl.meta.maml.maml import MamlTrainer
from metarl.rl.dagger import DaggerConfig, DaggerTrainer
from metarl.rl.lesson import expert_share
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.policies import load_policy, read_checkpoint, sees_task
from metarl.runs.trained import part

TINY = DaggerConfig(num_worlds=32, minibatch=256, epochs=2, iterations=4)


class Fragile(Reach):
    """Episodes end early, and not together."""

    def failure(self, worlds, task):
        return np.abs(worlds.qpos).max(axis=1) > 0.12


class NoExpert(Reach):
    """Nobody knows how to solve it."""

    expert = TaskFamily.expert


def test_it_learns_what_the_expert_knows():
    trainer = DaggerTrainer(Reach(), DaggerConfig(num_worlds=64, iterations=12, log_std=-2.0))
    by_expert = trainer.iterate()
    by_nobody = trainer.iterate()  # the policy has had one lesson
    for _ in range(10):
        last = trainer.iterate()
    assert by_expert["success"] > 0.9
    assert last["success"] > 0.9
    assert last["loss"] < 0.5 * by_nobody["loss"]


def test_expert_and_learner_take_turns():
    config = dataclasses.replace(TINY, mixing=0.75, segment=5)
    trainer = DaggerTrainer(Reach(), config)
    shares = []
    for _ in range(4):
        shares.append(expert_share(config, trainer.iteration, trainer.seconds))
        trainer.iterate()
    assert shares == pytest.approx([1.0, 2 / 3, 1 / 3, 0.0])

    drivers = []
    trainer = DaggerTrainer(Reach(), dataclasses.replace(config, expert_iterations=0))
    trainer.iteration, step = 2, trainer.worlds.step

    def watched(action):
        drivers.append((action == np.clip(trainer.worlds.expert(), -1, 1)).all(axis=1))
        return step(action)

    trainer.worlds.step = watched
    trainer.iterate()
    by_expert = np.stack(drivers)  # (T, N)
    assert 0.15 < by_expert.mean() < 0.5
    changes = np.flatnonzero((by_expert[1:] != by_expert[:-1]).any(axis=1)) + 1
    assert len(changes) > 0
    assert (changes % 5 == 0).all()


@pytest.mark.parametrize("mixing", [0.0, 0.9])
@pytest.mark.parametrize("family", [Reach, Fragile])
def test_resumed_equals_never_stopped(family: type[Reach], mixing: float):
    config = dataclasses.replace(TINY, mixing=mixing, segment=3)
    whole, parts = DaggerTrainer(family(), config), DaggerTrainer(family(), config)
    for _ in range(4):
        whole.iterate()
    for _ in range(2):
        parts.iterate()
    tensors, meta = parts.checkpoint()
    resumed = DaggerTrainer(family(), config)
    resumed.restore(Checkpoint({n: t.clone() for n, t in tensors.items()}, meta))
    torch.manual_seed(99)  # whatever the program does meanwhile must not matter
    for _ in range(2):
        resumed.iterate()
    for name, value in whole.policy.state_dict().items():
        assert torch.equal(value, resumed.policy.state_dict()[name]), name
    assert resumed.num_steps == whole.num_steps


def test_other_noise_keeps_the_first_weights_alone():
    one, other, again = (
        DaggerTrainer(Reach(), dataclasses.replace(TINY, noise=noise)) for noise in (0, 1, 1)
    )
    first = [dict(trainer.policy.state_dict()) for trainer in (one, other)]
    assert all(torch.equal(tensor, first[1][name]) for name, tensor in first[0].items())
    starts = [trainer.worlds.reset() for trainer in (one, other, again)]
    assert not np.array_equal(*starts[:2])
    np.testing.assert_array_equal(*starts[1:])
    draws = [torch.rand(4, generator=trainer.generator) for trainer in (one, other, again)]
    assert not torch.equal(*draws[:2])
    assert torch.equal(*draws[1:])


def test_only_first_episodes_count():
    trainer = DaggerTrainer(Fragile(), TINY)
    trainer.iterate()
    assert 0 < trainer.num_steps < TINY.num_worlds * Fragile.horizon


def test_a_family_without_an_expert_is_refused():
    with pytest.raises(ConfigError, match="no expert"):
        DaggerTrainer(NoExpert(), TINY)


def test_an_update_that_is_not_finite_is_refused():
    trainer = DaggerTrainer(Reach(), beyond(TINY, learning_rate=1e37))
    before = {n: v.clone() for n, v in trainer.policy.state_dict().items()}
    with pytest.raises(TrainingError, match="learning_rate"):
        trainer.iterate()
    for name, value in before.items():
        assert torch.equal(trainer.policy.state_dict()[name], value), name


@pytest.mark.parametrize(("field", "value"), [("epochs", 0), ("anneal", 2.0), ("seed", -1)])
def test_values_out_of_range_are_refused(field: str, value: float):
    with pytest.raises(ConfigError, match=field):
        DaggerConfig(**{field: value})


def test_what_it_trained_starts_maml(tmp_path: Path):
    made = by_name("toy/reach", "dagger", iterations=1, out=tmp_path / "run", num_worlds=8)
    found = read_checkpoint(made)
    assert sees_task(found)
    assert not load_policy(found).context.any()
    policy = part("policy", found.tensors)
    maml = MamlTrainer(Reach(), MamlConfig(num_tasks=2, episodes=2, log_std=None), initial=policy)
    for name, value in maml.policy.state_dict().items():
        assert torch.equal(value, policy[name]), name
