"""`kitchen/dishes`: whole dishes, step by step, on stoves and with salt that nobody knows."""

from __future__ import annotations

from typing import Any

import numpy as np

from metarl.errors import UnknownNameError
from metarl.registry import register
from metarl.rewards import closeness, distance
from metarl.sim.scene import Scene
from metarl.streams import Streams
from metarl.types import Split
from metarl_kitchen.cells import draw, is_held_out
from metarl_kitchen.cooking import colours, cook, follow, shaken_g
from metarl_kitchen.dishes import counter, judge, places
from metarl_kitchen.dishes.contacts import food_pairs
from metarl_kitchen.dishes.expert import cook_dish
from metarl_kitchen.dishes.menu import Menu
from metarl_kitchen.dishes.recipes import DISHES, SHAPES, SKILLS, UNITS
from metarl_kitchen.dishes.state import (
    ARMED,
    COLUMNS,
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
from metarl_kitchen.dishes.task import (
    COARSENESS,
    FAR_GAIN,
    FOOD0_M,
    FOOD1_M,
    FRICTION,
    GAIN,
    LAG_S,
    MASS_KG,
    PLATE_M,
    RATE,
    STOVE_M,
    VISCOSITY,
    DishTask,
)
from metarl_kitchen.furniture import OFF_YAW_RAD
from metarl_kitchen.kitchen import KitchenFamily

TIME_STEP_S = 0.0125  # of physics
LOW_M, LEAVE_M = 0.20, 0.235  # a stage ends when the hand, once below, has risen above
LONGEST = 120  # control steps of a stage
POUR_ML = 10.0  # liquid in a control step at full tilt, viscosity 1
STIR_M_S = 0.04  # speed of food in a pan that is well stirred
SERVED_SCORE = 0.7  # a dish that one would serve


@register("kitchen/dishes")
class Dishes(KitchenFamily[DishTask]):
    """Cook a whole dish by its recipe, in a kitchen whose stove and salt are new.

    Args:
        dish: One dish, cooked in all splits; by default all of them, whole dishes held out.
        **options: Of `KitchenFamily`.
    """

    task_type = DishTask
    horizon = 600
    film_camera = "close"
    weights = {"approach": 0.2, "steps": 2.0, "heat": 0.3, "taste": 0.5, "done": 0.5, "dish": 3.0}
    floor_m = 0.015  # low enough to lay food on the plate, though some hands sag

    def __init__(
        self,
        *,
        dish: str = "",
        robot: str = "panda",
        control: str = "hand",
        site: str = "",
        home: str = "",
    ):
        super().__init__(robot=robot, control=control, site=site, home=home)
        if dish and dish not in DISHES:
            raise UnknownNameError("dish", dish, DISHES)
        self.menu = Menu({dish: DISHES[dish]} if dish else DISHES)

    def now(self, worlds: Scene, task: DishTask) -> Now:
        """Where each world is in its recipe."""
        return self._at(worlds.userdata[:, STAGE].astype(int), task)

    def _at(self, stage: np.ndarray, task: DishTask) -> Now:
        menu, here = self.menu, (task.dish, stage)
        return Now(stage, menu.skill[here], menu.amount[here], menu.piece[here])

    # Tasks ------------------------------------------------------------------------------

    def models(self) -> dict[str, Any]:
        """One scene for all dishes: what a dish does not need is out of sight."""
        scene = self.scene(
            counter.counter_mjcf(),
            num_userdata=COLUMNS,
            extra=counter.sections_mjcf(),
            time_step_s=TIME_STEP_S,
            listed=True,
        )
        return {"counter": scene}

    def sample(self, rng: Streams, n: int, split: Split) -> DishTask:
        """Draw kitchens; whole dishes are held out, and cells of the stove's gain."""
        mine = np.flatnonzero(self._dishes_of(split))
        pick = np.minimum((rng.uniform() * len(mine)).astype(int), len(mine) - 1)
        stove, plate, food0, food1 = (
            rng.uniform(*bounds, size=2) for bounds in (STOVE_M, PLATE_M, FOOD0_M, FOOD1_M)
        )
        return DishTask(
            stove_m=stove,
            plate_m=plate,
            food0_m=food0,
            food1_m=food1,
            gain=draw(rng, split, *GAIN, far=FAR_GAIN),
            lag_s=rng.uniform(*LAG_S),
            rate=rng.uniform(*RATE),
            coarseness=rng.uniform(*COARSENESS),
            viscosity=rng.uniform(*VISCOSITY),
            mass_kg=rng.uniform(*MASS_KG),
            friction=rng.uniform(*FRICTION),
            dish=mine[pick],
        )

    def in_split(self, task: DishTask, split: Split) -> np.ndarray:
        """Say which tasks belong to a split, (n,) bool."""
        dish = self._dishes_of(split)[task.dish]
        held, far = is_held_out(task.gain, *GAIN), task.gain < GAIN[0]
        return dish & {"train": ~far & ~held, "test": ~far & held, "far": far}[split]

    def _dishes_of(self, split: Split) -> np.ndarray:
        held = self.menu.held_out
        return np.ones(1, bool) if len(held) == 1 else held == (split != "train")

    def configure(self, worlds: Scene, ids: np.ndarray, task: DishTask) -> None:
        """Give the foods their mass and friction."""
        inertia = worlds.model.body_inertia
        for name in ("food0", "food1"):
            body = worlds.id("body", name)
            scale = task.mass_kg / worlds.model.body_mass[body]
            worlds.model_field("body_mass")[ids, body] = task.mass_kg
            worlds.model_field("body_inertia")[ids, body] = scale[:, None] * inertia[body]
        friction, pairs = worlds.model_field("pair_friction"), food_pairs(worlds.model)
        friction[ids[:, None], pairs, :2] = task.friction[:, None, None]

    def reset(self, worlds: Scene, ids: np.ndarray, task: DishTask, rng: Streams) -> None:
        """Set the counter: raw food on the board, the stove off, tools on their racks."""
        pan = places.pan_m(task)
        worlds.mocap_pos("stove")[ids] = _flat(task.stove_m, 0.0)
        worlds.mocap_pos("pan")[ids] = _flat(pan, counter.FLOOR_M)
        worlds.mocap_pos("plate")[ids] = _flat(task.plate_m, 0.0)
        height = counter.BOARD_TOP_M + counter.FOOD_HALF_M + 0.001
        for name, place in (("food0", task.food0_m), ("food1", task.food1_m)):
            turn = rng.uniform(-0.3, 0.3) / 2.0
            flat = np.zeros(len(ids))
            worlds.joint_pos(name)[ids] = np.column_stack(
                [place, flat + height, np.cos(turn), flat, flat, np.sin(turn)]
            )
        start = np.array([0.50, 0.0, 0.30]) + rng.uniform(-0.03, 0.03, size=3)
        self.robot.place(worlds, ids, start)
        worlds.userdata[ids, STAGE:] = 0.0
        self._show(worlds, task, self._at(np.zeros(len(ids), int), task), ids)

    # Cooking ----------------------------------------------------------------------------

    def advance(self, worlds: Scene, task: DishTask) -> None:
        """Let heat, food, salt and liquid go on, then the recipe."""
        state, now, dt_s = worlds.userdata, self.now(worlds, task), self.control_dt_s
        given = task.gain * places.knob(worlds)
        state[:, HEAT] = follow(state[:, HEAT], np.minimum(given, 1.3), task.lag_s, dt_s)
        speed = np.zeros(len(state))
        stirred = np.maximum(state[:, STIR], state[:, LID])
        rate = task.rate[:, None] * self.menu.rate_1_s[task.dish]
        for i in (0, 1):
            lies = places.in_pan(worlds, task, i)
            moves = distance(worlds.joint_vel(f"food{i}")[:, :2], _STILL)
            speed = np.maximum(speed, lies * moves)
            heat = lies * state[:, HEAT]
            state[:, DONE0 + i] = cook(state[:, DONE0 + i], heat, rate[:, i], dt_s, stirred=stirred)
        state[:, STIR] += 0.05 * (np.minimum(speed / STIR_M_S, 1.0) - state[:, STIR])
        self._season(worlds, task, now)
        self._pour(worlds, task, now)
        self._cover(worlds, task, now)
        if self._go_on(worlds, task, now):
            now = self.now(worlds, task)
        state[:, SCORE] = judge.score(worlds, task, self.menu)
        self._show(worlds, task, now, slice(None))

    def _season(self, worlds: Scene, task: DishTask, now: Now) -> None:
        """Salt falls from a shaker that points down and is shaken."""
        down = worlds.site_mat("grip")[:, 6]  # of the hand's x axis, height gained
        speed = worlds.sensor("hand_velocity")[:, 2]
        grams = shaken_g(down, speed, task.coarseness)
        grams = np.where(now.does("season"), grams, 0.0)
        mouth = places.tool_m(worlds, counter.MOUTH_M)
        self._add(worlds, task, SALT, grams, mouth, self.menu.salt)

    def _pour(self, worlds: Scene, task: DishTask, now: Now) -> None:
        """Liquid runs over a lip that is tilted low enough."""
        tilt = np.arcsin(np.clip(worlds.site_mat("grip")[:, 6], -1.0, 1.0))
        ml = POUR_ML * np.clip((tilt - 0.5) / 0.6, 0.0, 1.0) / task.viscosity
        ml = np.where(now.does("pour"), ml, 0.0)
        lip = places.tool_m(worlds, counter.LIP_M)
        self._add(worlds, task, LIQUID, ml, lip, self.menu.liquid)
        stream = np.column_stack([lip[:, :2], np.full(len(lip), counter.RIM_M + 0.05)])
        worlds.mocap_pos("stream")[:] = np.where(ml[:, None] > 0.3, stream, counter.AWAY_M)

    def _add(
        self,
        worlds: Scene,
        task: DishTask,
        column: int,
        amount: np.ndarray,
        place: np.ndarray,
        wanted: np.ndarray,
    ) -> None:
        over = distance(place[:, :2], places.pan_m(task)) < counter.PAN_RADIUS_M
        worlds.userdata[:, column] += over * amount
        worlds.userdata[:, SPILLED] += ~over * amount / np.maximum(wanted[task.dish], 1.0)

    def _cover(self, worlds: Scene, task: DishTask, now: Now) -> None:
        """The lid is on once the hand lets it go on the rim."""
        hand = worlds.site_pos("grip")
        near = distance(hand[:, :2], places.pan_m(task)) < 0.02
        low = hand[:, 2] < counter.RIM_M + counter.LID_DROP_M + 0.02
        put = now.does("cover") & near & low & (self.robot.opening(worlds) > 0.6)
        on = put | (worlds.userdata[:, LID] > 0.0)
        worlds.userdata[:, LID] = now.does("cover") & on

    def _go_on(self, worlds: Scene, task: DishTask, now: Now) -> bool:
        """End stages in which the hand has come down and risen again, or that take too long."""
        state, height = worlds.userdata, worlds.site_pos("grip")[:, 2]
        state[:, TIMER] += 1.0
        state[:, ARMED] = np.maximum(state[:, ARMED], height < LOW_M)
        over = (state[:, ARMED] > 0.0) & (height > LEAVE_M) | (state[:, TIMER] >= LONGEST)
        over &= now.skill != REST
        if not over.any():
            return False
        state[:, WELL] += over & judge.well(worlds, task, now)
        state[:, STAGE] += over
        for column in (TIMER, ARMED, LID):
            state[:, column] = np.where(over, 0.0, state[:, column])
        return True

    def _show(self, worlds: Scene, task: DishTask, now: Now, ids: np.ndarray | slice) -> None:
        """Move tools and broth to where they are, and colour the food."""
        hand, turn = worlds.site_pos("grip")[ids], worlds.body_quat("hand")[ids]
        state, menu, dish = worlds.userdata[ids], self.menu, task.dish
        for skill, tool in counter.TOOLS.items():
            rack = np.where(menu.uses[skill][:, None], counter.RACK_M[tool], counter.AWAY_M)
            place, quat = hand, turn
            if tool == "lid":
                on = state[:, LID, None] > 0.0
                pan = _flat(places.pan_m(task), counter.RIM_M + counter.LID_DROP_M)
                place, quat = np.where(on, pan, hand), np.where(on, counter.DOWN_QUAT, turn)
            held = now.does(skill)[:, None]
            worlds.mocap_pos(tool)[ids] = np.where(held, place, rack[dish])
            worlds.mocap_quat(tool)[ids] = np.where(held, quat, counter.RACK_QUAT[tool])
        level = state[:, LIQUID] * 1e-6 / (np.pi * counter.PAN_RADIUS_M**2)
        height = np.minimum(counter.FLOOR_M - 0.001 + level, counter.RIM_M)
        broth = _flat(places.pan_m(task), height)
        wet = (level > 0.0) & menu.uses["pour"][dish]
        worlds.mocap_pos("broth")[ids] = np.where(wet[:, None], broth, counter.AWAY_M)
        rgba = worlds.model_field("geom_rgba")
        for i in (0, 1):
            shown = colours(state[:, DONE0 + i], menu.tint[dish, i])
            for k, shape in enumerate(SHAPES):
                own = rgba[:, worlds.id("geom", f"food{i}_{shape}")]
                own[ids, :3], own[ids, 3] = shown, menu.is_shape[dish, i, k]

    def hand_expert(self, worlds: Scene, task: DishTask) -> np.ndarray:
        """Cook the dish, knowing the kitchen's constants."""
        return cook_dish(self, worlds, task)

    # What is seen and paid --------------------------------------------------------------

    def observe(self, worlds: Scene, task: DishTask) -> dict[str, np.ndarray]:
        """The hand, where things are from it, and the recipe; not how done the food is."""
        hand, now, state = worlds.site_pos("grip"), self.now(worlds, task), worlds.userdata
        food = [worlds.body_pos(f"food{i}") for i in (0, 1)]
        stands = [worlds.mocap_pos("pan"), worlds.mocap_pos("plate")]
        seen = [*food, places.handle_m(worlds), *stands]
        away = np.concatenate([np.clip((p - hand) / 0.1, -8.0, 8.0) for p in seen], axis=1)
        angle = worlds.joint_pos("knob")
        misfit = self.robot.angles(worlds)[:, :1] - OFF_YAW_RAD - angle
        flags = np.stack([state[:, TIMER] / 40.0, state[:, ARMED], state[:, LID]], axis=1)
        menu, dish = self.menu, task.dish
        plan = np.column_stack(
            [
                _ONE_HOT[now.skill], now.amount * _SCALE[now.skill], now.piece,
                now.stage / menu.length[dish], menu.want[dish],
            ]
        )  # fmt: skip
        things = np.concatenate([away, angle - 1.2, misfit, flags], axis=1)
        return {"robot": self.observe_robot(worlds), "object": things, "recipe": plan}

    def terms(self, worlds: Scene, task: DishTask, action: np.ndarray) -> dict[str, np.ndarray]:
        """Go where the stage is, end stages well, heat, taste and doneness right; the dish."""
        now, state = self.now(worlds, task), worlds.userdata
        menu, begun = self.menu, state[:, WELL] > 0.0
        given = task.gain * places.knob(worlds)
        return {
            "approach": closeness(self._away(worlds, task, now), 0.3) * (now.skill != REST),
            "steps": state[:, WELL] / menu.length[task.dish],
            "heat": closeness(given - menu.heat[task.dish], 0.5) * begun,
            "taste": judge.taste(worlds, task, menu) * begun,
            "done": judge.cooked(worlds, task, menu).mean(axis=1),
            "dish": self.score(worlds, task),
        }

    def _away(self, worlds: Scene, task: DishTask, now: Now) -> np.ndarray:
        """How far the hand is from where the stage begins [m], (N,)."""
        pan, knob = worlds.mocap_pos("pan"), places.handle_m(worlds)
        food = places.of_piece(now, [worlds.body_pos(f"food{i}") for i in (0, 1)])
        fetch = (now.does("add") | now.does("serve"))[:, None]
        goal = np.where(fetch, food, np.where(now.does("heat")[:, None], knob, pan + [0, 0, 0.15]))
        return distance(goal, worlds.site_pos("grip"))

    def score(self, worlds: Scene, task: DishTask) -> np.ndarray:
        """The judge's: how well what reached the plate is cooked and tastes, (N,)."""
        return worlds.userdata[:, SCORE].astype(np.float32)

    def success(self, worlds: Scene, task: DishTask) -> np.ndarray:
        """A dish that one would serve: a score of at least 0.7."""
        return self.score(worlds, task) >= SERVED_SCORE

    def caption(self, worlds: Scene, task: DishTask) -> list[str]:
        """The step, and how hot, how done and how good it is."""
        now, state = self.now(worlds, task), worlds.userdata
        lines, score = [], self.score(worlds, task)
        for i, stage in enumerate(now.stage):
            recipe = self.menu.recipes[task.dish[i]]
            step = "ready"
            if stage < len(recipe.stages):
                plan = recipe.stages[stage]
                what = {
                    "add": recipe.foods[plan.piece].name,
                    "serve": recipe.foods[plan.piece].name,
                }
                amount = f"{plan.amount:g} {UNITS[plan.skill]}" if UNITS.get(plan.skill) else ""
                step = (
                    f"{stage + 1}/{len(recipe.stages)} {plan.skill} {what.get(plan.skill, amount)}"
                )
            done = ", ".join(
                f"{food.name} {100 * state[i, DONE0 + k]:.0f}%"
                for k, food in enumerate(recipe.foods)
            )
            lines.append(
                f"{step.strip()}  ·  heat {100 * state[i, HEAT]:.0f}%  ·  {done}"
                f"  ·  score {score[i]:.2f}"
            )
        return lines


_STILL = np.zeros(2)
_ONE_HOT = np.eye(REST + 1)
# Of amounts in an observation, by skill.
_SCALE = np.array([{"season": 0.2, "pour": 0.01}.get(skill, 1.0) for skill in (*SKILLS, "rest")])


def _flat(place: np.ndarray, height: float | np.ndarray) -> np.ndarray:
    flat = np.empty((len(place), 3))
    flat[:, :2], flat[:, 2] = place, height
    return flat
