"""Flip: the piece swings in the grip, cooks where it lies, and must be turned in time."""

import dataclasses

import numpy as np
import pytest
from metarl_kitchen.cooking import GOLDEN
from metarl_kitchen.flip import FIRST, RATE_1_S, SECOND, SLACK, STOVE_M, Flip

from metarl.registry import make_family
from metarl.robots.robot import CONTROLS, STEP_RAD
from metarl.sim.worlds import Worlds

NAME = "kitchen/flip"
ROBOTS = ["gantry", "panda", "ur5e"]
MIDDLE = {"mass_kg": 0.05, "friction": 0.85, "rate_1_s": 0.67}  # of what is hidden


def episode(act, *, family=None, split="train", num_worlds=40):
    """Success, returns and the worlds after an episode of act(family, scene, task, step)."""
    family = family or make_family(NAME)
    worlds = Worlds(family, num_worlds, seed=5, split=split)
    worlds.reset()
    scene, _ = worlds.place(0)
    returns = np.zeros(num_worlds)
    for t in range(family.horizon):
        step = worlds.step(act(family, scene, worlds.task, t))
        returns += step.reward
    return step.success, returns, worlds


def expert(family, scene, task, t):
    return family.expert(scene, task)


def guessing(**hidden):
    def act(family, scene, task, t):
        n = scene.num_worlds
        return family.expert(
            scene, dataclasses.replace(task, **{k: np.full(n, v) for k, v in hidden.items()})
        )

    return act


def still(family, scene, task, t):
    return np.zeros((scene.num_worlds, family.robot.num_actions))


def push_off(family, scene, task, t):
    """Sweep low through the pan with closed fingers."""
    action = np.zeros((scene.num_worlds, 6))
    piece = scene.body_pos("piece")
    side = np.array([0.0, -0.05 if t < 20 else 0.3, 0.0])
    height = 0.15 if t < 8 else STOVE_M + 0.008
    goal = piece * [1.0, 1.0, 0.0] + side + [0.0, 0.0, height]
    action[:, :3] = family.robot.steer(scene, goal)
    action[:, 3:5] = np.clip(-family.robot.target_angles(scene) / STEP_RAD, -1.0, 1.0)
    action[:, 5] = 1.0
    return action


@pytest.fixture(scope="module")
def knowing():
    return episode(expert)


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("robot", ROBOTS)
def test_expert_flips_with_every_robot(robot, control):
    family = make_family(NAME, robot=robot, control=control)
    for split in ("train", "test"):
        success, _, _ = episode(expert, family=family, split=split)
        assert success.mean() >= 0.95


def test_who_does_not_know_the_rate_fails():
    for split in ("train", "test"):
        success, _, worlds = episode(guessing(**MIDDLE), split=split, num_worlds=80)
        assert success.mean() <= 0.3
        scene, _ = worlds.place(0)
        assert (scene.body_mat("piece")[:, 8] < -0.97).mean() > 0.95  # turned over, at a wrong time


def test_returns_tell_the_right_moment(knowing):
    returns = {x: episode(guessing(rate_1_s=x))[1].mean() for x in (0.4, 0.9)}
    assert knowing[1].mean() > max(returns.values()) + 10.0


def test_doing_nothing_and_pushing_pay_little(knowing):
    for act in (still, push_off):
        success, returns, _ = episode(act)
        assert not success.any()
        assert returns.mean() < 0.5 * knowing[1].mean()


def test_only_the_side_that_lies_on_the_pan_cooks(knowing):
    _, _, worlds = episode(still)
    scene, _ = worlds.place(0)
    warm_s = Flip._taken_s(np.array([Flip.horizon * Flip.control_dt_s]))[0]
    expected = np.minimum(worlds.task.rate_1_s * warm_s, 1.0)
    np.testing.assert_allclose(scene.userdata[:, FIRST], expected, atol=0.03)
    assert not scene.userdata[:, SECOND].any()
    success, _, worlds = knowing
    scene, _ = worlds.place(0)
    assert (scene.userdata[success, SECOND] > 0.0).all()  # it lies on the other one now
    assert (np.abs(scene.userdata[success, FIRST] - GOLDEN) < SLACK).all()


def test_the_down_side_is_not_shown():
    worlds = Worlds(make_family(NAME), 4)
    worlds.reset()
    scene, _ = worlds.place(0)
    task = worlds.task
    before = worlds.family.observe(scene, task)["object"].copy()
    scene.userdata[:, FIRST] = 0.7
    assert np.array_equal(before, worlds.family.observe(scene, task)["object"])
    scene.userdata[:, SECOND] = 0.7
    assert not np.array_equal(before, worlds.family.observe(scene, task)["object"])


def test_variations_reach_the_model():
    worlds = Worlds(make_family(NAME), 8)
    scene, task = worlds.place(0)[0], worlds.task
    body, piece = scene.id("body", "piece"), scene.id("geom", "piece")
    np.testing.assert_allclose(scene.model_field("body_mass")[:, body], task.mass_kg)
    np.testing.assert_allclose(scene.model_field("geom_size")[:, piece], task.size_m)
    for name in ("piece", "left", "right"):
        friction = scene.model_field("geom_friction")[:, scene.id("geom", name), 0]
        np.testing.assert_allclose(friction, task.friction)
    assert (worlds.sample("far").rate_1_s < RATE_1_S[0]).all()
