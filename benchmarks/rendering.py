"""How many pictures a second does an environment give that observes pixels, and a set of pictures?

    python benchmarks/rendering.py

Rounds alternate: MuJoCo draws states that stand and does nothing else; then
`FamilyVectorEnv` steps its worlds and gives a picture of each. So both see the same machine,
however busy, and each round has its ratio; medians count. Sets are rendered and written as by
`metarl perceive render`, by one process and by one a core.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import tyro
from shared.machine import write_result

from metarl.film.render import Renderer
from metarl.interop.spaces import PIXELS
from metarl.interop.vector_env import FamilyVectorEnv
from metarl.perception.dataset import render_dataset
from metarl.registry import family_names, make_family
from metarl.sim.worlds import Worlds


@dataclass(frozen=True)
class Config:
    """What is drawn, and how much."""

    families: tuple[str, ...] = ()
    """Families; none: every one with cameras."""
    scenes: tuple[str, ...] = ("kitchen/ingredients", "kitchen/ingredients@shift=clutter")
    """Scenes of which sets are written."""
    num_pictures: int = 2000
    """Pictures of a set."""
    size: int = 84
    """Width and height [pixels]."""
    num_envs: int = 32
    """Worlds."""
    num_steps: int = 10
    """Control steps of a round: so many pictures of each world."""
    rounds: int = 5
    """How often the two alternate."""
    name: str = "rendering"
    """Name of the result file."""


class Raw:
    """States of worlds that stand, and what draws them."""

    def __init__(self, worlds: Worlds, size: int):
        self.out = np.empty((size, size, 3), np.uint8)
        self.found = [(worlds.model_name(i), *worlds.world(i)) for i in range(worlds.num_worlds)]
        self.renderers: dict[str, Renderer] = {}
        for name, model, data in self.found:
            mujoco.mj_forward(model, data)
            if name not in self.renderers:
                camera = worlds.family.cameras[0]
                self.renderers[name] = Renderer(model, size, size, camera, film=False)

    def run(self, times: int) -> int:
        """Draw every state so many times; how many pictures that makes."""
        for _ in range(times):
            for name, model, data in self.found:
                self.renderers[name].frame(model, data, self.out)
        return times * len(self.found)

    def close(self) -> None:
        """Free the drawing contexts."""
        for renderer in self.renderers.values():
            renderer.close()


def measure(name: str, config: Config) -> dict[str, Any]:
    """Let both take turns.

    Args:
        name: The family.
        config: See `Config`.
    Returns:
        Medians of pictures a second, raw and of the environment, of their ratio, and of the time of
        a core that a picture takes [ms], which hangs less on what else the machine does.
    """
    env = FamilyVectorEnv(
        name, config.num_envs, seed=0, observation="pixels", picture_size=config.size
    )
    env.reset()
    raw = Raw(env.worlds, config.size)
    env.action_space.seed(0)
    rates: dict[str, list[float]] = {"raw": [], "env": []}
    spent_s: dict[str, list[float]] = {"raw": [], "env": []}

    def play(times: int) -> int:
        return sum(len(env.step(env.action_space.sample())[0][PIXELS]) for _ in range(times))

    for turn in range(config.rounds + 1):
        for what, run in (("raw", raw.run), ("env", play)):
            start, spent = time.perf_counter(), time.process_time()
            pictures = run(config.num_steps)
            if turn:  # the first one opens what draws
                rates[what].append(pictures / (time.perf_counter() - start))
                spent_s[what].append((time.process_time() - spent) / pictures)
    env.close()
    raw.close()
    ratio = float(np.median(np.divide(rates["env"], rates["raw"])))
    medians = {what: float(np.median(found)) for what, found in rates.items()}
    cpu_ms = {f"{what} cpu ms": 1e3 * float(np.median(s)) for what, s in spent_s.items()}
    print(
        f"{name:<28}{medians['env']:8,.0f} frames/s, {ratio:.2f} of raw {medians['raw']:,.0f};"
        f" {cpu_ms['env cpu ms']:.2f} ms of a core a frame",
        flush=True,
    )
    return {"family": name, **medians, "env/raw": ratio, **cpu_ms}


def measure_set(scene: str, config: Config) -> dict[str, Any]:
    """Write sets of a scene.

    Args:
        scene: Its name.
        config: See `Config`.
    Returns:
        Medians of pictures a second, by one process and by one a core.
    """
    cores = len(os.sched_getaffinity(0))
    rates: dict[int, list[float]] = {1: [], cores: []}
    for turn in range(config.rounds):
        for jobs, found in rates.items():
            with tempfile.TemporaryDirectory() as folder:
                start_s = time.perf_counter()
                render_dataset(
                    scene, config.num_pictures, Path(folder) / "set",
                    seed=turn, size=config.size, jobs=jobs,
                )  # fmt: skip
                found.append(config.num_pictures / (time.perf_counter() - start_s))
    medians = {jobs: float(np.median(found)) for jobs, found in rates.items()}
    print(
        f"{scene:<36}{medians[cores]:8,.0f} pictures/s by {cores} processes,"
        f" {medians[1]:,.0f} by one",
        flush=True,
    )
    return {"scene": scene, "processes": cores, "pictures/s": medians[cores], "by one": medians[1]}


def main(config: Config) -> None:
    """Measure every family and scene, and write the result."""
    names = config.families or [n for n in family_names() if make_family(n).cameras]
    rows = [measure(name, config) for name in names]
    sets = [measure_set(scene, config) for scene in config.scenes]
    load = os.getloadavg()[0]
    settings = {"size": config.size, "num_envs": config.num_envs, "load": load}
    print(f"wrote {write_result(config.name, {**settings, 'rows': rows, 'sets': sets})}")


if __name__ == "__main__":
    main(tyro.cli(Config))
