"""N worlds as a Stable-Baselines3 vector environment."""

import gymnasium
import imageio.v3
import numpy as np
import pytest
from gymnasium.vector.utils import batch_space
from sliders import Fails, Slide, Two
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecVideoRecorder

from metarl.errors import ConfigError, ShapeError, UnknownNameError
from metarl.interop import FamilyEnv, FamilyVecEnv
from metarl.sim.worlds import Worlds
from metarl.types import take


def actions(steps, n, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (steps, n, 2)).astype(np.float32)


def test_vec_env_follows_the_worlds():
    vec = FamilyVecEnv(Slide(), 5, num_threads=1, seed=0)
    worlds = Worlds(Slide(), 5, task_visible=True, seed=0)
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
    vec = FamilyVecEnv(Fails(), 6, num_threads=1, seed=0)
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


def test_ppo_learns_from_it_without_warnings():
    vec = FamilyVecEnv(Two(), 8, num_threads=1)
    model = PPO("MlpPolicy", vec, n_steps=30, batch_size=60, n_epochs=1, seed=0, device="cpu")
    model.learn(480)
    assert len(model.ep_info_buffer) == 16
    assert len(model.ep_success_buffer) == 16
    rewards, lengths = evaluate_policy(model, vec, 8, return_episode_rewards=True)
    assert lengths == [25] * 8
    assert np.isfinite(rewards).all()


def test_what_all_worlds_share():
    vec = FamilyVecEnv(Slide(), 3, num_threads=1)
    assert vec.get_attr("num_envs", [0, 2]) == [3, 3]
    assert vec.get_attr("render_mode") == [None] * 3
    assert vec.env_is_wrapped(Monitor) == [True] * 3
    assert vec.env_is_wrapped(gymnasium.Wrapper, 0) == [False]
    assert not vec.has_attr("no_such_attribute")
    vec.set_attr("family", vec.family)
    with pytest.raises(ConfigError, match="all 3 worlds share 'family'; set it without indices"):
        vec.set_attr("family", Slide(), indices=[0, 2])
    with pytest.raises(UnknownNameError, match=r"unknown attribute 'gravity'.*task"):
        vec.set_attr("gravity", 1.0)


def test_single_worlds_have_tasks_of_their_own():
    vec = FamilyVecEnv(Slide(), 3, num_threads=1, seed=0)
    vec.reset()
    goals = vec.worlds.task.goal_m.copy()
    tasks = vec.get_attr("task", [0, 2])
    assert np.array_equal([t.goal_m[0] for t in tasks], goals[[0, 2]])
    vec.env_method("set_task", tasks[0], indices=1)
    for _ in range(2):
        vec.reset()
        assert np.array_equal(vec.worlds.task.goal_m[1], goals[0])
        assert (vec.worlds.task.goal_m[[0, 2]] != goals[[0, 2]]).all()
    vec.env_method("set_task", None, indices=1)
    vec.set_attr("task", tasks[1], indices=[0])
    for _ in range(26):  # over the end of an episode
        vec.step(np.zeros((3, 2)))
    assert np.array_equal(vec.worlds.task.goal_m[0], goals[2])
    assert (vec.worlds.task.goal_m[1] != goals[0]).all()
    with pytest.raises(ShapeError, match="the task is a dict; expected SlideTask"):
        vec.env_method("set_task", {"goal_m": 1}, indices=0)


def test_a_single_world_is_seeded_and_reset():
    vec = FamilyVecEnv(Slide(), 3, num_threads=1, seed=0)
    first = vec.reset()
    assert vec.env_method("seed", 5, indices=[1]) == [5]
    second = vec.reset()
    assert np.array_equal(second[1], FamilyEnv(Slide()).reset(seed=5)[0])
    assert (second[[0, 2]] != first[[0, 2]]).any(axis=1).all()
    vec.step(np.ones((3, 2)))
    (alone, info), (other, _) = vec.env_method("reset", seed=5, indices=[2, 0])
    assert info == {}
    assert np.array_equal(alone, second[1])
    assert np.array_equal(alone, other)
    assert vec.worlds.elapsed.tolist() == [0, 1, 0]
    assert vec._lengths.tolist() == [0, 1, 0]


def test_names_and_indices_that_are_not_there():
    vec = FamilyVecEnv(Slide(), 3, num_threads=1)
    with pytest.raises(UnknownNameError, match=r"method of a single world 'step'.*render, reset"):
        vec.env_method("step", np.zeros(2))
    for indices in (3, [0, 7], [-4], ["0"], np.int64(3), 1.5):
        with pytest.raises(ConfigError, match=r"expected worlds within \[0, 3\)"):
            vec.get_attr("task", indices)
    assert len(vec.get_attr("task", np.int64(2))) == 1


def test_options_hold_for_the_next_reset():
    vec = FamilyVecEnv(Slide(), 3, num_threads=1, seed=0)
    first = vec.reset()
    goals = vec.worlds.task.goal_m.copy()
    vec.set_options({"new_task": False})
    assert not np.array_equal(vec.reset()[:, :5], first[:, :5])
    assert np.array_equal(vec.worlds.task.goal_m, goals)
    vec.reset()
    assert (vec.worlds.task.goal_m != goals).all()
    task = take(vec.worlds.task, slice(0, 1))
    vec.set_options([{}, {"task": task}, {"new_task": False}])
    before = vec.worlds.task.goal_m.copy()
    vec.reset()
    after = vec.worlds.task.goal_m
    assert (after[0] != before[0]).all()
    assert np.array_equal(after[1:], before[[0, 2]])
    vec.set_options({"task": task})
    vec.reset()
    assert np.array_equal(vec.worlds.task.goal_m, before[[0, 0, 0]])
    with pytest.raises(ShapeError, match="options for 2 worlds; there are 3"):
        vec.set_options([{}, {}])
    with pytest.raises(ShapeError, match="has 3 rows; expected one row"):
        vec.set_options({"task": vec.worlds.task})


def test_multi_input_policy_learns_from_blocks():
    vec = FamilyVecEnv(Two(), 4, num_threads=1, observation="dict", seed=0)
    assert set(vec.reset()) == {"robot", "object", "task"}
    model = PPO("MultiInputPolicy", vec, n_steps=30, batch_size=60, n_epochs=1, device="cpu")
    model.learn(120)
    assert len(model.ep_info_buffer) == 4
    vec.reset()
    for _ in range(25):
        obs, _, done, infos = vec.step(np.zeros((4, 2)))
        assert obs in batch_space(vec.observation_space, 4)
    assert done.all()
    assert infos[0]["terminal_observation"] in vec.observation_space


def test_vec_video_recorder(tmp_path):
    vec = FamilyVecEnv(
        "classic/point-navigation", 3, num_threads=1, seed=0, render_mode="rgb_array", width=64,
        height=48,
    )  # fmt: skip
    assert vec.metadata["render_fps"] == round(1 / vec.family.control_dt_s)
    vec = VecVideoRecorder(vec, str(tmp_path), lambda step: step == 0, video_length=9)
    model = PPO("MlpPolicy", vec, n_steps=8, batch_size=24, n_epochs=1, seed=0, device="cpu")
    model.learn(48)
    vec.close()
    (film,) = tmp_path.glob("*.mp4")
    frames = list(imageio.v3.imiter(film))
    assert frames[0].shape == (96, 128, 3)  # four tiles, of which one is black
    assert 9 <= len(frames) <= 11
    assert frames[0][:48, :64].std() > 5
    assert np.abs(frames[0].astype(int) - frames[-1]).max() > 30
