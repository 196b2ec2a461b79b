"""RL2 meets new tasks: memories that go on, and that they are used."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from alike import same
from memories import TINY, Short, lively
from toy import Reach, knowing

from metarl.adapt.evaluate import evaluate_adaptation
from metarl.adapt.meeting import meet_in
from metarl.adapt.protocol import Protocol
from metarl.errors import CheckpointError
from metarl.meta.rl2.adaptation import Rl2Adaptation, by_memory
from metarl.meta.rl2.config import Rl2Config
from metarl.meta.rl2.trainer import METHOD, Rl2Trainer
from metarl.runs.checkpoint import Checkpoint
from metarl.sim.worlds import Worlds
from metarl.types import Act, repeat

K, B = 3, 2


class Brief(Reach):
    """Over before a hand that knows nothing has found the goal."""

    horizon = 20


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    trainer = Rl2Trainer(Short(), TINY, num_threads=1)
    trainer.iterate()
    return Checkpoint(*trainer.checkpoint())


@pytest.fixture
def adaptation() -> Rl2Adaptation:
    worlds = Worlds(Short(), K * B, num_threads=1, split="test")
    worlds.assign(repeat(worlds.sample("test", np.arange(0, K * B, B)), B))
    g = torch.Generator().manual_seed(0)
    return Rl2Adaptation(worlds, lively(worlds.spec), num_tasks=K, generator=g)


def judges(adaptation: Rl2Adaptation, episodes: int) -> Worlds:
    worlds = Worlds(Short(), K * episodes, num_threads=1, first_stream=1000)
    tasks = adaptation.worlds.task
    worlds.assign(repeat(type(tasks)(tasks.goal_m[::B]), episodes))
    return worlds


def test_an_update_is_an_episode_more_in_every_memory(adaptation: Rl2Adaptation):
    assert (adaptation.state()["memory"] == 0).all()
    states = []
    for _ in range(2):
        adaptation.update()
        states.append(adaptation.state()["memory"])
    assert adaptation.num_steps == 2 * K * B * Short.horizon
    assert states[0].shape == (K, B, 8)
    assert (states[0] != states[1]).any(-1).all()
    assert (states[1][:, 0] != states[1][:, 1]).any(-1).all()


def test_judging_changes_no_memory(adaptation: Rl2Adaptation):
    adaptation.update()
    quiet = copy.deepcopy((adaptation.worlds.state_dict(), adaptation.generator.get_state()))
    before = adaptation.state()
    adaptation.judge(judges(adaptation, 5))
    assert same(before, adaptation.state())
    adaptation.update()
    judged = adaptation.state()
    adaptation.worlds.load_state_dict(quiet[0])
    adaptation.generator.set_state(quiet[1])
    adaptation.memory = before["memory"].flatten(0, 1)
    adaptation.update()
    assert same(judged, adaptation.state())


def test_each_judged_episode_goes_on_from_a_trial_of_its_task(adaptation: Rl2Adaptation):
    adaptation.update()
    before = adaptation.judge(judges(adaptation, 3))
    with torch.no_grad():
        adaptation.memory[B] += 1.0  # trial 0 of task 1
    after = adaptation.judge(judges(adaptation, 3))
    changed = (before.mean != after.mean).any(-1).any(0)
    assert changed.tolist() == [False] * 3 + [True, False, True] + [False] * 3


def test_acting_in_worlds_is_what_was_judged(adaptation: Rl2Adaptation):
    adaptation.update()
    judged = adaptation.judge(judges(adaptation, 3))
    state = adaptation.state()
    worlds = judges(adaptation, 3)
    mine = Worlds(Short(), 3, num_threads=1, first_stream=1003)
    mine.assign(type(worlds.task)(worlds.task.goal_m[3:6]))
    act = adaptation.act_in(mine, 1, state)
    assert np.array_equal(mine.task.goal_m, worlds.task.goal_m[3:6])
    np.testing.assert_allclose(
        episode(mine, act), judged.action[:, 3:6].numpy(), rtol=1e-4, atol=1e-5
    )
    assert same(state, adaptation.state())


def test_an_episode_is_not_carried_into_the_next_film(adaptation: Rl2Adaptation):
    worlds = judges(adaptation, 1)
    act, state = adaptation.act_in(worlds, 0, adaptation.state()), worlds.state_dict()
    first = episode(worlds, act)
    worlds.load_state_dict(state)
    assert np.array_equal(first, episode(worlds, act))


def episode(worlds: Worlds, act: Act) -> np.ndarray:
    """Every action of one episode, (T, N, A)."""
    obs, actions = worlds.reset(), []
    while not worlds.done.any():
        actions.append(act(obs))
        obs = worlds.step(actions[-1]).obs
    return np.stack(actions)


def test_it_goes_through_the_protocol(checkpoint: Checkpoint):
    protocol = Protocol(num_tasks=K, episodes=B, updates=2, eval_episodes=3)
    keep: list = []
    result = evaluate_adaptation(Short(), "rl2", checkpoint, protocol, num_threads=1, keep=keep)
    assert result.success.shape == (3, K)
    assert result.steps == 2 * K * B * Short.horizon
    assert [state["memory"].shape for state in keep] == [(K, B, 8)] * 3
    again = evaluate_adaptation(Short(), "rl2", checkpoint, protocol, num_threads=1)
    assert np.array_equal(result.returns, again.returns)


def test_other_checkpoints_are_refused(checkpoint: Checkpoint):
    worlds = Worlds(Short(), 2, num_threads=1)
    meeting = meet_in(worlds, num_tasks=1, updates=1, generator=torch.Generator())
    bare = {n: x for n, x in checkpoint.tensors.items() if not n.startswith("memory")}
    with pytest.raises(CheckpointError, match="no whole memory"):
        by_memory(Checkpoint(bare, checkpoint.meta), meeting)
    config = {**checkpoint.meta["config"], "num_critics": 2}
    with pytest.raises(CheckpointError, match="num_critics"):
        by_memory(Checkpoint(checkpoint.tensors, {**checkpoint.meta, "config": config}), meeting)


def test_a_memory_tells_the_task_better_with_every_episode():
    config = Rl2Config(
        num_tasks=24, trial=2, memory=16, embed=(16,), hidden=(2,), iterations=5, task_loss=60
    )
    known = knowing(Worlds(Brief(), 1, num_threads=1).spec).state_dict()
    trainer = Rl2Trainer(Brief(), config, initial=known, num_threads=1)
    rows = [trainer.iterate() for _ in range(config.iterations)]
    assert rows[-1]["task_error"] < 0.8 * rows[0]["task_error"]
    worlds = Worlds(Brief(), 60, num_threads=1, split="test")
    worlds.assign(repeat(worlds.sample("test", np.arange(0, 60, 2)), 2))
    learned = Checkpoint(*trainer.checkpoint())
    g = torch.Generator().manual_seed(0)
    adaptation = by_memory(learned, meet_in(worlds, num_tasks=30, updates=2, generator=g))

    def error() -> float:
        with torch.no_grad():
            told = adaptation.policy.memory.forward_head(adaptation.memory)
        return float(np.abs(told.numpy() - worlds.task.goal_m / 0.2).mean())

    errors = [error()]
    for _ in range(2):
        adaptation.update()
        errors.append(error())
    assert errors[1] < 0.85 * errors[0]
    assert errors[2] < 0.65 * errors[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "success", "gain"),
    [
        ({}, 0.6, 2.0),
        ({"task_loss": 0, "memory_rate": 3e-3, "policy_rate": 3e-3, "epochs": 6}, 0.25, 0.5),
    ],
)
def test_the_memory_is_used(change: dict, success: float, gain: float):
    """From scratch; wiped between episodes, it has to find the goal anew each time."""
    config = Rl2Config(
        num_tasks=60, trial=3, memory=32, embed=(32,), iterations=30, log_std=-0.7, **change
    )
    trainer = Rl2Trainer(Brief(), config)
    for _ in range(config.iterations):
        trainer.iterate()
    worlds = Worlds(Brief(), 100, split="test")
    worlds.assign(repeat(worlds.sample("test", np.arange(0, 100, 2)), 2))
    learned = Checkpoint(*trainer.checkpoint())
    g = torch.Generator().manual_seed(0)
    adaptation = by_memory(learned, meet_in(worlds, num_tasks=50, updates=2, generator=g))
    adaptation.update()
    adaptation.update()
    kept = adaptation.judge(worlds)
    adaptation.memory = adaptation.policy.memory.start(100)
    wiped = adaptation.judge(worlds)
    assert kept.success.mean() > success
    assert kept.returns.mean() > wiped.returns.mean() + gain
    assert kept.success.mean() > wiped.success.mean()


def test_the_method_says_how_it_adapts():
    assert METHOD.adapting.start is by_memory
