"""How many pictures a second do the observation cameras give?

    python benchmarks/rendering.py

Every frame shows another state of the expert's or a random episode; one process a core, as
pictures for a CNN are rendered.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
import tyro
from shared.machine import write_result

from metarl.film.render import Renderer
from metarl.registry import family_names, make_family
from metarl.sim.worlds import Worlds


@dataclass(frozen=True)
class Config:
    """What is drawn, and for how long."""

    families: tuple[str, ...] = ()
    """Families; none: every one with cameras."""
    size: int = 84
    """Width and height [pixels]."""
    seconds: float = 3.0
    """Of drawing, each family."""
    processes: int = os.cpu_count() or 1
    """How many draw side by side."""
    name: str = "rendering"
    """Name of the result file."""


def draw(name: str, config: Config) -> float:
    """Frames a second of one process, stepping of the worlds not counted."""
    family = make_family(name)
    worlds = Worlds(family, 1, seed=0, num_threads=1)
    worlds.reset()
    rng, frames, spent_s = np.random.default_rng(0), 0, 0.0
    model, _ = worlds.world()
    camera = family.cameras[0]
    with Renderer(model, config.size, config.size, camera, film=False) as renderer:
        while spent_s < config.seconds:
            worlds.step(rng.uniform(-1.0, 1.0, (1, worlds.spec.action_dim)))
            if worlds.done.any():
                worlds.reset()
            start = time.perf_counter()
            model, data = worlds.world()
            mujoco.mj_forward(model, data)
            renderer.frame(model, data)
            spent_s += time.perf_counter() - start
            frames += 1
    return frames / spent_s


def measure(name: str, config: Config) -> dict[str, Any]:
    """Draw in several processes at once."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(config.processes) as pool:
        rates = pool.starmap(draw, [(name, config)] * config.processes)
    print(f"{name:<20}{sum(rates):8,.0f} frames/s", flush=True)
    return {"family": name, "frames/s": sum(rates), "rates": rates}


def main(config: Config) -> None:
    """Measure every family and write the result."""
    names = config.families or [n for n in family_names() if make_family(n).cameras]
    rows = [measure(name, config) for name in names]
    settings = {"size": config.size, "processes": config.processes}
    print(f"wrote {write_result(config.name, {**settings, 'rows': rows})}")


if __name__ == "__main__":
    main(tyro.cli(Config))
