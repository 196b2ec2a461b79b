"""Strategy optimization: the hidden task is found by trying what the policy knows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from toy import Breaking, Reach, Seen, knowing, saved

from metarl.adapt.evaluate import evaluate_adaptation, settings_of, start_adaptation
from metarl.adapt.protocol import Protocol, held_out_tasks
from metarl.errors import ConfigError, TrainingError
from metarl.runs.checkpoint import Checkpoint
from metarl.sim.worlds import Worlds
from metarl.transfer.config import StrategyOptimization
from metarl.transfer.strategy_optimization import around, best, refit

SEARCH = "strategy-optimization"
FEW = Protocol(num_tasks=4, episodes=10, updates=5, eval_episodes=3)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    spec = Worlds(Reach(), 1, num_threads=1).spec
    return saved(knowing(spec), spec)


def test_it_finds_where_to_go(checkpoint):
    keep: list = []
    result = evaluate_adaptation(Reach(), SEARCH, checkpoint, FEW, num_threads=1, keep=keep)
    goals = held_out_tasks(Reach(), FEW).goal_m
    away = [np.abs(state["mean"].numpy() * 0.2 - goals).max() for state in keep]
    assert (keep[0]["mean"] == 0).all()
    assert away[0] > 0.1
    assert away[-1] < 0.05
    assert result.success[0].mean() < 0.5
    assert result.success[-1].mean() > 0.9
    assert result.steps == 5 * 10 * 4 * Reach.horizon


def test_every_episode_tries_its_own_guess_and_the_policy_stays(checkpoint):
    adaptation = start_adaptation(Reach(), SEARCH, checkpoint, FEW, num_threads=1)
    before = {name: p.clone() for name, p in adaptation.policy.named_parameters()}
    adaptation.update()
    tried = adaptation._tried
    assert tried.shape == (4, 10, 2)
    assert len(tried.flatten(0, 1).unique(dim=0)) == 40
    for name, p in adaptation.policy.named_parameters():
        assert torch.equal(p, before[name])


def test_it_goes_by_the_best_of_what_it_remembers(checkpoint):
    how = settings_of(SEARCH, {"memory": 20, "elites": 0.3})
    assert how == StrategyOptimization(memory=20, elites=0.3)
    adaptation = start_adaptation(Reach(), SEARCH, checkpoint, FEW, settings=how, num_threads=1)
    for many in (10, 20, 20):
        adaptation.update()
        assert adaptation._returns.shape == (4, many)
    wanted = best(adaptation._tried, adaptation._returns, 0.3).mean(1)
    assert torch.equal(adaptation.state()["mean"], wanted)


def test_spreads_follow_a_schedule_or_the_best_guesses(checkpoint):
    adaptation = start_adaptation(Reach(), SEARCH, checkpoint, FEW, num_threads=1)
    for std in (0.4, 0.28, 0.196):
        torch.testing.assert_close(adaptation.state()["std"], torch.full((4, 2), std))
        adaptation.update()
    how = StrategyOptimization(decay=None, memory=10)
    adaptation = start_adaptation(Reach(), SEARCH, checkpoint, FEW, settings=how, num_threads=1)
    for _ in range(3):
        before = adaptation.state()["mean"]
        adaptation.update()
        away = best(adaptation._tried, adaptation._returns, 0.1) - before[:, None]
        wanted = away.square().mean(1).sqrt().clamp(min=0.05)
        torch.testing.assert_close(adaptation.state()["std"], wanted)


def test_the_same_seed_finds_the_same(checkpoint):
    one, two = (evaluate_adaptation(Reach(), SEARCH, checkpoint, FEW, num_threads=1) for _ in "12")
    assert np.array_equal(one.returns, two.returns)


def test_judging_changes_nothing(checkpoint):
    judged, alone = (
        start_adaptation(Reach(), SEARCH, checkpoint, FEW, num_threads=1) for _ in "12"
    )
    worlds = Worlds(Reach(), 4, seed=7, num_threads=1)
    for _ in range(2):
        judged.judge(worlds)
        judged.update()
        alone.update()
        assert torch.equal(judged.state()["mean"], alone.state()["mean"])


def test_a_guess_may_lie_beyond_the_declared_range(checkpoint):
    adaptation = start_adaptation(Reach(), SEARCH, checkpoint, FEW, num_threads=1)
    obs = Worlds(Reach(), 1, seed=7, num_threads=1).reset()
    acted = adaptation.act_in(adaptation.worlds, 0, {"mean": torch.tensor([[1.5, 0.0]])})(obs)
    obs[:, -2:] = [[1.5, 0.0]]
    expected = adaptation.policy(torch.from_numpy(obs))[0].detach().numpy()
    np.testing.assert_array_equal(acted, expected)


def test_the_best_guesses_are_chosen():
    guesses = torch.arange(10.0).view(1, 5, 2).repeat(2, 1, 1)
    returns = torch.tensor([[0.0, 3.0, 1.0, 2.0, -1.0], [9.0, 0.0, 0.0, 0.0, 8.0]])
    first, second = best(guesses, returns, 0.1).tolist()
    assert first == [[2.0, 3.0], [6.0, 7.0]]  # two or more
    assert second == [[0.0, 1.0], [8.0, 9.0]]
    assert best(guesses, returns, 0.6).tolist()[0] == [[2.0, 3.0], [6.0, 7.0], [4.0, 5.0]]
    assert best(guesses[:, :1], returns[:, :1], 0.1).tolist() == [[[0.0, 1.0]]] * 2


def test_every_tensor_of_an_update_lives_on_the_networks_device():
    """A stray CPU tensor raises under FakeTensorMode."""
    with FakeTensorMode():
        mean, returns = torch.empty(3, 2, device="meta"), torch.empty(3, 9, device="meta")
        guesses = around(mean, mean, 9, torch.Generator())
        assert guesses.device.type == "meta"
        for decay in (0.7, None):
            how = StrategyOptimization(decay=decay)
            found = refit(mean, mean, guesses, returns, how)
            assert [x.device.type for x in found] == ["meta", "meta"]
        with pytest.raises(RuntimeError, match="device"):
            refit(mean, mean, guesses, torch.ones(3, 9), how)


def test_guesses_that_all_brought_the_same_move_nothing(checkpoint):
    mean, std = torch.tensor([[0.5], [0.5]]), torch.tensor([[0.4], [0.4]])
    guesses = torch.tensor([[[0.1], [0.2], [0.3]]] * 2)
    returns = torch.tensor([[7.0, 7.0, 7.0], [7.0, 7.0, 8.0]])
    for decay in (0.7, None):
        how = StrategyOptimization(decay=decay)
        after_mean, after_std = refit(mean, std, guesses, returns, how)
        assert after_mean[0] == 0.5
        assert after_std[0] == 0.4
        assert after_mean[1] != 0.5
        assert after_std[1] != 0.4
    alone = Protocol(num_tasks=4, episodes=1, updates=1)
    adaptation = start_adaptation(Reach(), SEARCH, checkpoint, alone, num_threads=1)
    adaptation.update()
    assert (adaptation.state()["mean"] == 0).all()  # one guess is not better than itself


def test_returns_that_are_no_numbers_are_refused(checkpoint):
    adaptation = start_adaptation(Breaking(12, 2), SEARCH, checkpoint, FEW, num_threads=1)
    with pytest.raises(TrainingError, match=r"tasks \[1\]; update refused"):
        adaptation.update()
    assert (adaptation.state()["mean"] == 0).all()


def test_where_nothing_is_hidden_there_is_nothing_to_find(checkpoint):
    with pytest.raises(ConfigError, match="hides nothing"):
        start_adaptation(Seen(), SEARCH, checkpoint, FEW, num_threads=1)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"std": 0.0}, "std"),
        ({"decay": 1.5}, "decay"),
        ({"elites": 0.0}, "elites"),
        ({"memory": 1}, "memory"),
        ({"rate": 0.1}, "valid: decay, elites, memory, std"),
    ],
)
def test_bad_settings_are_named(settings, said):
    with pytest.raises(ConfigError, match=said):
        settings_of(SEARCH, settings)
