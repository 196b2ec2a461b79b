"""Does memory grow while a family plays, or a method trains, for a million control steps?

    python benchmarks/soak.py

Resident memory is the median over the second fifth, and over the last: with second derivatives it goes
up and down by a twentieth from one iteration to the next. Open files are counted after the first fifth,
and at the end. Worlds
play random actions and get new tasks with every episode; methods train as `metarl train` does.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import tyro
from shared.machine import among_saved, write_result

from metarl.methods import get_training
from metarl.registry import family_names, make_family
from metarl.sim.worlds import Worlds

READINGS = 1000  # of memory, over the whole
PAGE = resource.getpagesize()


@dataclass(frozen=True)
class Config:
    """What plays and what trains."""

    families: tuple[str, ...] = ()
    """Families that play; none: all."""
    methods: tuple[str, ...] = ("ppo", "maml", "rl2", "pearl")
    """Methods that train."""
    trains_on: str = "kitchen/season"
    """The family on which they do."""
    steps: int = 1_000_000
    """Control steps of each."""
    num_worlds: int = 512
    """Worlds that play; 1 is replayed, as a single environment is."""
    name: str = "soak"
    """Name of the result."""
    only: str = ""
    """Soak this one in this process; for the script's own use."""


@dataclass(frozen=True)
class Soak:
    """What was measured.

    Args:
        name: A family, or a method.
        steps: Control steps.
        early_mib: Resident memory, the median over the second fifth of them.
        late_mib: Over the last fifth.
        early_files: Open files after a fifth.
        late_files: At the end.
    """

    name: str
    steps: int
    early_mib: float
    late_mib: float
    early_files: int
    late_files: int

    @property
    def growth(self) -> float:
        """By which share memory grew."""
        return self.late_mib / self.early_mib - 1.0


def memory_mib() -> float:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 2**20


def open_files() -> int:
    """How many files this process holds open."""
    return len(os.listdir("/proc/self/fd"))


def play(name: str, num_worlds: int) -> Iterator[int]:
    """Play episode after episode, each with new tasks; yields the control steps of each step."""
    worlds = Worlds(make_family(name), num_worlds, seed=0)
    rng = np.random.default_rng(0)
    worlds.reset()
    while True:
        worlds.step(rng.uniform(-1.0, 1.0, (num_worlds, worlds.spec.action_dim)))
        yield num_worlds
        if worlds.done.any():
            ids = np.flatnonzero(worlds.done)
            worlds.assign(worlds.sample("train", ids), ids)
            worlds.reset(ids)


def learn(method: str, family: str) -> Iterator[int]:
    """Train; yields the control steps of each iteration."""
    kind = get_training(method)
    trainer = kind.trainer(make_family(family), kind.config(**kind.settings))
    while True:
        before = trainer.num_steps
        trainer.iterate()
        yield trainer.num_steps - before


def soak(name: str, config: Config) -> Soak:
    """Run one until it has made its steps."""
    is_method = name in config.methods
    going = learn(name, config.trains_on) if is_method else play(name, config.num_worlds)
    done, read, files = 0, 0, 0
    early, late = list[float](), list[float]()
    for steps in going:
        done += steps
        part = done / config.steps
        if done >= config.steps / READINGS * read:  # at least so often apart
            read += 1
            (early if 0.2 <= part < 0.4 else late if part >= 0.8 else []).append(memory_mib())
        if not files and part >= 0.2:
            files = open_files()
        if part >= 1.0:
            break
    return Soak(name, done, float(np.median(early)), float(np.median(late)), files, open_files())


def main(config: Config) -> None:
    """Soak each in a process of its own, print a row each, write the JSON."""
    if config.only:
        print(json.dumps(asdict(soak(config.only, config))))
        return
    rows = []
    for name in (*(config.families or family_names()), *config.methods):
        done = subprocess.run(
            [sys.executable, *sys.argv, "--only", name],
            check=True, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        row = Soak(**json.loads(done.stdout.splitlines()[-1]))
        rows.append(asdict(row) | {"growth": row.growth})
        print(
            f"{name:<28}{row.steps:>10,} steps  {row.early_mib:7.0f} -> {row.late_mib:7.0f} MiB"
            f"  {row.growth:+.1%}  files {row.early_files} -> {row.late_files}",
            flush=True,
        )
    rows = among_saved(config.name, "rows", rows, "name")
    print(f"wrote {write_result(config.name, {'rows': rows})}")


if __name__ == "__main__":
    main(tyro.cli(Config))
