"""The standard families: Gymnasium's physics, the papers' tasks and rewards."""

import dataclasses

import gymnasium
import mujoco
import numpy as np
import pytest

from metarl.film.render import Renderer
from metarl.registry import make_family
from metarl.sim.worlds import Worlds
from metarl.streams import Streams
from metarl.types import SPLITS

NAMES = ["cheetah-direction", "cheetah-velocity", "ant-goal", "point-navigation"]
N = 3


def family(name):
    return make_family(f"metarl_classic:classic/{name}")


def worlds_of(name, n=N, seed=0, **kwargs):
    worlds = Worlds(family(name), n, seed=seed, num_threads=1, **kwargs)
    worlds.reset()
    return worlds


def actions(worlds, steps, seed=0):
    return np.random.default_rng(seed).uniform(
        -1, 1, (steps, worlds.num_worlds, worlds.spec.action_dim)
    )


def sampled(name, split, n=2000):
    return family(name).sample(Streams.from_seed(0, n), n, split)


# Physics --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "environment", "options"),
    [
        ("cheetah-velocity", "HalfCheetah-v5", {}),
        ("ant-goal", "Ant-v5", {"include_cfrc_ext_in_observation": False}),
    ],
)
def test_same_physics_as_gymnasium(name, environment, options):
    worlds = worlds_of(name, 1)
    env = gymnasium.make(environment, **options).unwrapped
    env.reset(seed=0)
    scene, _ = worlds.place(0)
    env.set_state(scene.qpos[0].copy(), scene.qvel[0].copy())
    assert env.dt == worlds.family.control_dt_s
    hidden, nq = worlds.family.hidden_qpos, scene.model.nq
    for action in actions(worlds, 40):
        step = worlds.step(action)
        obs, _, _, _, info = env.step(action[0])
        np.testing.assert_allclose(scene.qpos[0], env.data.qpos, atol=1e-6)
        np.testing.assert_allclose(scene.qvel[0], env.data.qvel, atol=1e-6)
        seen = step.obs[0, worlds.spec.slice("robot")]
        if name == "ant-goal":
            obs = np.concatenate([env.data.qpos[:2], obs])  # ProMP shows the place
        else:
            speed = scene.userdata[0, 1]
            np.testing.assert_allclose(speed, info["reward_forward"], atol=1e-6)
        np.testing.assert_allclose(seen[: nq - hidden], obs[: nq - hidden], atol=1e-6)
        np.testing.assert_allclose(10 * seen[nq - hidden :], obs[nq - hidden :], atol=1e-5)


@pytest.mark.parametrize("name", ["cheetah-velocity", "ant-goal"])
def test_reset_noise_is_gymnasiums(name):
    scene, _ = worlds_of(name, 500).place(0)
    offset = scene.qpos - scene.model.qpos0
    assert 0.099 < np.abs(offset).max() <= 0.1
    np.testing.assert_allclose(offset.std(), 0.1 / np.sqrt(3), rtol=0.05)
    np.testing.assert_allclose(scene.qvel.std(), 0.1, rtol=0.05)


def test_point_moves_exactly():
    worlds = worlds_of("point-navigation")
    scene, _ = worlds.place(0)
    place = scene.qpos.copy()
    for action in actions(worlds, 20):
        worlds.step(3 * action)
        place += np.clip(3 * action, -1, 1) * 0.1
        np.testing.assert_allclose(scene.qpos, place, atol=1e-12)


# Tasks ----------------------------------------------------------------------------------


def test_two_directions():
    for split in SPLITS:
        task = sampled("cheetah-direction", split)
        assert set(task.direction) == {-1.0, 1.0}
        assert abs(task.direction.mean()) < 0.1
        assert (task.friction == 1.0).all() == (split != "far")


def test_far_ground_is_slippery():
    worlds = worlds_of("cheetah-direction", split="far")
    scene, _ = worlds.place(0)
    usual = scene.model.geom_friction
    seen = scene.model_field("geom_friction")
    np.testing.assert_allclose(seen, usual * worlds.task.friction[:, None, None])


def test_speeds():
    train, far = (sampled("cheetah-velocity", s).speed_m_s for s in ("train", "far"))
    assert train.min() >= 0.0
    assert 1.99 < train.max() <= 2.0
    assert far.min() >= 2.0
    assert 2.99 < far.max() <= 3.0


def test_ant_goals_fill_the_disc():
    radius = np.hypot(*sampled("ant-goal", "train").goal_m.T)
    assert 2.98 < radius.max() <= 3.0
    np.testing.assert_allclose((radius < 1.5).mean(), 0.25, atol=0.03)  # uniform over the area
    far = np.hypot(*sampled("ant-goal", "far").goal_m.T)
    assert far.min() >= 3.2
    assert far.max() <= 4.0


def test_point_goals_fill_the_square():
    goal = sampled("point-navigation", "train").goal_m
    assert 0.499 < np.abs(goal).max() <= 0.5
    np.testing.assert_allclose(goal.mean(axis=0), 0.0, atol=0.02)
    far = np.abs(sampled("point-navigation", "far").goal_m).max(axis=1)
    assert far.min() >= 0.55
    assert far.max() <= 1.0


