"""Residual search: what a policy does not know is added to what it does."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from toy import Breaking, Reach, knowing, saved

from metarl.adapt.evaluate import evaluate_adaptation, settings_of, start_adaptation
from metarl.adapt.protocol import Protocol, held_out_tasks
from metarl.errors import ConfigError, TrainingError
from metarl.runs.checkpoint import Checkpoint
from metarl.sim.worlds import Worlds
from metarl.transfer.config import ResidualSearch
from metarl.transfer.residual_search import ByResidualSearch, lines

SEARCH, RESIDUAL = "strategy-optimization", "residual-search"
FEW = Protocol(num_tasks=4, episodes=80, updates=4, eval_episodes=3)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    """A policy that was only ever asked to go left or right, along a line through the middle."""
    spec = Worlds(Reach(), 1, num_threads=1).spec
    policy = knowing(spec)
    weight = policy.trunk.layers[0].weight
    with torch.no_grad():
        weight[1, spec.slice("task").start + 1] = 0.0
        weight[1, spec.slice("robot").start + 1] *= 0.3  # holds loosely there
    return saved(policy, spec)


def test_it_does_what_no_guess_of_the_task_can_do(checkpoint):
    by_guess, found = (
        evaluate_adaptation(
            Reach(), name, checkpoint, FEW, settings=settings_of(name, how), num_threads=1
        )
        for name, how in ((SEARCH, {"decay": None}), (RESIDUAL, {}))
    )
    aside = np.abs(held_out_tasks(Reach(), FEW).goal_m[:, 1]) > 0.05
    assert aside.sum() >= 2
    assert by_guess.success[-1, aside].mean() < 0.2
    assert (found.success[0, aside] == 0).all()
    assert found.success[-1].mean() > 0.9
    assert found.steps == by_guess.steps == 4 * 80 * 4 * Reach.horizon


def test_a_line_through_the_knots():
    np.testing.assert_allclose(lines(5, 1), np.ones((5, 1)))
    np.testing.assert_allclose(lines(5, 3)[:, 1], [0.0, 0.5, 1.0, 0.5, 0.0])
    knots = torch.tensor([3.0, -1.0, 2.0])
    np.testing.assert_allclose(lines(5, 3) @ knots, [3.0, 1.0, -1.0, 0.5, 2.0])
    np.testing.assert_allclose(lines(60, 5).sum(1), np.ones(60), rtol=1e-5)


def test_what_it_found_is_what_acts(checkpoint):
    """In worlds that others step, at any time in an episode, each world by its own clock."""
    adaptation = start_adaptation(Reach(), RESIDUAL, checkpoint, FEW, num_threads=1)
    for _ in range(2):
        adaptation.update()
    state = adaptation.state()
    assert (state["residual"] != 0).all()
    assert state["mean"].shape == (4, 2)
    assert state["residual"].shape == (4, 5, 2)
    judge = Worlds(Reach(), 8, seed=7, num_threads=1)
    judged = adaptation.judge(judge)
    worlds = Worlds(Reach(), 8, seed=7, num_threads=1)
    act = adaptation.act_in(worlds, 2, state)
    obs = worlds.reset()
    for t in range(20):
        action = act(obs)
        np.testing.assert_allclose(action[4:6], judged.action[t, 4:6], atol=1e-5)  # task 2's rows
        obs = worlds.step(np.where(np.arange(8)[:, None] // 2 == 2, action, judged.action[t])).obs
    obs = worlds.reset(np.array([4]))
    moved = (
        act(obs)
        - adaptation.policy(torch.from_numpy(believed(obs, worlds, state)))[0].detach().numpy()
    )
    own = lines(worlds.spec.horizon, 5) @ state["residual"][2]
    np.testing.assert_allclose(moved[4], own[0], atol=1e-5)
    np.testing.assert_allclose(moved[5], own[20], atol=1e-5)


def believed(obs, worlds, state) -> np.ndarray:
    out = obs.copy()
    out[:, worlds.spec.slice("task")] += state["mean"][2].numpy()
    return out


def test_the_policy_stays_and_judging_changes_nothing(checkpoint):
    judged, alone = (
        start_adaptation(Reach(), RESIDUAL, checkpoint, FEW, num_threads=1) for _ in "12"
    )
    before = {name: p.clone() for name, p in judged.policy.named_parameters()}
    worlds = Worlds(Reach(), 4, seed=7, num_threads=1)
    for _ in range(2):
        judged.judge(worlds)
        judged.update()
        alone.update()
        for name, values in judged.state().items():
            assert torch.equal(values, alone.state()[name])
    assert all(torch.equal(p, before[name]) for name, p in judged.policy.named_parameters())


def test_an_update_is_cut_into_generations(checkpoint):
    for episodes, worlds in ((10, 10), (40, 40), (80, 40), (120, 40)):
        protocol = dataclasses.replace(FEW, episodes=episodes)
        adaptation = start_adaptation(
            Reach(), RESIDUAL, checkpoint, protocol,
            settings=ResidualSearch(task_first=0), num_threads=1,
        )  # fmt: skip
        assert adaptation.worlds.num_worlds == 4 * worlds
        adaptation.update()
        assert adaptation.num_steps == 4 * episodes * Reach.horizon
        assert adaptation._tried.shape == (4, worlds, 2 + 5 * 2)
    with pytest.raises(ConfigError, match=r"episodes is 100; expected a multiple .* 40, or fewer"):
        start_adaptation(
            Reach(), RESIDUAL, checkpoint, dataclasses.replace(FEW, episodes=100), num_threads=1
        )


@pytest.mark.parametrize("first", [0, 1, 3])
def test_the_task_is_looked_for_first(checkpoint, first):
    how = settings_of(RESIDUAL, {"task_first": first, "generation": 80})
    assert how == ResidualSearch(task_first=first, generation=80)
    adaptation = start_adaptation(Reach(), RESIDUAL, checkpoint, FEW, settings=how, num_threads=1)
    tried, play = [], adaptation._play
    adaptation._play = lambda worlds, guesses: (tried.append(guesses), play(worlds, guesses))[1]
    for update in range(4):
        adaptation.update()
        hidden, residual = tried[update].unflatten(0, (4, 80)).split([2, 10], dim=2)
        assert hidden.std(1).min() > 0.0
        if update < first:
            assert (residual == 0).all()
        elif update == first:
            assert 0.3 < residual.std() < 0.6  # residual_std, 0.45
        else:
            assert residual.std(1).min() > 0.0
        remembered = 0 if update + 1 == first else 80
        assert adaptation._returns.shape == (4, remembered)
    assert (adaptation.state()["residual"] != 0).any()


def test_returns_that_are_no_numbers_take_the_whole_update_back(checkpoint):
    family = Breaking(50, Reach.horizon)  # the first generation goes well
    adaptation = start_adaptation(family, RESIDUAL, checkpoint, FEW, num_threads=1)
    with pytest.raises(TrainingError, match=r"tasks \[1\]; update refused"):
        adaptation.update()
    assert all((values == 0).all() for values in adaptation.state().values())
    assert adaptation._returns.shape == (4, 0)
    assert adaptation.num_updates == 0


def test_every_tensor_of_an_episode_lives_on_the_networks_device(checkpoint):
    """A stray CPU tensor raises under FakeTensorMode."""
    adaptation = start_adaptation(Reach(), RESIDUAL, checkpoint, FEW, num_threads=1)
    seen = {}

    def act_as_if(worlds, hidden, *, deterministic, residual):
        seen.update(hidden=hidden.device.type, residual=residual.device.type)
        return residual.shape

    adaptation._act_as_if = act_as_if
    with FakeTensorMode():
        guesses = torch.empty(8, 2 + 5 * 2, device="meta")
        shape = ByResidualSearch._play(adaptation, adaptation.worlds, guesses)
    assert seen == {"hidden": "meta", "residual": "meta"}
    assert shape == (Reach.horizon, 8, 2)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"residual_std": 0.0}, "residual_std"),
        ({"knots": 0}, "knots"),
        ({"generation": 1}, "generation"),
        ({"task_first": -1}, "task_first"),
        ({"std": -1.0}, "std"),
        (
            {"rate": 0.1},
            "valid: decay, elites, generation, knots, memory, residual_std, std, task_first",
        ),
    ],
)
def test_bad_settings_are_named(settings, said):
    with pytest.raises(ConfigError, match=said):
        settings_of(RESIDUAL, settings)
