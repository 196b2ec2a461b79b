"""N worlds as a Gymnasium vector environment."""

import functools

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from sliders import Fails, Slide

from metarl.errors import ConfigError, ShapeError
from metarl.interop import FamilyEnv, FamilyVectorEnv


def actions(steps, n, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (steps, n, 2)).astype(np.float32)


def test_vector_spaces_and_mode():
    envs = FamilyVectorEnv(Slide(), 3, num_threads=1)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert envs.observation_space.shape == (3, 9)
    assert envs.action_space.shape == (3, 2)
    assert envs.single_observation_space == FamilyEnv(Slide()).observation_space
    obs, info = envs.reset(seed=0)
    assert obs in envs.observation_space
    assert info == {}


def test_vector_rows_are_single_environments():
    envs = FamilyVectorEnv(Slide(), 3, num_threads=1)
    singles = [FamilyEnv(Slide()) for _ in range(3)]
    obs, _ = envs.reset(seed=[4, 5, 6])
    assert np.array_equal(obs, [e.reset(seed=s)[0] for e, s in zip(singles, (4, 5, 6))])
    for action in actions(60, 3):
        obs, reward, terminated, truncated, infos = envs.step(action)
        for i, env in enumerate(singles):
            own, r, term, trunc, info = env.step(action[i])
            assert (reward[i], terminated[i], truncated[i]) == (r, term, trunc)
            if term or trunc:
                assert np.array_equal(infos["final_obs"][i], own)
                assert infos["final_info"]["success"][i] == info["success"]
                assert infos["final_info"]["terms"]["near"][i] == info["terms"]["near"]
                own, _ = env.reset()
            else:
                assert infos["success"][i] == info["success"]
            assert np.array_equal(obs[i], own)


def test_vector_final_infos_only_where_episodes_ended():
    envs = FamilyVectorEnv(Fails(), 6, num_threads=1)
    envs.reset(seed=0)
    mixed = 0
    for action in np.abs(actions(40, 6)):
        _, _, terminated, truncated, infos = envs.step(action)
        done = terminated | truncated
        assert ("final_obs" in infos) == done.any()
        assert np.array_equal(infos["_success"], ~done)
        if done.any():
            assert np.array_equal(infos["_final_obs"], done)
            assert np.array_equal(infos["_final_info"], done)
            assert np.array_equal([o is not None for o in infos["final_obs"]], done)
            assert np.array_equal(infos["final_info"]["_score"], done)
            mixed += not done.all()
    assert mixed


def test_vector_reset_mask_and_options():
    envs = FamilyVectorEnv(Slide(), 4, num_threads=1, new_task_every_episode=False)
    first, _ = envs.reset(seed=0)
    goals = envs.worlds.task.goal_m.copy()
    mask = np.array([True, False, True, False])
    obs, _ = envs.reset(options={"reset_mask": mask})
    assert np.array_equal(envs.worlds.task.goal_m, goals)
    assert ((obs != first).any(axis=1) == mask).all()
    envs.reset(options={"reset_mask": mask, "new_task": True})
    assert ((envs.worlds.task.goal_m != goals).any(axis=1) == mask).all()
    with pytest.raises(ShapeError, match="reset_mask"):
        envs.reset(options={"reset_mask": np.zeros(4, bool)})
    with pytest.raises(ShapeError, match="got 2 seeds for 4 worlds"):
        envs.reset(seed=[1, 2])


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
@pytest.mark.parametrize("family", [Slide, Fails])
@pytest.mark.parametrize("new_task", [True, False])
def test_it_is_gymnasiums_own_vector_environment(mode, family, new_task):
    ours = FamilyVectorEnv(
        family(), 4, num_threads=1, autoreset_mode=mode, new_task_every_episode=new_task
    )
    make = functools.partial(FamilyEnv, family(), new_task_every_episode=new_task)
    theirs = SyncVectorEnv([make] * 4, autoreset_mode=mode)
    assert ours.metadata["autoreset_mode"] is mode
    assert np.array_equal(ours.reset(seed=7)[0], theirs.reset(seed=7)[0])
    ended = 0
    for action in np.abs(actions(60, 4)):
        *a, infos = ours.step(action)
        *b, want = theirs.step(action)
        for x, y in zip(a, b):
            assert np.array_equal(x, y)
            assert x.dtype == y.dtype
        ended += np.count_nonzero(a[2] | a[3])
        _same_infos(infos, want)
    assert ended > 4


