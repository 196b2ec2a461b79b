"""How well do the scripted experts do, on every family, robot and control, and does chance?

    python benchmarks/experts.py

One cell is a family (or a dish), a robot and a control. The tasks were seen by nobody who wrote
the experts: the seed belongs to this script. Dishes are graded by their score.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import tyro
from metarl_kitchen.dishes.family import Dishes
from shared.machine import among_saved, write_result

from metarl.names import split_name
from metarl.registry import family_class, family_names, make_family, option_names, robot_names
from metarl.robots.robot import CONTROLS
from metarl.sim.worlds import Worlds
from metarl.types import Split, Step

Act = Callable[[Worlds], np.ndarray]
DISHES = "kitchen/dishes"
TRAINED: tuple[Split, ...] = ("train", "test")


@dataclass(frozen=True)
class Config:
    """What is measured."""

    families: tuple[str, ...] = ()
    """Families; none: every one that takes a robot. kitchen/dishes@dish=NAME is one dish."""
    robots: tuple[str, ...] = ()
    """Robots; none: all."""
    controls: tuple[str, ...] = CONTROLS
    """Control modes."""
    num_tasks: int = 128
    """Tasks of each split of a skill."""
    num_dishes: int = 48
    """Kitchens in which each dish is cooked."""
    seed: int = 2026
    """Of tasks, worlds and random actions."""
    name: str = "experts"
    """Name of the result file."""


def play(worlds: Worlds, act: Act) -> Step:
    """Play one episode of every world; returns its last step."""
    worlds.reset()
    for _ in range(worlds.family.horizon):
        step = worlds.step(act(worlds))
    return step


def random_actions(seed: int) -> Act:
    """Act at random."""
    rng = np.random.default_rng(seed)
    return lambda worlds: rng.uniform(-1.0, 1.0, (worlds.num_worlds, worlds.spec.action_dim))


def measure(name: str, robot: str, control: str, config: Config) -> Iterator[dict[str, Any]]:
    """Measure the expert on train and test, and random actions on train."""
    family = make_family(name, robot=robot, control=control)
    n = config.num_tasks
    row: dict[str, Any] = {"family": name, "robot": robot, "control": control, "num_tasks": n}
    for split in TRAINED:
        done = play(Worlds(family, n, seed=config.seed, split=split, held_out=True), Worlds.expert)
        row[f"expert_{split}"] = float(done.success.mean())
        row[f"expert_{split}_score"] = float(done.score.mean())
    done = play(Worlds(family, n, seed=config.seed, held_out=True), random_actions(config.seed))
    yield row | {"random": float(done.success.mean()), "random_score": float(done.score.mean())}


def measure_dishes(
    robot: str, control: str, config: Config, only: str | None
) -> Iterator[dict[str, Any]]:
    """Measure the cook and random actions on every dish, all dishes at once, or on one."""
    family = make_family(DISHES, robot=robot, control=control)
    assert isinstance(family, Dishes)
    every, n = family.menu.names, config.num_dishes
    if only is not None:
        make_family(DISHES, dish=only)  # names the dishes that there are, if it is none of them
    names = [only] if only else every
    worlds = Worlds(family, n * len(names), seed=config.seed, held_out=True)
    dish = np.repeat([every.index(name) for name in names], n)
    worlds.assign(dataclasses.replace(worlds.task, dish=dish))
    cooked, chance = play(worlds, Worlds.expert), play(worlds, random_actions(config.seed))
    for name in names:
        d = every.index(name)
        yield {
            "family": f"{DISHES}@dish={name}", "robot": robot, "control": control, "num_tasks": n,
            "expert_train": float(cooked.success[dish == d].mean()),
            "expert_train_score": float(cooked.score[dish == d].mean()),
            "random": float(chance.success[dish == d].mean()),
            "random_score": float(chance.score[dish == d].mean()),
        }  # fmt: skip


def main(config: Config) -> None:
    """Measure every cell and write the result; rows of other families stay as they were."""
    rows, start = [], time.perf_counter()
    names = [n for n in family_names() if "robot" in option_names(family_class(n))]
    cells = product(config.families or names, config.robots or robot_names(), config.controls)
    for name, robot, control in cells:
        base, options = split_name(name)
        if base == DISHES:
            found = measure_dishes(robot, control, config, options.get("dish"))
        else:
            found = measure(name, robot, control, config)
        for row in found:
            rows.append(row)
            print(
                f"{row['family']:<42}{row['robot']:<8}{row['control']:<6}"
                + "  ".join(f"{k} {v:.3f}" for k, v in row.items() if isinstance(v, float)),
                flush=True,
            )
    took, rows = time.perf_counter() - start, among_saved(config.name, "rows", rows, "family")
    print(f"wrote {write_result(config.name, {'rows': rows, 'seconds': took})}")


if __name__ == "__main__":
    main(tyro.cli(Config))
