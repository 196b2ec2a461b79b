"""Gymnasium and Stable-Baselines3 see the worlds as they are."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from sliders import Slide, Two
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor

from metarl.errors import ConfigError, ShapeError, UnknownNameError
from metarl.interop import FamilyEnv, FamilyVecEnv, FamilyVectorEnv, register_gym_ids
from metarl.sim.worlds import Worlds
from metarl.types import take


def actions(steps, n, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (steps, n, 2)).astype(np.float32)


class Fails(Slide):
    """Fails where x > 0.1, from the start or on the way."""

    def failure(self, worlds, task):
        return worlds.qpos[:, 0] > 0.1


# Gymnasium, one world -------------------------------------------------------------------


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
    with pytest.raises(ShapeError, match="one row, got 2"):
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


def test_gymnasium_ids():
    assert "metarl/toy-reach-v0" in register_gym_ids()
    env = gymnasium.make("metarl.interop:metarl/toy-reach-v0", task_visible=False)
    assert isinstance(env.unwrapped, FamilyEnv)
    assert env.reset(seed=1)[0] in env.observation_space
    envs = gymnasium.make_vec(
        "metarl/toy-reach-v0", num_envs=3, vectorization_mode="vector_entry_point"
    )
    assert isinstance(envs.unwrapped, FamilyVectorEnv)
    assert envs.reset()[0].shape == (3, 6)


@pytest.mark.parametrize("family", [Slide, Two])
def test_render(family):
    env = FamilyEnv(family(), render_mode="rgb_array")
    env.width, env.height = 64, 48
    frames = []
    for _ in range(4):
        env.reset()
        frames.append(env.render())
    env.close()
    assert {f.shape for f in frames} == {(48, 64, 3)}
    assert {f.dtype for f in frames} == {np.dtype(np.uint8)}
    assert not np.array_equal(frames[0], frames[1])
    assert FamilyEnv(family()).render() is None


# Gymnasium, N worlds --------------------------------------------------------------------


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


def test_gymnasium_vector_statistics_wrapper_agrees():
    envs = gymnasium.wrappers.vector.RecordEpisodeStatistics(
        FamilyVectorEnv(Slide(), 3, num_threads=1)
    )
    envs.reset(seed=0)
    total = np.zeros(3)
    for action in actions(25, 3):
        _, reward, _, truncated, infos = envs.step(action)
        total += reward
    assert truncated.all()
    assert np.allclose(infos["episode"]["r"], total, atol=1e-4)
    assert (infos["episode"]["l"] == 25).all()


# Stable-Baselines3 ----------------------------------------------------------------------


def test_vec_env_follows_the_worlds():
    vec, worlds = FamilyVecEnv(Slide(), 5, num_threads=1), Worlds(Slide(), 5, task_visible=True)
    assert np.array_equal(vec.reset(), _begin(worlds))
    total = np.zeros(5)
    for t, action in enumerate(actions(50, 5)):
        obs, reward, done, infos = vec.step(action)
        step = worlds.step(action)
        total += step.reward
        assert np.array_equal(reward, step.reward)
        assert done.all() == ((t + 1) % 25 == 0)
        if not done.any():
            assert infos == [{}] * 5
            assert np.array_equal(obs, step.obs)
            continue
        for i, info in enumerate(infos):
            assert np.array_equal(info["terminal_observation"], step.obs[i])
            assert info["TimeLimit.truncated"] is True
            assert info["is_success"] == step.success[i]
            assert info["episode"]["r"] == pytest.approx(total[i])
            assert info["episode"]["l"] == 25
            assert info["episode"]["t"] >= 0
        total[:] = 0
        assert np.array_equal(obs, _begin(worlds))


def _begin(worlds):
    if worlds.elapsed.sum() == 0:  # the adapter draws its first tasks from fresh streams
        worlds.streams.counters[:] = 0
    worlds.assign(worlds.sample("train"))
    return worlds.reset()


def test_vec_env_termination_is_no_time_limit():
    vec = FamilyVecEnv(Fails(), 6, num_threads=1)
    vec.reset()
    seen = set()
    for action in np.abs(actions(60, 6)):
        _, _, done, infos = vec.step(action)
        assert [bool(i) for i in infos] == done.tolist()
        for info in filter(None, infos):
            seen.add((info["TimeLimit.truncated"], info["episode"]["l"] == 25))
    assert (False, False) in seen
    assert (True, False) not in seen


def test_vec_env_keeps_tasks_if_told():
    vec = FamilyVecEnv(Slide(), 3, num_threads=1, new_task_every_episode=False)
    tasks = vec.worlds.sample("test")
    vec.worlds.assign(tasks)
    vec.reset()
    for action in actions(30, 3):
        vec.step(action)
    assert np.array_equal(vec.worlds.task.goal_m, tasks.goal_m)


def test_vec_env_seed_without_global_random_state():
    vec = FamilyVecEnv(Slide(), 3, num_threads=1)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    vec.seed(3)
    first = vec.reset()
    assert not np.array_equal(first, vec.reset())
    vec.seed(3)
    assert np.array_equal(first, vec.reset())
    vec.seed()
    assert not np.array_equal(first, vec.reset())
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002


def test_vec_env_attributes():
    vec = FamilyVecEnv(Slide(), 3, num_threads=1)
    assert vec.get_attr("num_envs", [0, 2]) == [3, 3]
    assert vec.env_is_wrapped(Monitor) == [True] * 3
    assert vec.env_is_wrapped(gymnasium.Wrapper, 0) == [False]
    assert vec.env_method("seed", 1, indices=[1]) == [[1, 1, 1]]
    assert not vec.has_attr("no_such_attribute")


def test_ppo_learns_from_it_without_warnings():
    vec = FamilyVecEnv(Two(), 8, num_threads=1)
    model = PPO("MlpPolicy", vec, n_steps=30, batch_size=60, n_epochs=1, seed=0, device="cpu")
    model.learn(480)
    assert len(model.ep_info_buffer) == 16
    assert len(model.ep_success_buffer) == 16
    rewards, lengths = evaluate_policy(model, vec, 8, return_episode_rewards=True)
    assert lengths == [25] * 8
    assert np.isfinite(rewards).all()
