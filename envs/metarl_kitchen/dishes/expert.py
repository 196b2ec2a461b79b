"""The cook: scripted hand-space actions for every skill of a recipe."""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np

from metarl.rewards import distance
from metarl.robots.robot import HAND_LAG_S, STEP_M, STEP_RAD, Robot
from metarl.sim.scene import Scene
from metarl_kitchen.cooking import COLD, shaken_g
from metarl_kitchen.dishes import counter, places, process
from metarl_kitchen.dishes.grasp import TURN_RAD, edge_rad, free_side, grasp, wrapped
from metarl_kitchen.dishes.menu import Menu
from metarl_kitchen.dishes.recipes import SKILLS
from metarl_kitchen.dishes.state import DONE0, DONE1, HEAT, LID, LIQUID, REST, SALT, TIMER, Now
from metarl_kitchen.dishes.task import DishTask
from metarl_kitchen.furniture import FULL_RAD, OFF_YAW_RAD

TILT_RAD = {"hand": 1.0, "joint": 0.85}  # of shaker and jug; not every arm can tilt them further
UP_M = 0.26  # height that ends a stage
CARRY_M = 0.115  # height at which food is carried
FREE_M = counter.RIM_M + counter.FOOD_HALF_M + 0.01  # height of food that clears the pan
SIDE_M = 0.035  # how far from the middle of pan and plate food is laid
GRASP_M, OVER_FOOD_M = 0.003, 0.03  # how high above a piece it is taken, and approached
OVER_M = 0.17  # height at which the pan is seasoned
STIR_Z_M = 0.043  # height of stirring
STIR_RAD, STIR_STEPS = {"hand": 1.35, "joint": 1.0}, {"hand": 60, "joint": 90}  # swing and period
OVER_PAN_M = 0.10
GENTLY = {"hand": 0.9, "joint": 0.6}  # share of full speed at which food is carried
SOONEST = 20  # control steps of stirring or simmering, at least
# How long stages take, and until each food is out of the pan once serving begins [s].
STAGE_S = {"add": 3.3, "season": 2.1, "pour": 2.5}
SERVED_S = (1.3, 4.2)
_TAKES = np.array([STAGE_S.get(skill, 0.0) for skill in (*SKILLS, "rest")])


class Kitchen(Protocol):
    """What the cook must know of where it cooks.

    Attributes:
        robot: The arm.
        menu: The dishes.
        floor_m: The lowest that the hand may go [m].
        control_dt_s: Control period [s].
    """

    robot: Robot
    menu: Menu
    floor_m: ClassVar[float]
    control_dt_s: ClassVar[float]


def cook_dish(kitchen: Kitchen, worlds: Scene, task: DishTask) -> np.ndarray:
    """Choose the cook's actions, (N, 6)."""
    cook = _Cook(kitchen, worlds, task)
    now = cook.now
    actions = [cook.heat(), cook.fetch(), cook.stir(), cook.season(), cook.pour(), cook.cover()]
    heat, fetch, stir, season, pour, cover = actions
    by_skill = {"heat": heat, "add": fetch, "stir": stir, "season": season, "pour": pour}
    by_skill |= {"cover": cover, "serve": fetch}
    action = cook.go(np.array([0.5, 0.0, UP_M]))
    for skill in SKILLS:
        action = np.where(now.does(skill)[:, None], by_skill[skill], action)
    return np.where((now.skill == REST)[:, None], cook.go(np.array([0.5, 0.0, UP_M])), action)