def test_horizons():
    assert [family(n).horizon for n in NAMES] == [200, 200, 200, 100]
    assert all(family(n).same_test for n in NAMES)


# Rewards --------------------------------------------------------------------------------


def test_direction_reward():
    worlds = worlds_of("cheetah-direction", 8)
    scene, _ = worlds.place(0)
    for action in actions(worlds, 5):
        before = scene.qpos[:, 0].copy()
        reward = worlds.step(action).reward
        velocity = (scene.qpos[:, 0] - before) / 0.05
        expected = worlds.task.direction * velocity - 0.05 * (action**2).sum(axis=1)
        np.testing.assert_allclose(reward, expected, atol=1e-5)


def test_velocity_reward():
    worlds = worlds_of("cheetah-velocity", 8)
    scene, _ = worlds.place(0)
    for action in actions(worlds, 5):
        before = scene.qpos[:, 0].copy()
        reward = worlds.step(action).reward
        velocity = (scene.qpos[:, 0] - before) / 0.05
        error = np.abs(velocity - worlds.task.speed_m_s)
        np.testing.assert_allclose(reward, -error - 0.05 * (action**2).sum(axis=1), atol=1e-5)


def test_ant_reward():
    worlds = worlds_of("ant-goal", 8)
    scene, _ = worlds.place(0)
    for action in actions(worlds, 5):
        step = worlds.step(action)
        away = np.abs(scene.body_pos("torso")[:, :2] - worlds.task.goal_m).sum(axis=1)
        expected = -away - 0.1 * (action**2).sum(axis=1)
        np.testing.assert_allclose(step.reward, expected, atol=1e-5)
        assert not step.terminated.any()


def test_point_reward_and_end():
    worlds = worlds_of("point-navigation", 8)
    scene, _ = worlds.place(0)
    for action in actions(worlds, 2):
        away = worlds.step(action)
        expected = -np.sqrt(((scene.qpos - worlds.task.goal_m) ** 2).sum(axis=1))
        np.testing.assert_allclose(away.reward, expected, atol=1e-6)
        assert not away.terminated.any()
    scene.qpos[:] = worlds.task.goal_m + [0.0095, -0.0095]
    there = worlds.step(np.zeros((8, 2)))
    assert there.terminated.all()
    assert there.success.all()


@pytest.mark.parametrize(
    ("name", "field", "value", "steady", "success"),
    [
        ("cheetah-direction", "direction", -1.0, -1.1, True),
        ("cheetah-direction", "direction", -1.0, 1.1, False),
        ("cheetah-direction", "direction", 1.0, 0.9, False),
        ("cheetah-velocity", "speed_m_s", 1.0, 0.85, True),
        ("cheetah-velocity", "speed_m_s", 1.0, 1.25, False),
        ("cheetah-velocity", "speed_m_s", 0.0, 0.0, False),
    ],
)
def test_success_of_cheetahs(name, field, value, steady, success):
    worlds = worlds_of(name)
    scene, _ = worlds.place(0)
    getattr(worlds.task, field)[:] = value
    scene.userdata[:, 2] = steady
    assert (worlds.family.success(scene, worlds.task) == success).all()


def test_steady_speed_follows_the_speed():
    worlds = worlds_of("cheetah-velocity", 1)
    scene, _ = worlds.place(0)
    steady = 0.0
    for action in actions(worlds, 10):
        worlds.step(action)
        steady += 0.1 * (scene.userdata[0, 1] - steady)
        np.testing.assert_allclose(scene.userdata[0, 2], steady)


# Films ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ant-goal", "point-navigation"])
def test_the_goal_is_shown_to_films_alone(name):
    worlds = worlds_of(name, 1)
    assert worlds.family.cameras == ()
    scene, _ = worlds.place(0)
    np.testing.assert_allclose(scene.mocap_pos("goal")[:, :2], worlds.task.goal_m)
    model, data = worlds.world()
    frames = []
    with Renderer(model, 160, 120, worlds.family.film_camera, film=True) as renderer:
        for place in (worlds.task.goal_m[0], [9.0, 9.0]):
            data.mocap_pos[0, :2] = place
            mujoco.mj_forward(model, data)
            frames.append(renderer.frame(model, data).astype(int))
    assert np.abs(frames[0] - frames[1]).max() > 30


@pytest.mark.parametrize(
    ("name", "wanted"), [("cheetah-velocity", "1.5 m/s"), ("cheetah-direction", "backward")]
)
def test_films_say_what_is_wanted_and_how_fast_it_runs(name, wanted):
    worlds = worlds_of(name)
    field = "speed_m_s" if name == "cheetah-velocity" else "direction"
    value = 1.5 if name == "cheetah-velocity" else -1.0
    worlds.assign(dataclasses.replace(worlds.task, **{field: np.full(N, value)}))
    worlds.reset()
    for action in actions(worlds, 20):
        worlds.step(action)
    scene, i = worlds.place(1)
    steady = scene.userdata[i, 2]
    assert abs(steady) > 0.05
    assert worlds.caption(1) == f"wanted {wanted}, runs {steady:.1f} m/s"


@pytest.mark.parametrize("name", NAMES)
def test_film_camera_exists(name):
    for model in worlds_of(name, 1).models.values():
        assert model.camera(family(name).film_camera).id >= 0
