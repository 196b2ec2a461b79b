"""Bayesian optimization: a model of the returns says which guess of the hidden task to try next."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from toy import Breaking, Reach, Seen, knowing, saved

from metarl.adapt.adaptation import hidden_of
from metarl.adapt.evaluate import evaluate_adaptation, settings_of, start_adaptation
from metarl.adapt.protocol import Protocol, held_out_tasks
from metarl.errors import ConfigError, TrainingError
from metarl.runs.checkpoint import Checkpoint
from metarl.sim.worlds import Worlds
from metarl.transfer.bayesian_optimization import rows, stretched, worth_keeping
from metarl.transfer.config import BayesianOptimization

SEARCH = "bayesian-optimization"
FEW = Protocol(num_tasks=4, episodes=10, updates=4, eval_episodes=3)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    spec = Worlds(Reach(), 1, num_threads=1).spec
    return saved(knowing(spec), spec)


def begin(checkpoint, protocol=FEW, settings=None):
    return start_adaptation(Reach(), SEARCH, checkpoint, protocol, settings=settings, num_threads=1)


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
    assert result.steps == 4 * 10 * 4 * Reach.horizon


def test_first_it_tries_known_tasks_and_the_policy_stays(checkpoint):
    adaptation = begin(checkpoint)
    before = {name: p.clone() for name, p in adaptation.policy.named_parameters()}
    adaptation.update()
    known = {tuple(row) for row in adaptation.known.tolist()}
    tried = adaptation._tried.flatten(0, 1).tolist()
    assert adaptation._tried.shape == (4, 10, 2)
    assert all(tuple(row) in known for row in tried)
    assert len({tuple(row) for row in tried}) > 30
    for name, p in adaptation.policy.named_parameters():
        assert torch.equal(p, before[name])


def test_what_is_known_are_tasks_of_the_train_split(checkpoint):
    adaptation = begin(checkpoint, settings=BayesianOptimization(known=50))
    assert adaptation.known.shape == (50, 2)
    assert adaptation.known.abs().max() <= 1.0
    met = hidden_of(held_out_tasks(Reach(), FEW), Reach(), adaptation.worlds.spec)
    assert not (met[:, None] == adaptation.known[None]).all(-1).any()


def test_it_goes_by_a_guess_that_it_tried(checkpoint):
    adaptation = begin(checkpoint)
    for _ in range(3):
        adaptation.update()
        mean = adaptation.state()["mean"]
        assert (adaptation._tried == mean[:, None]).all(-1).any(1).all()


def test_numbers_that_mean_nothing_stay_as_the_policy_knows_them(checkpoint):
    adaptation = begin(checkpoint)
    adaptation.known = adaptation.known * torch.tensor([1.0, 0.0])
    adaptation.update()
    assert (adaptation._tried[..., 1] == 0.0).all()
    mixed = adaptation._candidates()[:, :600]
    assert (mixed[..., 1] == 0.0).all()
    assert len(mixed[0, :, 0].unique()) > 100


def test_it_remembers_the_latest_and_the_best(checkpoint):
    adaptation = begin(checkpoint, settings=settings_of(SEARCH, {"memory": 15}))
    for many in (10, 15, 15):
        adaptation.update()
        assert adaptation._tried.shape == (4, many, 2)
        assert adaptation._returns.shape == (4, many)
    returns = torch.tensor([[5.0, 1.0, 4.0, 9.0, 2.0, 0.0]])
    assert worth_keeping(returns, 4, 2).tolist() == [[0, 3, 4, 5]]
    assert worth_keeping(returns, 1, 2).tolist() == [[4, 5]]
    assert worth_keeping(returns, 50, 2).tolist() == [[0, 1, 2, 3, 4, 5]]


def test_the_top_is_stretched():
    values = stretched(torch.tensor([[0.0, 90.0, 99.0, 100.0], [3.0, 3.0, 3.0, 3.0]]).double())
    top, below = values[0, 3] - values[0, 2], values[0, 1] - values[0, 0]
    assert top > 0.1 * below  # a ninetieth of it before
    assert (values[0].diff() > 0.0).all()
    torch.testing.assert_close(values.mean(1), torch.zeros(2).double())
    torch.testing.assert_close(values[0].std(correction=0), torch.tensor(1.0).double())
    assert (values[1] == 0.0).all()


def test_guesses_that_all_brought_the_same_move_nothing(checkpoint):
    alone = Protocol(num_tasks=4, episodes=1, updates=1)
    adaptation = begin(checkpoint, alone)
    adaptation.update()
    assert (adaptation.state()["mean"] == 0).all()  # one guess is not better than itself


def test_the_same_seed_finds_the_same(checkpoint):
    one, two = (evaluate_adaptation(Reach(), SEARCH, checkpoint, FEW, num_threads=1) for _ in "12")
    assert np.array_equal(one.returns, two.returns)


def test_judging_changes_nothing(checkpoint):
    judged, alone = (begin(checkpoint) for _ in "12")
    worlds = Worlds(Reach(), 4, seed=7, num_threads=1)
    for _ in range(2):
        judged.judge(worlds)
        judged.update()
        alone.update()
        assert torch.equal(judged.state()["mean"], alone.state()["mean"])


def test_rows_are_taken_task_by_task():
    of = torch.arange(12.0).view(2, 3, 2)
    assert rows(of, torch.tensor([[2], [0]])).tolist() == [[[4.0, 5.0]], [[6.0, 7.0]]]


def test_every_tensor_of_an_update_lives_on_the_networks_device():
    """A stray CPU tensor raises under FakeTensorMode."""
    with FakeTensorMode():
        returns = torch.empty(3, 9, device="meta")
        assert stretched(returns).device.type == "meta"
        assert worth_keeping(returns, 5, 2).device.type == "meta"


def test_returns_that_are_no_numbers_are_refused(checkpoint):
    adaptation = start_adaptation(Breaking(12, 2), SEARCH, checkpoint, FEW, num_threads=1)
    with pytest.raises(TrainingError, match=r"tasks \[1\]; update refused"):
        adaptation.update()
    assert (adaptation.state()["mean"] == 0).all()
    assert not adaptation._tried.shape[1]


def test_where_nothing_is_hidden_there_is_nothing_to_find(checkpoint):
    with pytest.raises(ConfigError, match="hides nothing"):
        start_adaptation(Seen(), SEARCH, checkpoint, FEW, num_threads=1)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"known": 1}, "known"),
        ({"candidates": 2}, "candidates"),
        ({"memory": 1}, "memory"),
        ({"std": 0.1}, "valid: candidates, known, memory"),
    ],
)
def test_bad_settings_are_named(settings, said):
    with pytest.raises(ConfigError, match=said):
        settings_of(SEARCH, settings)