class _Cook:
    """Everything that the skills look at, for N worlds."""

    def __init__(self, kitchen: Kitchen, worlds: Scene, task: DishTask):
        self.kitchen, self.worlds, self.task = kitchen, worlds, task
        self.robot, self.state = kitchen.robot, worlds.userdata
        self.now: Now = process.where(worlds, task, kitchen.menu)
        self.hand = worlds.site_pos("grip")
        self.n = worlds.num_worlds
        self.pan = places.pan_m(task)
        self.foods = [worlds.body_pos(f"food{i}") for i in (0, 1)]
        self.speed = worlds.sensor("hand_velocity")
        self.sag = np.zeros((self.n, 3))  # how far the hand comes to rest from its target
        if self.robot.control == "hand":
            ahead = self.robot.target_m(worlds) - self.hand - HAND_LAG_S * self.speed
            self.sag = np.clip(ahead, -0.035, 0.035)
        self.yaw, self.tilt = self.robot.target_angles(worlds).T

    def go(
        self,
        goal_m: np.ndarray,
        *,
        yaw: np.ndarray | float = 0.0,
        tilt: np.ndarray | float = 0.0,
        grip: np.ndarray | float = -1.0,
        gain: float = 1.0,
    ) -> np.ndarray:
        """Head for a place and a turn of the hand, (N, 6)."""
        action = np.empty((self.n, 6))
        action[:, :3] = self.robot.steer(self.worlds, goal_m + self.sag, gain)
        action[:, 3] = np.clip((yaw - self.yaw) / STEP_RAD, -1.0, 1.0)
        action[:, 4] = np.clip((tilt - self.tilt) / STEP_RAD, -1.0, 1.0)
        action[:, 5] = grip
        return action

    def up(self) -> np.ndarray:
        """Straight up from where the hand is, (N, 3)."""
        return np.column_stack([self.hand[:, :2], np.full(self.n, UP_M)])

    def heat(self) -> np.ndarray:
        """Come down astride the knob's ridge, close, turn to the heat that is wanted, leave."""
        handle = places.handle_m(self.worlds)
        angle = self.worlds.joint_pos("knob")[:, 0]
        wanted = np.minimum(self.now.amount / self.task.gain, 1.0) * FULL_RAD
        missing = wanted - angle
        beside = distance(handle[:, :2], self.hand[:, :2])
        low = np.where(beside < 0.01, handle[:, 2], handle[:, 2] + 0.07)
        held = self.hand[:, 2] < handle[:, 2] + 0.012
        set_ = np.abs(missing) < 0.06
        fits = OFF_YAW_RAD + angle
        goal = np.column_stack([handle[:, :2], low])
        action = self.go(goal, yaw=np.where(held & ~set_, fits + missing, fits))
        turned = np.clip(0.6 * missing / STEP_RAD, -1.0, 1.0)
        action[:, 3] = np.where(held & ~set_, turned, action[:, 3])
        action[:, 5] = np.where(held & ~set_, 1.0, -1.0)
        leave = self.go(self.up(), yaw=fits)
        return np.where(set_[:, None], leave, action)

    def fetch(self) -> np.ndarray:
        """Take a food from board or pan and lay it into the pan or on the plate."""
        now, worlds, adds = self.now, self.worlds, self.now.does("add")
        food, other = places.of_piece(now, self.foods), places.of_piece(now, self.foods[::-1])
        middle = np.where(adds[:, None], self.pan, self.task.plate_m)
        usual = np.where(now.piece == 0, -1.0, 1.0)[:, None] * [1.0, 0.0]
        side = free_side(middle, other[:, :2], usual)
        goal = middle + SIDE_M * side
        mats = [worlds.body_mat(f"food{i}") for i in (0, 1)]
        edge = edge_rad(places.of_piece(now, mats))
        yaw, wide = grasp(food[:, :2], edge, other[:, :2], self.pan, self.yaw)
        opening, beside = self.robot.opening(worlds), distance(food[:, :2], self.hand[:, :2])
        near = np.where(opening < wide - 0.06, 0.03, 0.007)  # once it closes it stays at it
        at_food = (beside < near) & (self.hand[:, 2] - food[:, 2] - GRASP_M < near)
        still = np.abs(self.robot.opening_speed(worlds)) < 0.5
        gripped = at_food & (opening < 0.55) & (still | (food[:, 2] > FREE_M))
        floor = np.where(adds, counter.FLOOR_M, counter.PLATE_FLOOR_M) + counter.FOOD_HALF_M
        release = gripped & (distance(food[:, :2], goal) < 0.015) & (food[:, 2] < floor + 0.008)
        there = [
            np.where(adds, places.in_pan(worlds, self.task, i), places.on_plate(worlds, self.task, i))
            for i in (0, 1)
        ]  # fmt: skip
        arrived = places.of_piece(now, there) & (distance(food[:, :2], goal) < 0.06) & ~gripped
        reach, carry = self._reach(food, yaw), self._carry(food, goal, side, floor)
        action = np.where(gripped[:, None], carry, reach)
        open_ = np.where(release, -1.0, 1.0 - 2.0 * wide)
        action[:, 5] = np.where(at_food & ~release, 1.0, open_)
        leave = self.go(self.up(), yaw=self.yaw)
        leave[:, :3] *= ((opening > 0.65) | (beside > 0.05))[:, None]
        return np.where(arrived[:, None], leave, action)

    def _reach(self, food: np.ndarray, yaw: np.ndarray) -> np.ndarray:
        """Go above a piece of food, turn so that the fingers fit, come down, (N, 6)."""
        low = np.maximum(food[:, 2] + GRASP_M, self.kitchen.floor_m)
        beside, above = distance(food[:, :2], self.hand[:, :2]), self.hand[:, 2] - low
        fits = (beside < np.where(above < 0.03, 0.02, 0.008)) & (np.abs(self.yaw - yaw) < 0.1)
        over = low + OVER_FOOD_M + np.clip(beside - 0.01, 0.0, 0.05)
        goal = np.column_stack([food[:, :2], np.where(fits, low, over)])
        rises = (above < 0.03) & (beside > 0.03)
        goal[:, :2] = np.where(rises[:, None], self.hand[:, :2], goal[:, :2])
        return self.go(goal, yaw=yaw)

    def _carry(
        self, food: np.ndarray, goal: np.ndarray, side: np.ndarray, floor: np.ndarray
    ) -> np.ndarray:
        """Lift held food, carry it without a jolt, lay it down, (N, 6)."""
        way = goal - food[:, :2]
        off = distance(goal, food[:, :2])
        lower = off < 0.015
        rise = np.clip(floor - 0.005 + 1.2 * (off - 0.01), floor - 0.005, CARRY_M) - food[:, 2]
        way = np.where(((off < 0.045) | (food[:, 2] > FREE_M))[:, None], way, 0.0)
        yaw = np.clip(wrapped(-np.arctan2(side[:, 1], side[:, 0])), -TURN_RAD, TURN_RAD)
        target = self.hand + np.column_stack([way, rise])
        action, slow = (self.go(target, yaw=yaw, grip=1.0, gain=gain) for gain in (1.0, 0.5))
        speed = np.sqrt((self.speed[:, :2] ** 2).sum(axis=1))
        most = np.minimum(
            GENTLY[self.robot.control], 0.35 + speed * self.kitchen.control_dt_s / STEP_M
        )
        length = np.maximum(np.sqrt((slow[:, :2] ** 2).sum(axis=1)), 1e-9)
        action[:, :2] = slow[:, :2] * np.minimum(most / length, 1.0)[:, None]
        action[:, 2] = np.where(lower, np.clip(slow[:, 2], -0.5, 0.5), action[:, 2])
        action[:, 3] = np.clip(action[:, 3], -0.4, 0.4)
        return action

    def stir(self) -> np.ndarray:
        """Turn open fingers to and fro in the pan, between the pieces, until they will be done."""
        apart = (self.foods[1] - self.foods[0])[:, :2]
        clear = np.where(
            distance(apart, np.zeros(2)) < 0.2, wrapped(-np.arctan2(*apart.T[::-1])), 0.0
        )
        beside = distance(self.hand[:, :2], self.pan)
        ready = (beside < 0.01) & (np.abs(self.yaw - clear) < 0.15)
        low = (self.hand[:, 2] < OVER_PAN_M - 0.02) & (beside < 0.03)
        goal = np.column_stack([self.pan, np.where(ready | low, STIR_Z_M, OVER_PAN_M)])
        control = self.robot.control
        turn = 2.0 * np.pi * self.state[:, TIMER] / STIR_STEPS[control]
        swing = STIR_RAD[control] * np.sin(turn)
        deep = self.hand[:, 2] < STIR_Z_M + 0.015
        action = self.go(goal, yaw=np.where(low & deep, swing, np.where(low, self.yaw, clear)))
        return np.where(self._done()[:, None], self.go(self.up(), yaw=self.yaw), action)

    def _done(self) -> np.ndarray:
        """Whether what is in the pan is best if the recipe goes on from now, (N,) bool."""
        menu, dish, takes = self.kitchen.menu, self.task.dish, _TAKES[self.kitchen.menu.skill]
        later = takes[:, ::-1].cumsum(axis=1)[:, ::-1] - takes  # (D, S + 1)
        left = later[dish, self.now.stage][:, None] + SERVED_S
        heat = np.maximum(self.state[:, HEAT] - COLD, 0.0) / (1.0 - COLD)
        gain = (self.task.rate * heat)[:, None] * menu.rate_1_s[dish] * left
        due = self.state[:, DONE0 : DONE1 + 1] + gain - menu.want[dish]
        ahead = np.zeros(self.n)
        for i in (0, 1):
            ahead += places.in_pan(self.worlds, self.task, i) * due[:, i]
        return (ahead > 0.0) & (self.state[:, TIMER] > SOONEST)

    def season(self) -> np.ndarray:
        """Hold the shaker over the pan and shake until the salt is in."""
        mouth = places.tool_m(self.worlds, counter.MOUTH_M)
        lead = (mouth - self.hand)[:, :2]
        goal = np.column_stack([self.pan - lead, np.full(self.n, OVER_M)])
        over = distance(mouth[:, :2], self.pan) < 0.05
        missing = self.now.amount - self.state[:, SALT]
        down = self.worlds.site_mat("grip")[:, 6]
        speed = self.worlds.sensor("hand_velocity")[:, 2]
        flow = shaken_g(down, speed, self.task.coarseness)
        pour = over & (missing > 0.15 + 4.0 * flow)
        action = self.go(goal, tilt=np.where(pour, TILT_RAD[self.robot.control], 0.4))
        height = self.robot.target_m(self.worlds)[:, 2] - OVER_M
        rise = ((speed > 0.0) & (height < 0.03)) | (height < -0.03)
        shake = np.where(rise, 1.0, -1.0) * np.clip(missing / 3.0, 0.3, 1.0)
        action[:, 2] = np.where(pour, shake, action[:, 2])
        action[:, 2] = np.where(over & ~pour & (down > 0.5), 0.0, action[:, 2])  # salt still falls
        full = over & (missing < 0.4) & (down < 0.6)
        return np.where(full[:, None], self.go(self.up()), action)

    def pour(self) -> np.ndarray:
        """Hold the jug's lip over the pan and tilt until the liquid is in."""
        lip = places.tool_m(self.worlds, counter.LIP_M)
        lead = (lip - self.hand)[:, :2]
        goal = np.column_stack([self.pan - lead, np.full(self.n, OVER_M)])
        over = distance(lip[:, :2], self.pan) < 0.05
        missing = self.now.amount - self.state[:, LIQUID]
        low = self.hand[:, 2] < 0.195
        flowing = np.where(missing > 40.0, TILT_RAD[self.robot.control], 0.75)
        tilt = np.where(over & low & (missing > 6.0), flowing, 0.3)
        action = self.go(goal, tilt=tilt)
        full = (missing <= 6.0) & (self.tilt < 0.45)
        return np.where(full[:, None], self.go(self.up()), action)

    def cover(self) -> np.ndarray:
        """Lay the lid on the pan, let it simmer, leave."""
        rim = counter.RIM_M + counter.LID_DROP_M + 0.004
        beside = distance(self.hand[:, :2], self.pan)
        goal = np.column_stack([self.pan, np.where(beside < 0.02, rim, 0.16)])
        put = (beside < 0.015) & (self.hand[:, 2] < rim + 0.012)
        action = self.go(goal, grip=np.where(put, -1.0, 1.0))
        on = self.state[:, LID] > 0.0
        return np.where((on & self._done())[:, None], self.go(self.up()), action)
