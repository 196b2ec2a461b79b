"""Covering a pot: the lid, its knob, and a camera that misplaces the pot."""

import dataclasses
import functools

import numpy as np
import pytest
from metarl_kitchen import cover

from metarl.registry import make_family
from metarl.robots.robot import CONTROLS
from metarl.sim.worlds import Worlds
from metarl.streams import Streams

NAME = "kitchen/cover"
ROBOTS = ["gantry", "panda", "ur5e"]


@functools.cache
def play(act, split="train", num_worlds=32, **options):
    family = make_family(NAME, **options)
    worlds = Worlds(family, num_worlds, seed=11, split=split)
    worlds.reset()
    total = np.zeros(num_worlds)
    for _ in range(family.horizon):
        step = worlds.step(act(worlds))
        total += step.reward
    return float(step.success.mean()), float(total.mean())


def still(worlds):
    return np.zeros((worlds.num_worlds, worlds.spec.action_dim))


def blind(worlds):
    """The expert that trusts the camera."""
    scene, _ = worlds.place(0)
    trusting = dataclasses.replace(worlds.task, offset_m=np.zeros_like(worlds.task.offset_m))
    return worlds.family.expert(scene, trusting)


def push(worlds):
    """Closed fingers go down behind the lid, then sweep it towards the pot."""
    scene, _ = worlds.place(0)
    hand, lid = scene.site_pos("grip"), scene.body_pos("lid")
    action = np.zeros((worlds.num_worlds, 6))
    goal = np.where(worlds.elapsed[:, None] < 18, lid - [0.0, 0.13, 0.0], hand + [0.0, 0.03, 0.0])
    goal[:, 2] = np.where(worlds.elapsed < 12, 0.10, 0.01)
    action[:, :3] = worlds.family.robot.steer(scene, goal)
    action[:, 5] = 1.0
    return action


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("robot", ROBOTS)
def test_expert_closes_the_pot(robot, control):
    for split in ("train", "test"):
        assert play(Worlds.expert, split, robot=robot, control=control)[0] >= 0.95


def test_who_trusts_the_camera_fails():
    success, total = play(blind)
    assert success <= 0.3
    assert total < 0.8 * play(Worlds.expert)[1]


@pytest.mark.parametrize("act", [still, push])
def test_standing_still_and_pushing_earn_little(act):
    success, total = play(act)
    assert success == 0.0
    assert total < 0.15 * play(Worlds.expert)[1]


def test_the_offset_decides_whether_the_pot_is_closed():
    worlds = Worlds(make_family(NAME), 6, seed=2)
    worlds.reset()
    scene, _ = worlds.place(0)
    away = np.array([0.0, 0.011, 0.013, 0.017, 0.03, 0.05])
    lid = worlds.task.pot_m + away[:, None] * [0.6, 0.8]
    scene.joint_pos("lid")[:, :3] = np.column_stack([lid, np.full(6, cover.CLOSED_M + 0.002)])
    for _ in range(10):
        step = worlds.step(np.zeros((6, 6)))
    assert (scene.body_mat("lid")[:, 8] > 0.999).all()  # it lies flat wherever it lies
    assert step.success.tolist() == [True, True, True, False, False, False]
    assert (np.diff(step.terms["centre"]) < 0).all()  # and the reward tells how far it is off
    assert (np.diff(step.reward) < 0).all()


def test_a_lid_that_is_still_held_does_not_count():
    worlds = Worlds(make_family(NAME), 16, seed=3)
    worlds.reset()
    held = np.zeros(16, bool)
    for _ in range(60):
        action = worlds.expert()
        action[:, 5] = np.where(held, 1.0, action[:, 5])
        held |= action[:, 5] > 0.0
        step = worlds.step(action)
    assert held.all()
    assert not step.success.any()


def test_task_fields_arrive_in_the_model():
    worlds = Worlds(make_family(NAME), 8, seed=4)
    worlds.reset()
    task = worlds.task
    pot = worlds.place(0)[0].body_pos("pot")[:, :2]
    np.testing.assert_allclose(pot, task.seen_m - task.offset_m, atol=1e-9)
    for i in range(8):
        model, _ = worlds.world(i)
        lid, knob = model.body("lid"), model.geom("knob")
        assert lid.mass[0] == pytest.approx(task.mass_kg[i])
        spin = cover.LID_RADIUS_M**2 / 2.0  # a disc's moment of inertia per mass
        assert lid.inertia.max() == pytest.approx(task.mass_kg[i] * spin, rel=0.15)
        assert knob.size[1] == pytest.approx(task.knob_m[i])
        assert knob.friction[0] == pytest.approx(task.friction[i])


def test_offsets_lie_in_a_ring_whose_directions_are_held_out():
    family = make_family(NAME)
    assert cover.OFFSET_M[0] > cover.CENTRED_M  # the camera is never right
    for split, (low, high), num_octants in (
        ("train", cover.OFFSET_M, 6),
        ("test", cover.OFFSET_M, 2),
        ("far", cover.FAR_M, 8),
    ):
        task = family.sample(Streams.from_seed(5, 400), 400, split)
        size = np.linalg.norm(task.offset_m, axis=1)
        assert np.array_equal(np.clip(size, low - 1e-9, high + 1e-9), size)
        octant = np.floor(np.arctan2(*task.offset_m.T[::-1]) / (np.pi / 4))
        assert len(np.unique(octant)) == num_octants
