"""Observations as one row of numbers, or by block; and what the checkers say."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector.utils import batch_space
from sliders import Slide
from stable_baselines3.common.env_checker import check_env as check_env_sb3
from stable_baselines3.common.vec_env import DummyVecEnv

from metarl.errors import ConfigError
from metarl.interop import FamilyEnv, FamilyVecEnv, FamilyVectorEnv
from metarl.interop.registration import gym_id
from metarl.registry import family_names

BUILT_IN = [n for n in family_names() if n.partition("/")[0] in ("classic", "kitchen")]


def test_there_are_families_to_check():
    assert len(BUILT_IN) > 12


@pytest.mark.parametrize("observation", ["flat", "dict"])
@pytest.mark.parametrize("name", BUILT_IN)
def test_checkers_accept_every_family_without_a_warning(name, observation):
    env = gymnasium.make(gym_id(name), observation=observation)
    assert env.spec.max_episode_steps == env.unwrapped.family.horizon
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped, skip_render_check=True)
        check_env_sb3(env)


def test_the_checker_draws_too():
    env = gymnasium.make("metarl/toy-reach-v0", render_mode="rgb_array", width=32, height=24)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)


def test_blocks_are_the_columns_of_a_row():
    flat, blocks = (FamilyEnv(Slide(), seed=0, observation=o) for o in ("flat", "dict"))
    spec = flat.worlds.spec
    row, _ = flat.reset()
    named, _ = blocks.reset()
    for action in np.zeros((3, 2)):
        assert named in blocks.observation_space
        assert set(named) == {"robot", "object", "task"}
        for name, value in named.items():
            assert np.array_equal(value, row[spec.slice(name)])
            assert value.dtype == np.float32
        row, named = flat.step(action)[0], blocks.step(action)[0]


def test_hidden_fields_are_hidden_in_blocks_too():
    env = FamilyEnv(Slide(), seed=0, observation="dict", task_visible=False)
    assert (env.reset()[0]["task"][:3] == 0).all()


def test_what_was_given_away_does_not_change():
    for env in (
        FamilyEnv(Slide(), observation="dict"),
        FamilyVectorEnv(Slide(), 2, observation="dict"),
    ):
        kept, _ = env.reset()
        before = {name: value.copy() for name, value in kept.items()}
        for _ in range(3):
            env.step(env.action_space.sample())
        env.reset()
        assert all(np.array_equal(kept[name], before[name]) for name in kept)


def test_vector_environments_by_block():
    vector = FamilyVectorEnv(Slide(), 3, num_threads=1, observation="dict", seed=4)
    single = FamilyEnv(Slide(), observation="dict", seed=5)
    obs, _ = vector.reset()
    want, _ = single.reset()
    for _ in range(25):
        assert obs in vector.observation_space
        assert all(np.array_equal(obs[name][1], want[name]) for name in want)
        obs, *_, infos = vector.step(np.zeros((3, 2)))
        want = single.step(np.zeros(2))[0]
    last = infos["final_obs"][1]
    assert last in vector.single_observation_space
    assert all(np.array_equal(last[name], want[name]) for name in want)


def test_sb3_by_block_is_its_own_wrapper_of_single_environments():
    ours = FamilyVecEnv(Slide(), 1, num_threads=1, observation="dict", seed=4)
    theirs = DummyVecEnv([lambda: FamilyEnv(Slide(), observation="dict", seed=4)])
    a, b = ours.reset(), theirs.reset()
    for _ in range(26):
        assert a in batch_space(ours.observation_space, 1)
        assert all(np.array_equal(a[name], b[name]) for name in b)
        a, _, done, infos = ours.step(np.zeros((1, 2)))
        b, _, want, their_infos = theirs.step(np.zeros((1, 2)))
        assert done == want
        if done:
            last, their_last = (i[0]["terminal_observation"] for i in (infos, their_infos))
            assert all(np.array_equal(last[name], their_last[name]) for name in last)


def test_unknown_kinds():
    for make in (FamilyEnv, FamilyVectorEnv, FamilyVecEnv):
        with pytest.raises(ConfigError, match="observation is 'blocks'; expected 'flat', 'dict'"):
            make(Slide(), **({} if make is FamilyEnv else {"num_envs": 1}), observation="blocks")
