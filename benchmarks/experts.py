"""How well do the scripted experts do, on every family, robot and control, and does chance?

    python benchmarks/experts.py

One cell is a family (or a dish), a robot and a control. The tasks were seen by nobody who wrote
the experts: the seed belongs to this script. Dishes are graded by their score.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tyro
from machine import write_result

from metarl.registry import family_class, family_names, make_family, option_names, robot_names
from metarl.sim.robot import CONTROLS
from metarl.sim.worlds import Worlds
from metarl.types import Split

Act = Callable[[Worlds], np.ndarray]
DISHES = "kitchen/dishes"


@dataclass(frozen=True)
class Config:
    """What is measured."""

    families: tuple[str, ...] = ()
    """Families; none: every one that takes a robot, dish by dish."""
    robots: tuple[str, ...] = ()
    """Robots; none: all."""
    controls: tuple[str, ...] = CONTROLS
    """Control modes."""
    num_tasks: int = 128
    """Tasks of each split of a skill."""
    num_dishes: int = 24
    """Kitchens in which each dish is cooked."""
    seed: int = 2026
    """Of tasks, worlds and random actions."""
    name: str = "experts"
    """Name of the result file."""


def families(config: Config) -> Iterator[str]:
    """Yield the families, the one over dishes as one family a dish."""
    for name in config.families or family_names():
        options = option_names(family_class(name))
        if "dish" in options and "@" not in name:
            yield from (f"{name}@dish={dish}" for dish in make_family(name).menu.names)
        elif "robot" in options:
            yield name


def play(worlds: Worlds, act: Act) -> tuple[float, float]:
    """Play one episode of every world; returns mean success and score."""
    worlds.reset()
    for _ in range(worlds.family.horizon):
        step = worlds.step(act(worlds))
    return float(step.success.mean()), float(step.score.mean())


def measure(name: str, robot: str, control: str, config: Config) -> dict[str, Any]:
    """Measure the expert on train and test, and random actions on train."""
    family = make_family(name, robot=robot, control=control)
    dish = name.startswith(DISHES)
    n = config.num_dishes if dish else config.num_tasks
    rng = np.random.default_rng(config.seed)
    row: dict[str, Any] = {"family": name, "robot": robot, "control": control, "num_tasks": n}

    def random(worlds: Worlds) -> np.ndarray:
        return rng.uniform(-1.0, 1.0, (worlds.num_worlds, worlds.spec.action_dim))

    splits: tuple[Split, ...] = ("train",) if dish else ("train", "test")
    for split in splits:
        worlds = Worlds(family, n, seed=config.seed, split=split)
        row[f"expert_{split}"], row[f"expert_{split}_score"] = play(worlds, Worlds.expert)
    row["random"], row["random_score"] = play(Worlds(family, n, seed=config.seed), random)
    return row


def main(config: Config) -> None:
    """Measure every cell and write the result."""
    rows, start = [], time.perf_counter()
    for name in families(config):
        for robot in config.robots or robot_names():
            for control in config.controls:
                row = measure(name, robot, control, config)
                rows.append(row)
                shown = {k: v for k, v in row.items() if isinstance(v, float)}
                print(
                    f"{name:<42}{robot:<8}{control:<6}"
                    + "  ".join(f"{k} {v:.3f}" for k, v in shown.items()),
                    flush=True,
                )
    took = time.perf_counter() - start
    print(f"wrote {write_result(config.name, {'rows': rows, 'seconds': took})}")


if __name__ == "__main__":
    main(tyro.cli(Config))
