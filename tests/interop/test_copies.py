"""A copy of an environment is a twin that goes on bit for bit, and then goes its own way."""

import copy
import pickle

import gymnasium
import numpy as np
import pytest
from sliders import Fails, Slide, Two

from metarl.interop import FamilyEnv, FamilyVecEnv, FamilyVectorEnv

COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda env: pickle.loads(pickle.dumps(env))}


@pytest.fixture(params=COPIES)
def twin_of(request):
    return COPIES[request.param]


def follow(env, steps, seed):
    """Everything that an environment gives, as one list of arrays."""
    out = []
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        space = env.action_space
        shape = (env.num_envs, *space.shape) if isinstance(env, FamilyVecEnv) else space.shape
        step = env.step(rng.uniform(-1, 1, shape).astype(np.float32))
        out += [np.array(x) for x in step[:-1]]
        if isinstance(env.unwrapped, FamilyEnv) and (step[2] or step[3]):
            out.append(env.reset()[0])
    return out


def same(a, b):
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b))


@pytest.mark.parametrize(
    "make",
    [
        lambda: FamilyEnv(Slide()),
        lambda: FamilyEnv("kitchen/season@robot=ur5e"),
        lambda: gymnasium.make("metarl/classic-cheetah-velocity-v0"),
        lambda: FamilyVectorEnv(Two(), 5, num_threads=1),
        lambda: FamilyVectorEnv(Fails(), 5, num_threads=1, autoreset_mode="NextStep"),
        lambda: FamilyVecEnv(Two(), 5, num_threads=1, new_task_every_episode=False),
    ],
    ids=["slide", "season", "cheetah", "two-models", "next-step", "sb3"],
)
def test_a_twin_goes_on_bit_for_bit(make, twin_of):
    env = make()
    env.reset()
    follow(env, 37, 0)
    twin = twin_of(env)
    ahead = follow(env, 60, 1)
    assert same(follow(twin, 60, 1), ahead)
    assert not same(follow(env, 30, 2), follow(twin, 30, 3))


def test_a_twin_before_the_first_reset(twin_of):
    env = FamilyEnv(Slide())
    twin = twin_of(env)
    assert np.array_equal(env.reset()[0], twin.reset()[0])
    assert twin.np_random_seed == env.np_random_seed


def test_a_twin_keeps_its_fixed_task_and_draws(twin_of):
    env = FamilyEnv("classic/point-navigation", render_mode="rgb_array", width=64, height=48)
    env.reset()
    env.set_task(env.task)
    frame = env.render()
    twin = twin_of(env)
    assert np.array_equal(twin.render(), frame)
    env.close()
    goal = twin.task.goal_m.copy()
    twin.reset()
    assert np.array_equal(twin.task.goal_m, goal)
    twin.close()


def test_a_twin_has_no_part_of_the_original(twin_of):
    env = FamilyVectorEnv(Slide(), 3, num_threads=1)
    env.reset(seed=0)
    twin = twin_of(env)
    assert twin.worlds is twin.episodes.worlds is twin._view._worlds
    assert twin.family is twin.worlds.family
    twin.family.weights = {name: 10 * w for name, w in twin.family.weights.items()}
    a, b = env.step(np.zeros((3, 2)))[1], twin.step(np.zeros((3, 2)))[1]
    assert np.allclose(b, 10 * a)
