"""How much memory does a training run take, and how soon does it begin?

    python benchmarks/footprint.py

Each run is a process of its own, started as `metarl train` starts it. The clock runs from
before the process exists to the return of its first control step.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro
from shared.machine import write_result

from metarl.methods import training_names

CHILD = """
import json, resource, sys, time
from pathlib import Path
from metarl.sim.worlds import Worlds

step, first = Worlds.step, []

def timed(self, action):
    out = step(self, action)
    first or first.append(time.time())
    return out

Worlds.step = timed
from metarl.learn.train import train

family, method, iterations, out = sys.argv[1:]
train(family, method, iterations=int(iterations), out=Path(out))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"first_step_at": first[0], "peak_bytes": peak}))
"""


@dataclass(frozen=True)
class Config:
    """What is started, and how often."""

    family: str = "kitchen/season"
    """The family on which methods are started."""
    methods: tuple[str, ...] = ()
    """Which; none: every one."""
    others: tuple[str, ...] = (
        "kitchen/heat:ppo", "kitchen/heat:maml", "kitchen/add:ppo", "kitchen/add:maml",
        "kitchen/skills:dagger", "kitchen/skills:maml", "kitchen/dishes:dagger",
    )  # fmt: skip
    """More runs, FAMILY:METHOD."""
    iterations: int = 2
    """Of each run: memory no longer grows after the second."""
    repeats: int = 3
    """Starts of each; the first may find a cold disk."""

    name: str = "footprint"
    """Name of the result file."""

    def runs(self) -> list[tuple[str, str]]:
        """Every run, (family, method)."""
        return [(self.family, m) for m in self.methods or training_names()] + [
            (family, method) for family, _, method in (one.partition(":") for one in self.others)
        ]


@dataclass(frozen=True)
class Footprint:
    """What was measured: one entry a start."""

    family: str
    method: str
    first_step_s: tuple[float, ...]
    peak_gib: tuple[float, ...]


def measure(family: str, method: str, config: Config) -> Footprint:
    """Start one run a few times."""
    starts: list[float] = []
    peaks: list[float] = []
    for _ in range(config.repeats):
        with tempfile.TemporaryDirectory() as folder:
            arguments = [family, method, str(config.iterations), str(Path(folder) / "run")]
            begin = time.time()
            done = subprocess.run(
                [sys.executable, "-c", CHILD, *arguments],
                check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
        said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        starts.append(said["first_step_at"] - begin)
        peaks.append(said["peak_bytes"] / 2**30)
    return Footprint(family, method, tuple(starts), tuple(peaks))


def main(config: Config) -> None:
    """Measure all, print a row each, write the JSON."""
    rows = []
    for family, method in config.runs():
        found = measure(family, method, config)
        rows.append(asdict(found))
        print(
            f"{family:<16}{method:<12}first step after {max(found.first_step_s):.1f} s at most,"
            f" peak {max(found.peak_gib):.2f} GiB",
            flush=True,
        )
    print(f"wrote {write_result(config.name, {'rows': rows})}")


if __name__ == "__main__":
    main(tyro.cli(Config))
