"""How a dish goes on beyond physics: heat, food, salt, liquid and the lid, then the recipe."""

from __future__ import annotations

import numpy as np

from metarl.rewards import distance
from metarl.robots.robot import Robot
from metarl.sim.scene import Scene
from metarl_kitchen.cooking import colours, cook, follow, shaken_g
from metarl_kitchen.dishes import counter, judge, places
from metarl_kitchen.dishes.menu import Menu
from metarl_kitchen.dishes.recipes import SHAPES
from metarl_kitchen.dishes.state import (
    ARMED,
    DONE0,
    HEAT,
    LID,
    LIQUID,
    REST,
    SALT,
    SCORE,
    SPILLED,
    STAGE,
    STIR,
    TIMER,
    WELL,
    Now,
)
from metarl_kitchen.dishes.task import DishTask

LOW_M, LEAVE_M = 0.20, 0.235  # a stage ends when the hand, once below, has risen above
LONGEST = 120  # control steps of a stage
POUR_ML = 10.0  # liquid in a control step at full tilt, viscosity 1
STIR_M_S = 0.04  # speed of food in a pan that is well stirred


def advance(worlds: Scene, task: DishTask, menu: Menu, robot: Robot, dt_s: float) -> None:
    """Go on by one control step."""
    now = where(worlds, task, menu)
    _heat(worlds, task, menu, dt_s)
    _season(worlds, task, menu, now)
    _pour(worlds, task, menu, now)
    _cover(worlds, task, now, robot)
    _follow_recipe(worlds, task, now)
    worlds.userdata[:, SCORE] = judge.score(worlds, task, menu)
    show(worlds, task, menu, slice(None))


def where(worlds: Scene, task: DishTask, menu: Menu) -> Now:
    """Say where each world is in its recipe."""
    return menu.at(task.dish, worlds.userdata[:, STAGE].astype(int))


def _heat(worlds: Scene, task: DishTask, menu: Menu, dt_s: float) -> None:
    """The pan follows the knob, food in it cooks, faster when stirred or covered."""
    state = worlds.userdata
    given = task.gain * places.knob(worlds)
    state[:, HEAT] = follow(state[:, HEAT], np.minimum(given, 1.3), task.lag_s, dt_s)
    speed = np.zeros(len(state))
    stirred = np.maximum(state[:, STIR], state[:, LID])
    rate = task.rate[:, None] * menu.rate_1_s[task.dish]
    for i in (0, 1):
        lies = places.in_pan(worlds, task, i)
        moves = distance(worlds.joint_vel(f"food{i}")[:, :2], _STILL)
        speed = np.maximum(speed, lies * moves)
        heat = lies * state[:, HEAT]
        state[:, DONE0 + i] = cook(state[:, DONE0 + i], heat, rate[:, i], dt_s, stirred=stirred)
    state[:, STIR] += 0.05 * (np.minimum(speed / STIR_M_S, 1.0) - state[:, STIR])


def _season(worlds: Scene, task: DishTask, menu: Menu, now: Now) -> None:
    """Salt falls from a shaker that points down and is shaken."""
    down = worlds.site_mat("grip")[:, 6]  # of the hand's x axis, height gained
    speed = worlds.sensor("hand_velocity")[:, 2]
    grams = shaken_g(down, speed, task.coarseness)
    grams = np.where(now.does("season"), grams, 0.0)
    mouth = places.tool_m(worlds, counter.MOUTH_M)
    _add(worlds, task, SALT, grams, mouth, menu.salt)


def _pour(worlds: Scene, task: DishTask, menu: Menu, now: Now) -> None:
    """Liquid runs over a lip that is tilted low enough."""
    tilt = np.arcsin(np.clip(worlds.site_mat("grip")[:, 6], -1.0, 1.0))
    ml = POUR_ML * np.clip((tilt - 0.5) / 0.6, 0.0, 1.0) / task.viscosity
    ml = np.where(now.does("pour"), ml, 0.0)
    lip = places.tool_m(worlds, counter.LIP_M)
    _add(worlds, task, LIQUID, ml, lip, menu.liquid)
    stream = np.column_stack([lip[:, :2], np.full(len(lip), counter.RIM_M + 0.05)])
    worlds.mocap_pos("stream")[:] = np.where(ml[:, None] > 0.3, stream, counter.AWAY_M)


