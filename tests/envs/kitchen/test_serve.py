"""Serve: fragile food from the pan onto its spot on the plate."""

import dataclasses

import numpy as np
import pytest
from metarl_kitchen.serve import DUMPLING, FLOOR_M, FORCE, PATTY, PEAK, Serve

from metarl.registry import make_family
from metarl.robots.robot import CONTROLS
from metarl.sim.worlds import Worlds
from metarl.streams import Streams
from metarl.types import take, variations

NAME = "kitchen/serve"


def episode(worlds, act):
    worlds.reset()
    returns = np.zeros(worlds.num_worlds)
    for _ in range(worlds.family.horizon):
        step = worlds.step(act(worlds))
        returns += step.reward
    return float(step.success.mean()), float(returns.mean())


def each(worlds, act):
    """Ask `act(scene, task)` for each model's worlds."""
    action = np.zeros((worlds.num_worlds, worlds.spec.action_dim))
    for group in worlds._groups:
        action[group.rows] = act(group.scene, take(worlds.task, group.ids))
    return action


def fields(worlds, column):
    """A column of userdata of every world."""
    places = [worlds.place(i) for i in range(worlds.num_worlds)]
    return np.array([scene.userdata[row, column] for scene, row in places])


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("robot", ["gantry", "panda", "ur5e"])
def test_expert_serves(robot, control):
    family = make_family(NAME, robot=robot, control=control)
    for split in ("train", "test"):
        success, _ = episode(Worlds(family, 32, seed=11, split=split), Worlds.expert)
        assert success >= 0.9


def test_idling_and_pushing_earn_little():
    worlds = Worlds(Serve(), 32, seed=3)
    _, expert = episode(worlds, Worlds.expert)

    def push(scene, task):
        hand, food = scene.site_pos("grip"), scene.body_pos("food")
        behind = np.column_stack([food[:, :2] - [0.0, 0.05], np.full(len(food), 0.03)])
        low = hand[:, 2:] < 0.05
        goal = np.where(low, hand + [0.0, 0.06, -0.02], behind)
        still = np.zeros((len(food), 2))
        closed = np.ones((len(food), 1))
        return np.column_stack([Serve().robot.steer(scene, goal), still, closed])

    idle = episode(worlds, lambda w: np.zeros((w.num_worlds, 6)))
    pushed = episode(worlds, lambda w: each(w, push))
    for success, returns in (idle, pushed):
        assert success == 0.0
        assert returns < 0.25 * expert


def test_what_is_hidden_matters():
    worlds = Worlds(Serve(), 64, seed=4)
    middle = {
        name: (np.asarray(v.low) + np.asarray(v.high)) / 2.0
        for name, v in variations(worlds.family.task_type).items()
        if v.hidden
    }

    def blind(scene, task):
        known = {n: np.broadcast_to(m, getattr(task, n).shape) for n, m in middle.items()}
        return worlds.family.expert(scene, dataclasses.replace(task, **known))

    success, _ = episode(worlds, lambda w: each(w, blind))
    assert success <= 0.3


def test_it_must_be_laid_down_and_held_gently():
    worlds = Worlds(Serve(), 64, seed=5)
    family = worlds.family

    def drop(scene, task):
        action = family.expert(scene, task)
        over = (family._offset(scene, task) < 0.03) & (family._height(scene, task) > 0.02)
        action[over, 5] = -1.0
        return action

    def crush(scene, task):
        action = family.expert(scene, task)
        action[:, 5] = np.where(action[:, 5] > 0.0, 1.0, action[:, 5])
        return action

    assert episode(worlds, lambda w: each(w, drop))[0] < 0.5
    assert episode(worlds, lambda w: each(w, crush))[0] < 0.3


def test_force_on_food_that_lies_is_its_weight():
    worlds = Worlds(Serve(), 24, seed=6)
    worlds.reset()
    for _ in range(12):
        worlds.step(np.zeros((24, 6)))
    force, peak = fields(worlds, FORCE), fields(worlds, PEAK)
    np.testing.assert_allclose(force, 9.81 * worlds.task.mass_kg, rtol=0.03)
    assert (peak >= force).all()
    assert (peak < 0.5 * worlds.task.stands_n).all()


def test_a_harder_hit_breaks():
    worlds = Worlds(Serve(), 24, seed=6)
    peaks = []
    for height in (0.01, 0.08):
        worlds.reset()
        for i in range(24):
            scene, row = worlds.place(i)
            place = worlds.task.plate_m[i]
            scene.joint_pos("food")[row, :3] = [*place, FLOOR_M + worlds.task.size_m[i, 2] + height]
        for _ in range(8):
            worlds.step(np.zeros((24, 6)))
        peaks.append(fields(worlds, PEAK))
    assert (peaks[0] < worlds.task.stands_n).all()
    assert (peaks[1] > 1.5 * peaks[0]).all()
    assert (peaks[1] > worlds.task.stands_n).mean() > 0.3


def test_sizes_mass_and_friction_arrive():
    worlds = Worlds(Serve(), 24, seed=7)
    task = worlds.task
    for i in range(24):
        model, _ = worlds.world(i)
        geom, body = model.geom("food"), model.body("food")
        assert body.mass[0] == pytest.approx(task.mass_kg[i])
        assert geom.friction[0] == pytest.approx(task.friction[i])
        a, b, c = task.size_m[i]
        size = [a, c, 0.0] if task.model[i] == PATTY else [a, b, c]
        np.testing.assert_allclose(geom.size, size)
        if task.model[i] == DUMPLING:
            inertia = np.array([b * b + c * c, a * a + c * c, a * a + b * b]) / 5.0
            np.testing.assert_allclose(body.inertia, task.mass_kg[i] * inertia)


@pytest.mark.parametrize("control", CONTROLS)
def test_a_strong_gripper_squeezes_harder(control):
    worlds = Worlds(make_family(NAME, control=control), 48, seed=8)
    task = dataclasses.replace(worlds.task, strength=np.repeat([0.8, 1.2], 24))
    halves = {n: np.tile(getattr(task, n)[:24].T, 2).T for n in vars(task) if n != "strength"}
    worlds.assign(dataclasses.replace(task, **halves))
    worlds.streams = Streams(np.tile(worlds.streams.keys[:24], 2), np.zeros(48, np.uint64))
    worlds.reset()

    def crush(scene, task):
        action = worlds.family.expert(
            scene, dataclasses.replace(task, strength=np.ones(len(task.strength)))
        )
        action[:, -1] = np.where(action[:, -1] > 0.0, 1.0, action[:, -1])
        return action

    for _ in range(25):
        worlds.step(each(worlds, crush))
    weak, strong = np.split(fields(worlds, PEAK), 2)
    held = weak > 6.0
    assert held.sum() > 12
    assert np.median(strong[held] / weak[held]) == pytest.approx(1.5, rel=0.15)
