"""Soak: a slice lies in beaten egg, in dishes of many heights, and must be turned in time."""

import dataclasses

import numpy as np
import pytest
from metarl_kitchen.cooking import GOLDEN
from metarl_kitchen.soak import DISHES, FIRST, LAIN, SECOND, SLACK_S, SOAK_S

from metarl.registry import make_family
from metarl.robots.robot import CONTROLS, STEP_RAD
from metarl.sim.worlds import Worlds

NAME = "kitchen/soak"


def play(act, *, family=None, split="train", num_worlds=40, task=None):
    """Success, returns and the worlds after an episode of act(worlds, step)."""
    worlds = Worlds(family or make_family(NAME), num_worlds, seed=5, split=split)
    if task is not None:
        worlds.assign(dataclasses.replace(worlds.task, **task))
    worlds.reset()
    returns = np.zeros(num_worlds)
    for t in range(worlds.family.horizon):
        step = worlds.step(act(worlds, t))
        returns += step.reward
    return step.success, returns, worlds


def expert(worlds, t):
    return worlds.expert()


def still(worlds, t):
    return np.zeros((worlds.num_worlds, worlds.spec.action_dim), np.float32)


def as_if(soak_s):
    """The expert, if each slice took so long."""

    def act(worlds, t):
        action = np.zeros((worlds.num_worlds, worlds.spec.action_dim), np.float32)
        for scene, ids, task in scenes(worlds):
            told = dataclasses.replace(task, soak_s=np.full(len(ids), soak_s))
            action[ids] = worlds.family.expert(scene, told)
        return action

    return act


def scenes(worlds):
    """Each dish's scene, its worlds, and their tasks."""
    for dish in np.unique(worlds.task.model):
        ids = np.flatnonzero(worlds.task.model == dish)
        own = {f.name: getattr(worlds.task, f.name)[ids] for f in dataclasses.fields(worlds.task)}
        yield worlds.place(ids[0])[0], ids, type(worlds.task)(**own)


@pytest.fixture(scope="module")
def knowing():
    return play(expert)


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("robot", ["gantry", "panda", "ur5e"])
def test_expert_turns_the_slice_with_every_robot(robot, control):
    family = make_family(NAME, robot=robot, control=control)
    for split in ("train", "test"):
        success, _, _ = play(expert, family=family, split=split)
        assert success.mean() >= 0.95


@pytest.mark.parametrize("dish", range(len(DISHES)), ids=lambda k: DISHES[k].stand)
def test_expert_turns_the_slice_in_every_dish(dish):
    success, _, _ = play(expert, num_worlds=24, task={"model": np.full(24, dish)})
    assert success.mean() >= 0.95


def test_who_does_not_know_how_long_it_takes_fails():
    middle = sum(SOAK_S) / 2
    for split in ("train", "test"):
        success, _, worlds = play(as_if(middle), split=split, num_worlds=80)
        assert success.mean() <= 0.35
        turned = [scene.body_mat("piece")[:, 8] < -0.97 for scene, _, _ in scenes(worlds)]
        assert np.concatenate(turned).mean() > 0.95  # turned over, at a wrong time


def test_returns_tell_the_right_moment(knowing):
    returns = max(play(as_if(seconds))[1].mean() for seconds in SOAK_S)
    assert knowing[1].mean() > returns + 10.0


def test_doing_nothing_and_pushing_pay_little(knowing):
    def push(worlds, t):
        action = np.zeros((worlds.num_worlds, worlds.spec.action_dim), np.float32)
        for scene, ids, task in scenes(worlds):
            side = np.array([0.0, -0.05 if t < 20 else 0.3, 0.0])
            height = 0.15 if t < 8 else DISHES[task.model[0]].surface_m + 0.008
            goal = scene.body_pos("piece") * [1.0, 1.0, 0.0] + side + [0.0, 0.0, height]
            robot = worlds.family.robot
            action[ids, :3] = robot.steer(scene, goal)
            turn = -robot.target_angles(scene) / STEP_RAD
            action[ids, 3:5] = np.clip(turn, -1.0, 1.0)
        action[:, 5] = 1.0
        return action

    for act in (still, push):
        success, returns, _ = play(act)
        assert not success.any()
        assert returns.mean() < 0.5 * knowing[1].mean()


def test_only_the_side_that_lies_in_the_egg_soaks(knowing):
    _, _, worlds = play(still)
    for scene, _, task in scenes(worlds):
        share = scene.userdata[:, LAIN] / task.soak_s
        lay_s = worlds.family.horizon * worlds.family.control_dt_s
        np.testing.assert_allclose(scene.userdata[:, LAIN], lay_s, atol=0.06)
        np.testing.assert_allclose(
            scene.userdata[:, FIRST], np.minimum(GOLDEN * share, 1.0), atol=1e-9
        )
        assert not scene.userdata[:, SECOND].any()
    success, _, worlds = knowing
    for scene, ids, task in scenes(worlds):
        done = success[ids]
        assert (scene.userdata[done, SECOND] > 0.0).all()  # it lies on the other one now
        assert (np.abs(scene.userdata[done, LAIN] - task.soak_s[done]) < SLACK_S).all()


def test_a_hand_goes_no_deeper_than_the_dish():
    def down(worlds, t):
        action = still(worlds, t)
        action[:, 2] = -1.0
        return action

    _, _, worlds = play(down)
    for scene, _, task in scenes(worlds):
        assert (scene.ctrl[:, 2] == DISHES[task.model[0]].surface_m).all()


def test_how_long_it_takes_is_not_shown():
    worlds = Worlds(make_family(NAME), 8)
    worlds.reset()
    for scene, _, task in scenes(worlds):
        other = dataclasses.replace(task, soak_s=task.soak_s + 0.5)
        np.testing.assert_array_equal(
            worlds.family.observe(scene, task)["object"],
            worlds.family.observe(scene, other)["object"],
        )
