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
from metarl_kitchen.dishes import counter, judge, places, process
from metarl_kitchen.dishes.contacts import food_pairs
from metarl_kitchen.dishes.expert import cook_dish
from metarl_kitchen.dishes.menu import Menu
from metarl_kitchen.dishes.recipes import DISHES, SKILLS, UNITS
from metarl_kitchen.dishes.state import (
    ARMED,
    COLUMNS,
    DONE0,
    HEAT,
    LID,
    REST,
    SCORE,
    STAGE,
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
    beside_pictures = ("robot", "recipe")
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
        self.narrowed = bool(dish)

    # Tasks ------------------------------------------------------------------------------

    def models(self) -> dict[str, Any]:
        """One scene for all dishes: what a dish does not need is out of sight."""
        scene = self.scene(
            counter.counter_mjcf(),
            num_userdata=COLUMNS,
            extra=counter.sections_mjcf(self.robot.gripper),
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

    def kinds(self, task: DishTask) -> list[str]:
        """Which dish it is."""
        return [self.menu.names[dish] for dish in task.dish]

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
        worlds.mocap_pos("stove")[ids] = places.above(task.stove_m, 0.0)
        worlds.mocap_pos("pan")[ids] = places.above(pan, counter.FLOOR_M)
        worlds.mocap_pos("plate")[ids] = places.above(task.plate_m, 0.0)
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
        process.show(worlds, task, self.menu, ids)

    def advance(self, worlds: Scene, task: DishTask) -> None:
        """Let heat, food, salt and liquid go on, then the recipe."""
        process.advance(worlds, task, self.menu, self.robot, self.control_dt_s)

    def hand_expert(self, worlds: Scene, task: DishTask) -> np.ndarray:
        """Cook the dish, knowing the kitchen's constants."""
        return cook_dish(self, worlds, task)

    # What is seen and paid --------------------------------------------------------------

    def observe(self, worlds: Scene, task: DishTask) -> dict[str, np.ndarray]:
        """The hand, where things are from it and how they lie, and the recipe; no doneness."""
        hand, now, state = (
            worlds.site_pos("grip"),
            process.where(worlds, task, self.menu),
            worlds.userdata,
        )
        food = [worlds.body_pos(f"food{i}") for i in (0, 1)]
        stands = [worlds.mocap_pos("pan"), worlds.mocap_pos("plate")]
        seen = [*food, places.handle_m(worlds), *stands]
        away = np.concatenate([np.clip((p - hand) / 0.1, -8.0, 8.0) for p in seen], axis=1)
        lies = [worlds.body_mat(f"food{i}")[:, [0, 3, 8]] for i in (0, 1)]  # heading, upright
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
        things = np.concatenate([away, *lies, angle - 1.2, misfit, flags], axis=1)
        return {"robot": self.observe_robot(worlds), "object": things, "recipe": plan}

    def terms(self, worlds: Scene, task: DishTask, action: np.ndarray) -> dict[str, np.ndarray]:
        """Go where the stage is, end stages well, heat, taste and doneness right; the dish."""
        now, state = process.where(worlds, task, self.menu), worlds.userdata
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
        now, state = process.where(worlds, task, self.menu), worlds.userdata
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


_ONE_HOT = np.eye(REST + 1)
# Of amounts in an observation, by skill.
_SCALE = np.array([{"season": 0.2, "pour": 0.01}.get(skill, 1.0) for skill in (*SKILLS, "rest")])
