"""The cook: scripted hand-space actions for every skill of a recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from metarl.rewards import distance
from metarl.sim.robot import STEP_RAD
from metarl.sim.scene import Scene
from metarl_kitchen.cooking import COLD, shaken_g
from metarl_kitchen.dishes import counter, places
from metarl_kitchen.dishes.recipes import SKILLS
from metarl_kitchen.dishes.state import DONE0, HEAT, LID, LIQUID, REST, SALT, TIMER, Now
from metarl_kitchen.dishes.task import DishTask
from metarl_kitchen.furniture import FULL_RAD, OFF_YAW_RAD

if TYPE_CHECKING:
    from metarl_kitchen.dishes.family import Dishes

UP_M = 0.26  # height that ends a stage
CARRY_M = 0.12  # height at which food is carried
OVER_M = 0.17  # height at which the pan is seasoned
STIR_M, STIR_Z_M, STIR_STEPS = 0.028, 0.050, 44  # radius, height and period of stirring
GENTLY = {"hand": 0.9, "joint": 0.6}  # share of full speed at which food is carried
SOONEST = 20  # control steps of stirring or simmering, at least
# How long stages take, and until each food is out of the pan once serving begins [s].
STAGE_S = {"add": 3.3, "season": 2.1, "pour": 2.5}
SERVED_S = (1.3, 4.2)


def cook_dish(family: Dishes, worlds: Scene, task: DishTask) -> np.ndarray:
    """Choose the cook's actions, (N, 6)."""
    cook = _Cook(family, worlds, task)
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

    def __init__(self, family: Dishes, worlds: Scene, task: DishTask):
        self.family, self.worlds, self.task = family, worlds, task
        self.robot, self.state = family.robot, worlds.userdata
        self.now: Now = family.now(worlds, task)
        self.hand = worlds.site_pos("grip")
        self.n = worlds.num_worlds
        self.pan = places.pan_m(task)
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
        action[:, :3] = self.robot.steer(self.worlds, goal_m, gain)
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
        now, worlds = self.now, self.worlds
        adds = now.does("add")
        pair = [worlds.body_pos(f"food{i}") for i in (0, 1)]
        first = (now.piece == 0)[:, None]
        food, other = np.where(first, pair[0], pair[1]), np.where(first, pair[1], pair[0])
        side = np.where(first, -1.0, 1.0) * [0.035, 0.0]
        goal = np.where(adds[:, None], self.pan, self.task.plate_m) + side
        there = np.where(adds, counter.RIM_M, 0.03) + counter.FOOD_HALF_M
        grasp = np.where(adds, food[:, 2], np.maximum(food[:, 2] + 0.007, 0.03))
        beside = distance(food[:, :2], self.hand[:, :2])
        opening = self.robot.opening(worlds)
        closing = opening < 0.9
        near, high = np.where(closing, 0.03, 0.008), np.where(closing, 0.03, 0.008)
        at_food = (beside < near) & (self.hand[:, 2] - grasp < high)
        still = np.abs(self.robot.opening_speed(worlds)) < 0.5
        gripped = at_food & (opening < 0.6) & (still | (food[:, 2] > 0.08))
        over = distance(food[:, :2], goal) < 0.015
        arrived = np.where(
            first[:, 0],
            np.where(adds, places.in_pan(worlds, self.task, 0), places.on_plate(worlds, self.task, 0)),
            np.where(adds, places.in_pan(worlds, self.task, 1), places.on_plate(worlds, self.task, 1)),
        )  # fmt: skip
        arrived &= over | (distance(food[:, :2], goal) < 0.06)
        lower = over & (distance(self.hand[:, :2], goal) < 0.05)
        height = np.where(lower, there + 0.008, CARRY_M)
        carry = np.column_stack([goal + self.hand[:, :2] - food[:, :2], height])
        lifting = (self.hand[:, 2] < 0.09) & ~over
        carry[:, :2] = np.where(lifting[:, None], self.hand[:, :2], carry[:, :2])
        # in hand space the hand sags: its target leads, so that the food is held centrally
        sags = 1.5 if self.robot.control == "hand" else 0.2
        lead = np.where(beside < 0.03, sags, 0.0)[:, None] * (food - self.hand)[:, :2]
        above = np.where(beside < 0.015, grasp - 0.006, np.maximum(CARRY_M, grasp + 0.05))
        approach = np.column_stack([food[:, :2] + lead, above])
        release = gripped & lower & (self.hand[:, 2] < there + 0.022)
        target = np.where(gripped[:, None], carry, approach)
        action = self.go(target, yaw=np.where(gripped, self.yaw, self._clear(food, other)))
        fastest = GENTLY[self.robot.control]
        slowly = np.clip(self.robot.steer(worlds, target, gain=0.5), -fastest, fastest)
        action[:, :2] = np.where(gripped[:, None], slowly[:, :2], action[:, :2])
        action[:, 5] = np.where(at_food & ~release, 1.0, -1.0)
        leave = self.go(self.up(), yaw=self.yaw)
        return np.where((arrived & ~(gripped & ~release))[:, None], leave, action)

    def _clear(self, food: np.ndarray, other: np.ndarray) -> np.ndarray:
        """The yaw at which no finger lands on the other food, (N,)."""
        dx, dy = (other - food)[:, :2].T
        yaw = -np.arctan2(dy, dx)
        yaw = (yaw + np.pi / 2) % np.pi - np.pi / 2
        return np.where(np.hypot(dx, dy) < 0.07, np.clip(yaw, -1.4, 1.4), 0.0)

    def stir(self) -> np.ndarray:
        """Circle in the pan with closed fingers until the food will be done in time."""
        phase = 2.0 * np.pi * self.state[:, TIMER] / STIR_STEPS
        circle = STIR_M * np.stack([np.cos(phase), np.sin(phase)], axis=1)
        goal = np.column_stack([self.pan + circle, np.full(self.n, STIR_Z_M)])
        inside = distance(self.hand[:, :2], self.pan) < 0.06
        goal[:, 2] = np.where(inside, STIR_Z_M, 0.12)
        action = self.go(goal, grip=1.0)
        return np.where(self._done()[:, None], self.go(self.up()), action)

    def _done(self) -> np.ndarray:
        """Whether what is in the pan is best if the recipe goes on from now, (N,) bool."""
        recipe, stage = self.family.recipe(self.task), self.now.stage
        takes = [STAGE_S.get(s.skill, 0.0) for s in recipe.stages]
        later = np.array([sum(takes[i + 1 :]) for i in range(len(takes) + 1)])
        heat = np.maximum(self.state[:, HEAT] - COLD, 0.0) / (1.0 - COLD)
        ahead = np.zeros(self.n)
        for i, food in enumerate(recipe.foods):
            gain = self.task.rate * food.rate_1_s * heat * (later[stage] + SERVED_S[i])
            due = self.state[:, DONE0 + i] + gain - food.want
            ahead += np.where(places.in_pan(self.worlds, self.task, i), due, 0.0)
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
        action = self.go(goal, tilt=np.where(pour, 1.1, 0.4))
        height = self.robot.target_m(self.worlds)[:, 2] - OVER_M
        rise = ((speed > 0.0) & (height < 0.03)) | (height < -0.03)
        shake = np.where(rise, 1.0, -1.0) * np.clip(missing / 2.0, 0.35, 1.0)
        action[:, 2] = np.where(pour, shake, action[:, 2])
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
        flowing = np.where(missing > 40.0, 1.1, 0.8)
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
