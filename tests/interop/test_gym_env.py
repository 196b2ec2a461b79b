"""One world as a Gymnasium environment."""

import gymnasium
import numpy as np
import pytest
from sliders import Fails, Slide

from metarl.errors import ConfigError, ShapeError, UnknownNameError
from metarl.interop import FamilyEnv
from metarl.sim.worlds import Worlds
from metarl.types import take


def actions(steps, n, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (steps, n, 2)).astype(np.float32)


def test_spaces():
    env = FamilyEnv(Slide())
    assert env.observation_space == gymnasium.spaces.Box(-10, 10, (9,), np.float32)
    assert env.action_space == gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    assert env.metadata["render_fps"] == 20
    obs, info = env.reset()
    assert obs in env.observation_space
    assert info == {}


def trajectory(env, seed, steps=30):
    out = [env.reset(seed=seed)[0], env.task.goal_m[0]]
    for action in actions(steps, 1):
        obs, reward, terminated, truncated, _ = env.step(action[0])
        out += [obs, [reward]]
        if terminated or truncated:
            out.append(env.reset()[0])
    return np.concatenate(out)


def test_seed_gives_task_and_trajectory():
    env = FamilyEnv(Slide())
    first = trajectory(env, 5)
    trajectory(env, 6)
    assert np.array_equal(first, trajectory(env, 5))
    assert np.array_equal(first, trajectory(FamilyEnv(Slide(), seed=9), 5))
    assert not np.array_equal(first, trajectory(env, 6))
    assert np.array_equal(first[:9], FamilyEnv(Slide(), seed=5).reset()[0])


def test_every_reset_has_a_new_task_unless_told_otherwise():
    env = FamilyEnv(Slide())
    first, _ = env.reset(seed=1)
    goal = env.task.goal_m.copy()
    second, _ = env.reset(options={"new_task": False})
    assert np.array_equal(env.task.goal_m, goal)
    assert not np.array_equal(first[:5], second[:5])
    env.reset()
    assert not np.array_equal(env.task.goal_m, goal)


def test_set_task_lasts_and_the_option_does_not():
    env = FamilyEnv(Slide())
    tasks = Worlds(Slide(), 2, split="test", num_threads=1).task
    a, b = take(tasks, slice(0, 1)), take(tasks, slice(1, 2))
    env.set_task(a)
    for _ in range(2):
        env.reset()
        assert np.array_equal(env.task.goal_m, a.goal_m)
    env.reset(options={"task": b})
    assert np.array_equal(env.task.goal_m, b.goal_m)
    env.reset()
    assert np.array_equal(env.task.goal_m, a.goal_m)
    env.set_task(None)
    env.reset()
    assert not np.array_equal(env.task.goal_m, a.goal_m)
    with pytest.raises(ShapeError, match="has 2 rows; expected one row"):
        env.set_task(tasks)


def test_split_and_visibility():
    family = Slide()
    env = FamilyEnv(family, split="far", task_visible=False)
    for _ in range(5):
        obs, _ = env.reset()
        assert family.in_split(env.task, "far").all()
        assert (obs[-4:-1] == 0).all()


def test_outcome_of_an_episode():
    env = FamilyEnv(Slide())
    env.reset(seed=0)
    for t in range(25):
        obs, reward, terminated, truncated, info = env.step(env.worlds.expert()[0])
        assert obs in env.observation_space
        assert type(reward) is float
        assert terminated is False
        assert truncated is (t == 24)
        assert reward == pytest.approx(sum(info["terms"].values()), rel=1e-5)
    assert info["success"] is True
    assert info["score"] == 1.0
    assert info["diverged"] is False


def test_failure_terminates():
    env = FamilyEnv(Fails())
    env.reset(seed=0)
    ends = [env.step(np.array([1.0, 0.0]))[2:4]]
    while not any(ends[-1]):
        ends.append(env.step(np.array([1.0, 0.0]))[2:4])
    assert ends[-1] == (True, False)
    with pytest.raises(ShapeError, match="have ended"):
        env.step(np.zeros(2))


def test_bad_arguments_are_typed_errors():
    with pytest.raises(UnknownNameError, match="did you mean 'toy/reach'"):
        FamilyEnv("toy/reachh")
    with pytest.raises(ConfigError, match="rgb_array"):
        FamilyEnv(Slide(), render_mode="human")
    with pytest.raises(ConfigError, match="valid: train, test, far"):
        FamilyEnv(Slide(), split="tset")
    env = FamilyEnv(Slide())
    with pytest.raises(ConfigError, match="valid: task, new_task"):
        env.reset(options={"newtask": True})
    env.reset()
    with pytest.raises(ShapeError, match=r"shape \(1, 2\)"):
        env.step(np.zeros(3))


def test_the_first_task_stays_if_told():
    env = FamilyEnv(Slide(), seed=3, new_task_every_episode=False)
    env.reset()
    goal = env.task.goal_m.copy()
    for _ in range(3):
        env.reset()
        assert np.array_equal(env.task.goal_m, goal)
    env.reset(options={"new_task": True})
    assert not np.array_equal(env.task.goal_m, goal)