def _add(
    worlds: Scene,
    task: DishTask,
    column: int,
    amount: np.ndarray,
    place: np.ndarray,
    wanted: np.ndarray,
) -> None:
    """What falls over the pan is in it, the rest is spilled."""
    over = distance(place[:, :2], places.pan_m(task)) < counter.PAN_RADIUS_M
    worlds.userdata[:, column] += over * amount
    worlds.userdata[:, SPILLED] += ~over * amount / np.maximum(wanted[task.dish], 1.0)


def _cover(worlds: Scene, task: DishTask, now: Now, robot: Robot) -> None:
    """The lid is on once the hand lets it go on the rim."""
    hand = worlds.site_pos("grip")
    near = distance(hand[:, :2], places.pan_m(task)) < 0.02
    low = hand[:, 2] < counter.RIM_M + counter.LID_DROP_M + 0.02
    put = now.does("cover") & near & low & (robot.opening(worlds) > 0.6)
    on = put | (worlds.userdata[:, LID] > 0.0)
    worlds.userdata[:, LID] = now.does("cover") & on


def _follow_recipe(worlds: Scene, task: DishTask, now: Now) -> None:
    """End stages in which the hand has come down and risen again, or that take too long."""
    state, height = worlds.userdata, worlds.site_pos("grip")[:, 2]
    state[:, TIMER] += 1.0
    state[:, ARMED] = np.maximum(state[:, ARMED], height < LOW_M)
    over = (state[:, ARMED] > 0.0) & (height > LEAVE_M) | (state[:, TIMER] >= LONGEST)
    over &= now.skill != REST
    if not over.any():
        return
    state[:, WELL] += over & judge.well(worlds, task, now)
    state[:, STAGE] += over
    for column in (TIMER, ARMED, LID):
        state[:, column] = np.where(over, 0.0, state[:, column])


def show(worlds: Scene, task: DishTask, menu: Menu, ids: np.ndarray | slice) -> None:
    """Move tools and broth to where they are, and colour the food.

    Args:
        task: Of the worlds in `ids` alone.
    """
    hand, turn = worlds.site_pos("grip")[ids], worlds.body_quat("hand")[ids]
    state, dish = worlds.userdata[ids], task.dish
    now = menu.at(dish, state[:, STAGE].astype(int))
    for skill, tool in counter.TOOLS.items():
        rack = np.where(menu.uses[skill][:, None], counter.RACK_M[tool], counter.AWAY_M)
        place, quat = hand, turn
        if tool == "lid":
            on = state[:, LID, None] > 0.0
            pan = places.above(places.pan_m(task), counter.RIM_M + counter.LID_DROP_M)
            place, quat = np.where(on, pan, hand), np.where(on, counter.DOWN_QUAT, turn)
        held = now.does(skill)[:, None]
        worlds.mocap_pos(tool)[ids] = np.where(held, place, rack[dish])
        worlds.mocap_quat(tool)[ids] = np.where(held, quat, counter.RACK_QUAT[tool])
    level = state[:, LIQUID] * 1e-6 / (np.pi * counter.PAN_RADIUS_M**2)
    broth = places.above(
        places.pan_m(task), np.minimum(counter.FLOOR_M - 0.001 + level, counter.RIM_M)
    )
    wet = (level > 0.0) & menu.uses["pour"][dish]
    worlds.mocap_pos("broth")[ids] = np.where(wet[:, None], broth, counter.AWAY_M)
    rgba = worlds.model_field("geom_rgba")
    for i in (0, 1):
        shown = colours(state[:, DONE0 + i], menu.tint[dish, i])
        for k, shape in enumerate(SHAPES):
            own = rgba[:, worlds.id("geom", f"food{i}_{shape}")]
            own[ids, :3], own[ids, 3] = shown, menu.is_shape[dish, i, k]


_STILL = np.zeros(2)
