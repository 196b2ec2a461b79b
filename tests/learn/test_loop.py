"""The loop around a trainer: what it shows, what it keeps, and what it refuses."""

from __future__ import annotations

import contextlib
import dataclasses
import io

import pytest
import torch
from rich.console import Console
from toy import Reach

from metarl.errors import ConfigError, TrainingError
from metarl.learn import loop
from metarl.meta.maml.config import MamlConfig
from metarl.meta.maml.maml import MamlTrainer
from metarl.methods import get_training
from metarl.rl.ppo import PpoConfig, PpoTrainer
from metarl.runs.metrics import read_metrics
from metarl.runs.run import latest_checkpoint

TINY = MamlConfig(num_tasks=2, episodes=2, inner_updates=1, iterations=3, hidden=(8,))


def make(config: MamlConfig = TINY) -> MamlTrainer:
    return MamlTrainer(Reach(), config, num_threads=1)


def test_where_no_terminal_is_a_line_tells_how_far_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "TELL_EVERY_S", 0.0)
    told = io.StringIO()
    loop.train(make(), tmp_path, console=Console(file=told))
    lines = [line for line in told.getvalue().splitlines() if line.startswith("iteration")]
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]
    assert all("k steps/s" in line and "s left" in line for line in lines)


def test_return_stands_beside_success_where_nobody_succeeds():
    before = {"success_before": 0.0, "success_after": 0.0, "steps_per_s": 1500.0}
    assert loop.describe({**before, "return_before": -3.0, "return_after": 2.5}) == (
        "success 0% -> 0%  return -3 -> 2.5  1.5k steps/s"
    )
    good = {**before, "success_after": 0.5, "return_before": -3.0, "return_after": 2.5}
    assert "return" not in loop.describe(good)
    assert "2 diverged" in loop.describe({**good, "num_diverged": 2})


def test_an_iteration_that_leaves_numbers_that_are_not_finite_is_refused(tmp_path):
    trainer = make()
    iterate = trainer.iterate

    def spoil():
        metrics = iterate()
        if trainer.iteration == 3:
            for state in trainer.optimizer.state.values():
                state["exp_avg"].fill_(torch.nan)
        return metrics

    trainer.iterate = spoil
    with pytest.raises(TrainingError, match="not finite after this iteration: state/optimizer"):
        loop.train(trainer, tmp_path)
    step, kept = latest_checkpoint(tmp_path)
    assert step == 2
    assert all(t.isfinite().all() for t in kept.tensors.values() if t.is_floating_point())
    assert [row["step"] for row in read_metrics(tmp_path)] == [1, 2]
    again = make()
    loop.train(again, tmp_path, resume=True)  # nothing is lost, nothing is spoilt
    assert again.iteration == 3


@pytest.mark.parametrize("rate", [1e20, 1e38, float("inf"), float("nan"), 0.0, -1.0])
def test_a_rate_that_is_none_is_refused_before_any_work(rate):
    with pytest.raises(ConfigError, match="outer_rate is"):
        MamlConfig(outer_rate=rate)


@pytest.mark.parametrize(
    ("method", "setting"),
    [("maml", "outer_rate"), ("ppo", "learning_rate"), ("dagger", "learning_rate"),
     ("rl2", "memory_rate"), ("pearl", "encoder_rate"), ("meta-critic", "critic_rate")],
)  # fmt: skip
def test_the_largest_rate_ruins_nothing_but_the_run(tmp_path, method, setting):
    """It trains, or says what is wrong; what it leaves is finite."""
    training = get_training(method)
    small = {"num_worlds": 4, "num_tasks": 2, "episodes": 2, "hidden": (8,), "iterations": 3}
    own = {f.name for f in dataclasses.fields(training.config)}
    config = training.config(**{n: v for n, v in small.items() if n in own}, **{setting: 1e9})
    trainer = training.trainer(Reach(), config, num_threads=1)
    with contextlib.suppress(TrainingError):
        loop.train(trainer, tmp_path)
    kept = latest_checkpoint(tmp_path)[1].tensors.values()
    assert all(t.isfinite().all() for t in kept if t.is_floating_point())


def test_ppo_notes_its_losses_and_reward_terms():
    config = PpoConfig(num_worlds=4, minibatch=64, hidden=(8,), iterations=1)
    metrics = PpoTrainer(Reach(), config, num_threads=1).iterate()
    noted = {"loss/policy", "loss/value", "loss/entropy", "kl", "clip_fraction", "num_diverged"}
    assert noted <= set(metrics)
    terms = sum(value for name, value in metrics.items() if name.startswith("term/"))
    assert terms * Reach.horizon == pytest.approx(metrics["return"], rel=1e-3)
