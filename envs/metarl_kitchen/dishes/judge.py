"""Who judges a dish, and each of its steps."""

from __future__ import annotations

import numpy as np

from metarl.sim.scene import Scene
from metarl_kitchen.dishes import places
from metarl_kitchen.dishes.menu import Menu
from metarl_kitchen.dishes.state import DONE0, DONE1, LID, LIQUID, SALT, SPILLED, STIR, Now
from metarl_kitchen.dishes.task import DishTask


def well(worlds: Scene, task: DishTask, now: Now) -> np.ndarray:
    """Whether the present stage has reached what it asks for, (N,) bool."""
    state = worlds.userdata
    given = task.gain * places.knob(worlds)
    done = {
        "heat": np.abs(given - now.amount) < 0.1,
        "add": places.of_piece(now, [places.in_pan(worlds, task, i) for i in (0, 1)]),
        "stir": state[:, STIR] > 0.15,
        "season": np.abs(state[:, SALT] - now.amount) < np.maximum(0.15 * now.amount, 0.75),
        "pour": np.abs(state[:, LIQUID] - now.amount) < 0.15 * now.amount + 5.0,
        "cover": state[:, LID] > 0.0,
        "serve": places.of_piece(now, [places.on_plate(worlds, task, i) for i in (0, 1)]),
    }
    return np.select([now.does(skill) for skill in done], list(done.values()), False)


def taste(worlds: Scene, task: DishTask, menu: Menu) -> np.ndarray:
    """How near salt and liquid are to what the recipe wants, 0 to 1, (N,)."""
    state, dish = worlds.userdata, task.dish
    marks, count = np.zeros(len(state)), np.zeros(len(state))
    for amount, column in ((menu.salt, SALT), (menu.liquid, LIQUID)):
        wanted = amount[dish]
        asked = wanted > 0.0
        error = np.abs(state[:, column] - wanted) / np.where(asked, wanted, 1.0)
        marks = marks + asked * (1.0 - ((error - 0.15) / 0.5).clip(0.0, 1.0))
        count += asked
    spilled = (state[:, SPILLED] - 0.1).clip(0.0, 1.0)
    return marks / count * (1.0 - spilled)


def cooked(worlds: Scene, task: DishTask, menu: Menu) -> np.ndarray:
    """How near each food's doneness is to its best, 0 to 1, (N, 2)."""
    error = np.abs(worlds.userdata[:, DONE0 : DONE1 + 1] - menu.want[task.dish])
    return 1.0 - ((error - 0.08) / 0.25).clip(0.0, 1.0)


def score(worlds: Scene, task: DishTask, menu: Menu) -> np.ndarray:
    """Of what reached the plate: how well it is cooked, and how well it tastes, (N,)."""
    served = np.stack([places.on_plate(worlds, task, i) for i in (0, 1)], axis=1)
    if not served.any():
        return np.zeros(worlds.num_worlds, np.float32)
    food = (served * cooked(worlds, task, menu)).mean(axis=1)
    return (food * (0.6 + 0.4 * taste(worlds, task, menu))).astype(np.float32)
