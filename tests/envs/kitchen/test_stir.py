"""Stirring: the expert with every arm, lazy and blind policies, and the food's own physics."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from metarl_kitchen import stir

from metarl.registry import make_family
from metarl.robots.robot import CONTROLS
from metarl.sim.worlds import Worlds
from metarl.types import variations

NAME = "kitchen/stir"


def play(act, split="train", num_worlds=64, seed=11, **options):
    """Success at the end, return, and the worlds; `act` takes worlds and the control step."""
    family = make_family(NAME, **options)
    worlds = Worlds(family, num_worlds, seed=seed, split=split)
    worlds.reset()
    returns = np.zeros(num_worlds)
    for t in range(family.horizon):
        step = worlds.step(act(worlds, t))
        returns += step.reward
    return float(step.success.mean()), float(returns.mean()), worlds


def expert(worlds, t):
    return worlds.expert()


def blind(worlds, t):
    """The expert that takes each hidden field for the middle of its range."""
    task, (scene, _) = worlds.task, worlds.place(0)
    middle = {
        name: np.broadcast_to(np.add(v.low, v.high) / 2.0, np.shape(getattr(task, name)))
        for name, v in variations(stir.StirTask).items()
        if v.hidden
    }
    return worlds.family.expert(scene, dataclasses.replace(task, **middle))


def still(worlds, t):
    return np.zeros((worlds.num_worlds, worlds.spec.action_dim))


def push(worlds, t):
    """Sweep low over the counter with closed fingers."""
    action = still(worlds, t)
    action[:, 0], action[:, 1] = 0.3 * np.sign(np.sin(t / 3.0)), 1.0 if t // 12 % 2 else -1.0
    action[:, 2], action[:, 5] = -1.0, 1.0
    return action


def chance(worlds, t):
    shape = (worlds.num_worlds, worlds.spec.action_dim)
    return np.random.default_rng(t).uniform(-1.0, 1.0, shape)


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("robot", ["gantry", "panda", "ur5e"])
def test_expert_stirs_with_every_arm(robot, control):
    for split in ("train", "test"):
        assert play(expert, split, robot=robot, control=control)[0] >= 0.9


def test_who_does_not_stir_gets_little():
    _, best, _ = play(expert)
    for policy in (still, push, chance):
        success, returns, _ = play(policy)
        assert success <= 0.02
        assert returns < best - 30.0


def test_who_does_not_know_the_food_fails():
    assert play(blind, num_worlds=128)[0] <= 0.3


def test_food_that_sits_burns():
    _, _, worlds = play(still, num_worlds=16)
    scene, _ = worlds.place(0)
    assert (scene.userdata[:, stir.MOVED] < 1e-3).all()
    hot = worlds.task.heat > 0.95
    assert hot.any()
    assert (scene.userdata[hot, stir.DARKEST] == 1.0).all()
    # the colour of the tomato follows
    red = scene.model_field("geom_rgba")[hot, scene.id("geom", "tomato"), 0]
    np.testing.assert_allclose(red, stir.TOMATO.burnt[0], atol=1e-6)


def test_fields_of_a_task_reach_the_model():
    worlds = Worlds(make_family(NAME), 8, seed=3)
    task, (scene, _) = worlds.task, worlds.place(0)
    for k, name in enumerate(stir.PIECES):
        body, dof = scene.id("body", name), int(scene.model.joint(f"{name}_x").dofadr[0])
        mass = scene.model_field("body_mass")[:, body]
        np.testing.assert_allclose(mass, task.mass_kg[:, k])
        slides = scene.model_field("dof_frictionloss")[:, dof]
        np.testing.assert_allclose(slides, task.friction * mass * 9.81)
        size = scene.model_field("geom_size")[:, scene.id("geom", name), 0]
        np.testing.assert_allclose(size, task.radius_m[:, k])


def test_heavier_friction_stops_food_sooner():
    worlds = Worlds(make_family(NAME), 2, seed=3)
    ones = np.ones(2)
    same = {"mass_kg": np.full((2, 3), 0.05), "pan_m": ones[:, None] * [0.5, 0.0]}
    worlds.assign(dataclasses.replace(worlds.task, friction=np.array([0.25, 0.6]), **same))
    worlds.reset()
    scene, _ = worlds.place(0)
    scene.joint_vel("tomato_x")[:] = 0.3
    for t in range(10):
        worlds.step(still(worlds, t))
    moved = scene.userdata[:, stir.MOVED][:, 0]
    assert 0.2 < moved[1] / moved[0] < 0.7


def test_food_stays_in_the_pan():
    _, _, worlds = play(push)
    scene, _ = worlds.place(0)
    food = scene.qpos[
        :, [int(scene.model.joint(f"{p}_{a}").qposadr[0]) for p in stir.PIECES for a in "xy"]
    ]
    away = np.linalg.norm(food.reshape(-1, 3, 2) - worlds.task.pan_m[:, None], axis=2)
    assert away.max() < stir.PAN_RADIUS_M
