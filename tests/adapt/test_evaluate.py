"""The adaptation protocol: exact budgets, fresh episodes, nothing chosen."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from sliders import Slide
from toy import Reach

from metarl.adapt.evaluate import evaluate_adaptation, measure_ceiling, settings_of
from metarl.adapt.protocol import Protocol
from metarl.adapt.results import AdaptationResult, summarise
from metarl.errors import CheckpointError, ConfigError, UnknownNameError
from metarl.meta.maml.config import InnerLoop, MamlConfig
from metarl.meta.maml.maml import MamlTrainer
from metarl.methods import strategy_names
from metarl.runs.checkpoint import Checkpoint
from metarl.transfer.config import FineTuning

TINY = Protocol(num_tasks=3, episodes=2, updates=2, eval_episodes=4)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    trainer = MamlTrainer(Reach(), MamlConfig(num_tasks=2, episodes=2, inner_updates=2))
    trainer.iterate()
    return Checkpoint(*trainer.checkpoint())


@pytest.mark.parametrize("method", [*strategy_names(), "maml"])
def test_every_method_spends_exactly_the_stated_budget(method: str, checkpoint: Checkpoint):
    result = evaluate_adaptation(Reach(), method, checkpoint, TINY)
    assert result.success.shape == (3, 3)  # (U+1, K)
    assert result.steps == 2 * 2 * 3 * Reach.horizon  # U x B x K x T
    assert np.isfinite(result.returns).all()


def test_same_seed_same_result(checkpoint: Checkpoint):
    one, two = (evaluate_adaptation(Reach(), "maml", checkpoint, TINY) for _ in range(2))
    assert np.array_equal(one.returns, two.returns)


def test_the_callers_threads_change_no_digit(checkpoint: Checkpoint):
    """Two threads add up otherwise than one, and a long episode makes much of little."""
    met = set()

    class Counting(Reach):
        def observe(self, worlds, task):
            met.add(torch.get_num_threads())
            return super().observe(worlds, task)

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        evaluate_adaptation(Counting(), "maml", checkpoint, TINY)
        measure_ceiling(Counting(), checkpoint, TINY, task_visible=True)
    finally:
        torch.set_num_threads(before)
    assert met == {1}


def test_parameters_after_each_update_are_kept(checkpoint: Checkpoint):
    keep: list = []
    evaluate_adaptation(Reach(), "fine-tune", checkpoint, TINY, keep=keep)
    assert len(keep) == 3
    start = checkpoint.tensors["policy.head.weight"]
    assert torch.equal(keep[0]["head.weight"][0], start)
    assert not torch.equal(keep[1]["head.weight"][0], start)


def test_evaluation_does_not_touch_adaptation(checkpoint: Checkpoint):
    keeps: list[list] = [[], []]
    for keep, eval_episodes in zip(keeps, (1, 4), strict=True):
        protocol = dataclasses.replace(TINY, eval_episodes=eval_episodes)
        evaluate_adaptation(Reach(), "fine-tune", checkpoint, protocol, keep=keep)
    for one, other in zip(*keeps, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_nothing_is_chosen_by_the_result(checkpoint: Checkpoint):
    """Updates that come later change nothing before them, and no curve is made monotone."""
    longer = dataclasses.replace(TINY, updates=3)
    short = evaluate_adaptation(Reach(), "scratch", checkpoint, TINY)
    long = evaluate_adaptation(Reach(), "scratch", checkpoint, longer)
    assert np.array_equal(short.returns, long.returns[:3])
    harmful = FineTuning(rate=10.0)
    ruined = evaluate_adaptation(Reach(), "fine-tune", checkpoint, TINY, settings=harmful)
    assert (ruined.returns[-1] < ruined.returns[0]).any()


def test_scratch_starts_poor(checkpoint: Checkpoint):
    many = Protocol(num_tasks=10, episodes=1, updates=0, eval_episodes=5)
    assert evaluate_adaptation(Reach(), "scratch", checkpoint, many).success.mean() < 0.2


def test_a_foreign_checkpoint_is_refused_by_both_names(checkpoint: Checkpoint):
    with pytest.raises(CheckpointError, match=r"(?s)toy/reach.*toy/slide"):
        evaluate_adaptation(Slide(), "fine-tune", checkpoint, TINY)


def test_a_frozen_trunk_keeps_its_bytes(checkpoint: Checkpoint):
    keep: list = []
    evaluate_adaptation(Reach(), "frozen-trunk", checkpoint, TINY, keep=keep)
    trunk = "trunk.layers.0.weight"
    assert torch.equal(keep[-1][trunk][0], checkpoint.tensors[f"policy.{trunk}"])
    assert not torch.equal(keep[-1]["head.weight"], keep[0]["head.weight"])


def test_results_survive_json(checkpoint: Checkpoint):
    result = evaluate_adaptation(Reach(), "scratch", checkpoint, TINY)
    again = AdaptationResult.from_json(json.loads(json.dumps(result.to_json())))
    assert np.array_equal(again.success, result.success)
    assert again.method == "scratch"
    assert len(summarise([result, again], np.random.default_rng(0))) == 3


def test_blind_and_ceiling_judge_the_same_tasks(checkpoint: Checkpoint):
    seen = measure_ceiling(Reach(), checkpoint, TINY, task_visible=True)
    assert seen.success.shape == seen.score.shape == seen.returns.shape == (3,)
    assert ((seen.success >= 0) & (seen.success <= 1)).all()


def test_names_and_numbers_are_checked(checkpoint: Checkpoint):
    with pytest.raises(UnknownNameError, match="fine-tune"):
        evaluate_adaptation(Reach(), "fine-tun", checkpoint, TINY)
    with pytest.raises(ConfigError, match="episodes"):
        Protocol(episodes=0)
    bare = Checkpoint(
        {n: t for n, t in checkpoint.tensors.items() if "rates" not in n}, checkpoint.meta
    )
    with pytest.raises(CheckpointError, match="inner rates"):
        evaluate_adaptation(Reach(), "maml", bare, TINY)


def test_a_strategy_and_the_untrained_inner_loop_are_tuned():
    tuned = settings_of("fine-tune", {"rate": 5e-4, "log_std": -2.5})
    assert tuned == FineTuning(rate=5e-4, log_std=-2.5)
    inner = settings_of("untrained-inner-loop", {"context_std": 0.5})
    assert inner == InnerLoop(context_std=0.5)
    assert settings_of("maml") is None


def test_settings_of_another_method_are_refused(checkpoint: Checkpoint):
    with pytest.raises(ConfigError, match="expected a FineTuning"):
        evaluate_adaptation(Reach(), "fine-tune", checkpoint, TINY, settings=InnerLoop())
    with pytest.raises(ConfigError, match="expected None"):
        evaluate_adaptation(Reach(), "maml", checkpoint, TINY, settings=InnerLoop())


@pytest.mark.parametrize(
    ("method", "settings", "said"),
    [
        ("fine-tune", {"num_tasks": 3}, "valid: clip, epochs, gamma, lam, log_std, rate"),
        ("fine-tune", {"rate": "fast"}, "expected float"),
        ("fine-tune", {"rate": 0.0}, "expected a finite number > 0"),
        ("small-rate", {"log_std": float("nan")}, "expected a finite number"),
        ("maml", {"rate": 0.1}, "maml takes no settings"),
        ("untrained-inner-loop", {"rate": 0.1}, "rate"),
        ("untrained-inner-loop", {"context_std": -1.0}, "context_std"),
        ("untrained-inner-loop", {"iterations": 5}, "iterations"),
    ],
)
def test_settings_that_are_none_are_refused(method: str, settings: dict, said: str):
    with pytest.raises(ConfigError, match=said):
        settings_of(method, settings)


def test_a_config_that_is_none_of_mamls_is_named(checkpoint: Checkpoint):
    config = {**checkpoint.meta["config"], "num_critics": 2}
    foreign = Checkpoint(checkpoint.tensors, {**checkpoint.meta, "config": config})
    with pytest.raises(CheckpointError, match="num_critics"):
        evaluate_adaptation(Reach(), "maml", foreign, TINY)