def _same_infos(infos, want):
    for name, value in want.items():
        if isinstance(value, dict):
            _same_infos(infos[name], value)
        elif name == "final_obs":
            for x, y in zip(infos[name], value):
                assert (x is None) is (y is None)
                assert x is None or np.array_equal(x, y)
        else:
            assert np.allclose(infos[name], value, rtol=1e-6), name
    for name in infos.keys() - want.keys():  # ours are there in every step
        assert not np.any(infos[name]) if name.startswith("_") else f"_{name}" in infos


def test_next_step_ignores_the_action_of_a_world_that_ended():
    envs = FamilyVectorEnv(Slide(), 2, num_threads=1, autoreset_mode="NextStep")
    envs.reset(seed=0)
    for action in actions(25, 2):
        last, _, _, truncated, _ = envs.step(action)
    assert truncated.all()
    first, reward, terminated, truncated, infos = envs.step(actions(1, 2)[0])
    assert not np.array_equal(first, last)
    assert (envs.worlds.elapsed == 0).all()
    assert (reward == 0).all()
    assert not (terminated | truncated).any()
    assert infos == {}


def test_a_masked_reset_is_enough_after_the_end():
    envs = FamilyVectorEnv(Slide(), 2, num_threads=1, autoreset_mode="NextStep")
    envs.reset(seed=0)
    for action in actions(25, 2):
        envs.step(action)
    envs.reset(options={"reset_mask": np.array([True, False])})
    envs.step(actions(1, 2)[0])
    assert envs.worlds.elapsed.tolist() == [1, 0]


def test_disabled_waits_for_a_reset():
    envs = FamilyVectorEnv(Slide(), 3, num_threads=1, autoreset_mode="Disabled")
    envs.reset(seed=0)
    for action in actions(25, 3):
        _, _, _, truncated, infos = envs.step(action)
    assert truncated.all()
    assert infos["_success"].all()
    assert "final_obs" not in infos
    envs.reset(options={"reset_mask": np.array([True, True, False])})
    with pytest.raises(ShapeError, match=r"worlds \[2\] have ended; call reset\(options="):
        envs.step(actions(1, 3)[0])
    envs.reset(options={"reset_mask": np.array([False, False, True])})
    envs.step(actions(1, 3)[0])
    assert (envs.worlds.elapsed == 1).all()


def test_shorter_episodes():
    envs = FamilyVectorEnv(Slide(), 2, num_threads=1, max_episode_steps=10)
    envs.reset(seed=0)
    ends = [envs.step(action)[3].tolist() for action in actions(20, 2)]
    assert [i for i, end in enumerate(ends) if any(end)] == [9, 19]
    assert FamilyVectorEnv(Slide(), 1, max_episode_steps=-1)._limit == 25
    for steps in (0, 26, 2.5, True, "9"):
        with pytest.raises(ConfigError, match=r"max_episode_steps is .*; expected 1 to 25"):
            FamilyVectorEnv(Slide(), 1, max_episode_steps=steps)


def test_unknown_modes():
    with pytest.raises(ConfigError, match="'Later'; valid: NextStep, SameStep, Disabled"):
        FamilyVectorEnv(Slide(), 1, autoreset_mode="Later")


@pytest.mark.parametrize("mode", ["SameStep", "NextStep"])
def test_gymnasium_statistics_know_both_modes(mode):
    envs = FamilyVectorEnv(Fails(), 5, num_threads=1, autoreset_mode=mode)
    envs = gymnasium.wrappers.vector.RecordEpisodeStatistics(envs)
    envs.reset(seed=1)
    totals, found, over = np.zeros(5), 0, np.zeros(5, bool)
    for action in np.abs(actions(60, 5)):
        _, reward, terminated, truncated, infos = envs.step(action)
        totals = np.where(over, 0.0, totals + reward) if mode == "NextStep" else totals + reward
        over = terminated | truncated
        if over.any():
            found += 1
            assert np.allclose(infos["episode"]["r"][over], totals[over], atol=1e-4)
            totals[over] = 0.0
    assert found > 1
