"""Sprinkle: sugar runs by tilt alone, from pourers that differ."""

import dataclasses

import numpy as np
import pytest
from metarl_kitchen.sprinkle import BRIM_RAD, SPOUT_M, Sprinkle
from metarl_kitchen.strewing import IN_POT, RATE, SPILLED

from metarl.registry import make_family
from metarl.robots.robot import CONTROLS
from metarl.sim.worlds import Worlds

NAME = "kitchen/sprinkle"


def play(act, *, family=None, split="train", num_worlds=40, task=None):
    """Success, returns and the worlds after an episode of act(family, scene, task)."""
    family = family or make_family(NAME)
    worlds = Worlds(family, num_worlds, seed=5, split=split)
    if task is not None:
        worlds.assign(dataclasses.replace(worlds.task, **task))
    worlds.reset()
    scene, _ = worlds.place(0)
    returns = np.zeros(num_worlds)
    for _ in range(family.horizon):
        step = worlds.step(act(family, scene, worlds.task))
        returns += step.reward
    return step.success, returns, worlds


def expert(family, scene, task):
    return family.expert(scene, task)


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("robot", ["gantry", "panda", "ur5e"])
def test_expert_sprinkles_with_every_robot(robot, control):
    family = make_family(NAME, robot=robot, control=control)
    for split in ("train", "test"):
        success, _, _ = play(expert, family=family, split=split)
        assert success.mean() >= 0.95


def test_who_tilts_at_once_and_for_good_gains_little():
    def at_once(family, scene, task):
        action = family.expert(scene, task)
        action[:, 4] = 1.0
        return action

    _, told, _ = play(expert)
    success, returns, worlds = play(at_once)
    assert success.mean() <= 0.05
    assert returns.mean() < 0.5 * told.mean()
    assert (worlds.place(0)[0].userdata[:, SPILLED] > 0.0).mean() > 0.3  # on the way


def test_nothing_runs_from_a_pourer_that_is_shaken_upright():
    def shake(family, scene, task):
        action = np.zeros((scene.num_worlds, 6))
        action[:, 2] = np.where(scene.sensor("hand_velocity")[:, 2] > 0.0, -1.0, 1.0)
        return action

    success, returns, worlds = play(shake)
    assert not success.any()
    assert (worlds.place(0)[0].userdata[:, IN_POT:] == 0.0).all()
    _, told, _ = play(expert)
    assert returns.mean() < 0.1 * told.mean()


def test_who_guesses_where_the_pot_is_fails():
    def guess(family, scene, task):
        middle = np.broadcast_to([0.5, 0.0], task.pot_m.shape)
        return family.expert(scene, dataclasses.replace(task, pot_m=middle))

    success, _, _ = play(guess, num_worlds=80)
    assert success.mean() <= 0.3


@pytest.mark.parametrize("ahead", SPOUT_M)
def test_a_spout_is_as_long_as_it_is_said_to_be(ahead):
    spout = np.tile([ahead, 0.03], (4, 1))
    _, _, worlds = play(expert, num_worlds=4, task={"spout_m": spout})
    worlds.reset()
    scene, _ = worlds.place(0)
    way = scene.site_pos("mouth") - scene.site_pos("grip")
    np.testing.assert_allclose(-way[:, 0], ahead, atol=0.01)  # towards the arm
    np.testing.assert_allclose(way[:, 2], 0.03, atol=0.01)
    ends = scene.model_field("geom_size")[:, scene.id("geom", "spout"), 1]
    assert (2.0 * ends <= ahead).all()


def test_a_pourer_runs_from_its_brim_on_and_later_as_it_empties():
    family = Sprinkle()
    worlds = Worlds(family, 2, seed=1)
    brim = np.array(BRIM_RAD)
    worlds.assign(dataclasses.replace(worlds.task, brim_rad=brim))
    worlds.reset()
    scene, _ = worlds.place(0)
    began = np.full(2, np.nan)
    for _ in range(family.horizon):
        action = np.zeros((2, 6))
        action[:, 4] = 0.15
        worlds.step(action)
        tilt = np.arcsin(-scene.site_mat("mouth")[:, 8])
        began = np.where(np.isnan(began) & (scene.userdata[:, RATE] > 0.0), tilt, began)
    np.testing.assert_allclose(began, brim, atol=0.06)
    left = scene.userdata[:, IN_POT] + scene.userdata[:, SPILLED]
    assert (family._brim(scene, worlds.task) > brim).all()
    assert (left > 0.0).all()
