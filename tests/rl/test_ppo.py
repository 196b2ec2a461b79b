"""Pretraining: it learns, resumes bit for bit, and shares its networks with MAML."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from alike import beyond
from toy import Reach

from metarl.errors import ConfigError, TrainingError
from metarl.learn.loop import train
from metarl.learn.train import train as by_name
from metarl.meta.maml.config import MamlConfig
from metarl.meta.maml.maml import MamlTrainer
from metarl.rl.outcomes import Outcomes
from metarl.rl.ppo import PpoConfig, PpoTrainer
from metarl.runs.policies import load_policy, read_checkpoint
from metarl.runs.run import latest_checkpoint

TINY = PpoConfig(num_worlds=32, minibatch=640, epochs=2, iterations=4)


class Fragile(Reach):
    """Episodes end early, and not together."""

    def failure(self, worlds, task):
        return np.abs(worlds.qpos).max(axis=1) > 0.12


def test_ppo_learns_to_reach():
    trainer = PpoTrainer(Reach(), PpoConfig(num_worlds=128, minibatch=1280, gamma=0.9))
    first = trainer.iterate()
    for _ in range(30):
        last = trainer.iterate()
    assert first["success"] < 0.1
    assert last["success"] > 0.4
    assert last["return"] > first["return"] + 3.0


@pytest.mark.parametrize("family", [Reach, Fragile])
def test_resumed_equals_never_stopped(family: type[Reach]):
    whole, parts = PpoTrainer(family(), TINY), PpoTrainer(family(), TINY)
    for _ in range(4):
        whole.iterate()
    for _ in range(2):
        parts.iterate()
    tensors, meta = parts.checkpoint()
    resumed = PpoTrainer(family(), TINY)
    torch.manual_seed(99)  # whatever the program does meanwhile must not matter
    np.random.seed(99)  # noqa: NPY002
    resumed.restore(_Saved(tensors, meta))
    for _ in range(2):
        resumed.iterate()
    for name, value in whole.networks.state_dict().items():
        assert torch.equal(value, resumed.networks.state_dict()[name]), name
    assert resumed.num_steps == whole.num_steps
    if family is Fragile:  # else this would only repeat the other case
        assert not next_starts(parts).all()


def next_starts(trainer: PpoTrainer) -> np.ndarray:
    """Which worlds start an episode next."""
    starts = trainer.model._last_episode_starts
    assert starts is not None
    return starts


def test_values_past_the_time_limit_are_what_sb3_adds_one_by_one(monkeypatch):
    ours = PpoTrainer(Fragile(), TINY)
    ours.iterate()
    monkeypatch.setattr(Outcomes, "_bootstrap", lambda self: None)
    sb3s = PpoTrainer(Fragile(), TINY)
    sb3s.iterate()
    theirs = sb3s.model.rollout_buffer.rewards
    np.testing.assert_allclose(ours.model.rollout_buffer.rewards, theirs, atol=1e-5)


def test_scaled_rewards_teach_and_returns_stay_what_they_were():
    plain, scaled = (
        PpoTrainer(Fragile(), dataclasses.replace(TINY, reward_scale=s)) for s in (1.0, 4.0)
    )
    metrics = [trainer.iterate() for trainer in (plain, scaled)]
    assert metrics[0]["return"] == metrics[1]["return"]
    rewards, fours = (trainer.model.rollout_buffer.rewards for trainer in (plain, scaled))
    cut_off = rewards * 4.0 != fours  # values of what follows are added, of the same critic
    assert 0 < cut_off.sum() < cut_off.size / 2


def test_a_checkpoint_alone_says_what_made_it_and_what_it_reached(tmp_path: Path):
    for resume in (False, True):  # a finished run resumes to nothing, and forgets nothing
        train(PpoTrainer(Reach(), TINY), tmp_path / "run", command="metarl train", resume=resume)
        meta = read_checkpoint(tmp_path / "run").meta
        assert meta["made-with"]["command"] == "metarl train"
        assert (meta["method"], meta["family"]) == ("ppo", "toy/reach")
        assert (meta["steps"], meta["config"]["seed"]) == (4 * 32 * Reach.horizon, 0)
        assert meta["metrics"]["num_steps"] == meta["steps"]
        result = json.loads((tmp_path / "run" / "result.json").read_text())
        assert result["success"] == meta["metrics"]["success"]


def test_an_update_that_is_not_finite_is_refused(tmp_path: Path):
    trainer = PpoTrainer(Reach(), beyond(TINY, learning_rate=1e30))
    before = {n: v.clone() for n, v in trainer.networks.state_dict().items()}
    with pytest.raises(TrainingError, match="learning_rate"):
        train(trainer, tmp_path / "run")
    found = latest_checkpoint(tmp_path / "run")
    assert found is not None
    for name, value in before.items():
        saved = name.replace("actor.", "policy.", 1)
        assert torch.equal(found[1].tensors[saved], value), name


def test_a_task_inferred_before_is_forgotten():
    source = PpoTrainer(Reach(), TINY).policy.state_dict()
    adapted = {**source, "context": torch.ones_like(source["context"])}
    trainer = PpoTrainer(Reach(), dataclasses.replace(TINY, seed=3), initial=adapted)
    assert not trainer.policy.context.any()
    assert torch.equal(trainer.policy.head.weight, source["head.weight"])


@pytest.mark.parametrize("method", ["ppo", "maml"])
def test_a_start_of_other_widths_is_taken_whole(tmp_path: Path, method: str):
    small = {"num_worlds": 8, "minibatch": 64, "hidden": (8,)}
    budget = {"num_worlds": 8} if method == "ppo" else {"num_tasks": 2, "episodes": 2}
    source = by_name("toy/reach", "ppo", iterations=1, out=tmp_path / "a", **small)
    made = by_name("toy/reach", method, iterations=1, out=tmp_path / "b", start=source, **budget)
    assert load_policy(read_checkpoint(made)).num_features == 8


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


def test_every_iteration_draws_new_numbers():
    trainer = PpoTrainer(Reach(), TINY)
    before = dict(trainer.random_state)
    trainer.iterate()
    assert not torch.equal(trainer.random_state["torch"], before["torch"])
    assert not np.array_equal(trainer.random_state["numpy"][1], before["numpy"][1])


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
