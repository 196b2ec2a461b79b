"""Pouring: what the skill asks for, and how its liquid runs."""

import dataclasses

import numpy as np
import pytest
from metarl_kitchen import pour

from metarl.registry import make_family
from metarl.robots.robot import TILT_RAD
from metarl.sim.worlds import Worlds

NAME = "kitchen/pour"
MIDDLE = {"wanted_ml": np.mean(pour.WANTED_ML), "viscosity": np.mean(pour.VISCOSITY)}


def play(act=Worlds.expert, *, split="train", num_worlds=64, change=None, **options):
    """One episode: worlds, last step, returns; `change` replaces fields of every task."""
    worlds = Worlds(make_family(NAME, **options), num_worlds, seed=11, split=split)
    worlds.assign(told(worlds.task, change or {}))
    worlds.reset()
    returns = np.zeros(num_worlds)
    for _ in range(worlds.family.horizon):
        step = worlds.step(act(worlds))
        returns += step.reward
    return worlds, step, returns


def told(task, fields):
    values = {name: np.full_like(getattr(task, name), value) for name, value in fields.items()}
    return dataclasses.replace(task, **values)


def expert_told(**fields):
    """The expert, told other tasks than the worlds'."""
    return lambda worlds: worlds.family.expert(worlds.place(0)[0], told(worlds.task, fields))


def still(worlds):
    return np.zeros((worlds.num_worlds, worlds.spec.action_dim))


def push(worlds):
    """Sweep low from side to side with closed fingers."""
    action = still(worlds)
    action[:, 1] = 1.0 if worlds.elapsed[0] // 12 % 2 else -1.0
    action[:, 2], action[:, 5] = -1.0, 1.0
    return action


def beside(worlds):
    """Tilt the jug where it is."""
    action = still(worlds)
    action[:, 4] = 1.0
    return action


@pytest.mark.parametrize("control", ["hand", "joint"])
@pytest.mark.parametrize("robot", ["gantry", "panda", "ur5e"])
def test_expert_pours_with_every_robot(robot, control):
    for split in ("train", "test"):
        _, step, _ = play(split=split, robot=robot, control=control)
        assert step.success.mean() >= 0.95


def test_doing_nothing_useful_earns_nothing():
    expert = play()[2].mean()
    for act in (still, push):
        _, step, returns = play(act)
        assert not step.success.any()
        assert returns.mean() < 0.0 < 25.0 < expert


@pytest.mark.parametrize("split", ["train", "test"])
def test_expert_who_knows_only_what_is_seen_fails(split):
    _, step, _ = play(expert_told(**MIDDLE), split=split, num_worlds=128)
    assert step.success.mean() <= 0.3


def test_reward_tells_too_little_from_too_much():
    wanted = {"wanted_ml": 120.0}
    enough, less, more = (
        play(expert_told(wanted_ml=ml), change=wanted)[2].mean() for ml in (120.0, 60.0, 200.0)
    )
    assert enough > max(less, more) + 3.0


@pytest.mark.parametrize("act", [Worlds.expert, beside])
def test_liquid_is_in_the_jug_the_pot_or_beside(act):
    worlds, _, _ = play(act, change={"pot_m": [0.40, 0.18]})
    scene, task = worlds.place(0)[0], worlds.task
    state, held = scene.userdata, worlds.family._held_ml(scene, task)
    inside, spilled = state[:, pour.IN_POT], state[:, pour.SPILLED]
    np.testing.assert_allclose(inside + spilled + held, task.fill_ml)
    left = worlds.obs[:, worlds.spec.slice("object")][:, 2]
    np.testing.assert_allclose(left * 150.0, inside + spilled, atol=1e-3)
    assert held.min() >= 0.0
    assert (inside + spilled).min() > 30.0
    assert (spilled if act is Worlds.expert else inside).max() == 0.0
    level = scene.mocap_pos("soup")[:, 2] - 0.0079
    np.testing.assert_allclose(1e6 * level * np.pi * task.radius_m**2, inside, atol=1e-6)


def test_viscous_liquid_runs_slower():
    thin, thick = (
        play(beside, change={"viscosity": v, "fill_ml": 550.0})[0].place(0)[0].userdata
        for v in pour.VISCOSITY
    )
    assert (
        thin[:, pour.SPILLED] + thin[:, pour.IN_POT]
        > thick[:, pour.SPILLED] + thick[:, pour.IN_POT]
    ).all()


def test_success_waits_until_nothing_runs():
    worlds, step, _ = play()
    scene = worlds.place(0)[0]
    assert step.success.any()
    scene.userdata[:, pour.RATE] = 50.0
    assert not worlds.family.success(scene, worlds.task).any()


def test_brim_rises_as_the_jug_empties():
    brim = pour.brim_rad(np.linspace(pour.JUG_ML, 0.05 * pour.JUG_ML, 200))
    assert brim[0] == 0.0
    assert brim[-1] < np.pi / 2
    assert (np.diff(brim) > 0.0).all()
    assert np.diff(brim).max() < 0.03  # no jump where the jug is half full
    assert pour.brim_rad(np.array([pour.FILL_ML[1]])) > -TILT_RAD[0]  # leaning back spills nothing


def test_pots_get_their_radius_and_hold_a_whole_jug():
    worlds = Worlds(make_family(NAME), 16, seed=2)
    for i in range(16):
        model, _ = worlds.world(i)
        first, radius = model.body("pot").geomadr[0], worlds.task.radius_m[i]
        wall = model.geom_pos[first + 1 : first + 13, :2]
        np.testing.assert_allclose(np.hypot(*wall.T), radius + 0.004, atol=1e-3)
    assert 1e6 * np.pi * pour.POT_RADIUS_M[0] ** 2 * (pour.POT_HEIGHT_M - 0.008) > pour.FILL_ML[1]
