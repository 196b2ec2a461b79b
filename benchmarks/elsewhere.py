"""How much of the speed of somebody else's environments reaches a learner?

    metarl metaworld install
    python benchmarks/elsewhere.py

Meta-World's environments, stepped directly by processes of their own, one a core, without metarl; and
the same ones behind `Worlds`, with observations, rewards and judging. Both do the same episodes: the
same tasks and the same actions, the starts included. They alternate in one run: the machine's speed
drifts, so each round's ratio is formed within the round, and the median is reported.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import metarl_metaworld
import numpy as np
import tyro
from metarl_metaworld.table import INTERPRETER, SEED
from shared.machine import among_saved, write_result

from metarl.errors import MetaRLError
from metarl.machine import num_cores
from metarl.registry import make_family
from metarl.sim.kinds import make_worlds
from metarl.sim.worlds import Worlds

LIMIT_S = 600.0  # for a round of one process
DIRECT = """
import json, os, sys, time
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
import metaworld, numpy as np
name, numbers, rows, shape, seed = sys.argv[1], *map(json.loads, sys.argv[2:])
ml1 = metaworld.ML1(name, seed=seed)
envs = [ml1.train_classes[name]() for _ in rows]
for env, number in zip(envs, numbers): env.set_task(ml1.train_tasks[number])
actions = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)[:, rows]
print("ready", flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    for env in envs: env.reset()
    for row in actions:
        for env, action in zip(envs, row): env.step(action)
    print(time.perf_counter() - start, flush=True)
"""


@dataclass(frozen=True)
class Config:
    """How much to measure."""

    num_worlds: int = 64
    """Environments in all, on either side."""
    rounds: int = 7
    """Alternating rounds; the ratio is the median over them."""
    num_steps: int = 250
    """Control steps of an episode."""
    families: tuple[str, ...] = ("metaworld/reach-v3", "metaworld/pick-place-v3")
    """Which skills of Meta-World."""
    name: str = "elsewhere"
    """Name of the result file."""


class Direct:
    """Processes that step environments by themselves.

    Args:
        skill: Which.
        number: Which of its tasks each has, (N,).
        shape: Of the actions, (T, N, A).
    """

    def __init__(self, skill: str, number: np.ndarray, shape: tuple[int, int, int]):
        self.steps, self.processes = shape[0] * shape[1], list[subprocess.Popen[str]]()
        for rows in np.array_split(np.arange(len(number)), min(num_cores(), len(number))):
            given = [number[rows].tolist(), rows.tolist(), shape, SEED]
            self.processes.append(
                subprocess.Popen(
                    [INTERPRETER.path(), "-I", "-c", DIRECT, skill, *map(json.dumps, given)],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                    text=True, start_new_session=True,  # else the scheduler gives it another share
                )
            )  # fmt: skip
        self._all("ready")

    def run(self) -> float:
        """Let all of them do an episode; control steps per second until the last has done."""
        start_s = time.perf_counter()
        for process in self.processes:
            print("go", file=process.stdin, flush=True)
        self._all()
        return self.steps / (time.perf_counter() - start_s)

    def _all(self, expected: str | None = None) -> None:
        for process in self.processes:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            if not line or (expected and line != expected):
                raise MetaRLError(f"a process that steps Meta-World directly has ended: {line!r}")

    def close(self) -> None:
        """End them."""
        for process in self.processes:
            process.communicate(timeout=LIMIT_S)


def ours(worlds: Worlds, actions: np.ndarray) -> float:
    """Control steps per second of an episode in all worlds."""
    start_s = time.perf_counter()
    worlds.reset()
    for action in actions:
        worlds.step(action)
    return worlds.num_worlds * len(actions) / (time.perf_counter() - start_s)


def measure(name: str, config: Config) -> dict[str, Any]:
    """Alternate both for one skill."""
    worlds = make_worlds(make_family(name), config.num_worlds)
    shape = (config.num_steps, config.num_worlds, worlds.spec.action_dim)
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, shape).astype(np.float32)
    direct = Direct(name.partition("/")[2], worlds.task.number, shape)
    rows = []
    for k in range(config.rounds):
        both = {"direct": direct.run, "worlds": lambda: ours(worlds, actions)}
        order = list(both) if k % 2 else list(both)[::-1]
        found = {which: both[which]() for which in order}
        rows.append([found["direct"], found["worlds"]])
        print(f"{name} round {k + 1}/{config.rounds}: " + "  ".join(f"{x:,.0f}" for x in rows[-1]))
    direct.close()
    rates = np.array(rows)
    return {
        "family": name,
        "num_worlds": config.num_worlds,
        "direct": float(np.median(rates[:, 0])),
        "worlds": float(np.median(rates[:, 1])),
        "worlds/direct": float(np.median(rates[:, 1] / rates[:, 0])),
        "rounds": rates.round(1).tolist(),
    }


def main(config: Config) -> int:
    """Measure skills and write results/NAME.json; rows of others stay as they were."""
    try:
        rows = [measure(name, config) for name in config.families]
    except MetaRLError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"\n{'family':<28}{'direct/s':>11}{'Worlds/s':>11}{'Worlds/direct':>15}")
    for r in rows:
        print(
            f"{r['family']:<28}{r['direct']:>11,.0f}{r['worlds']:>11,.0f}{r['worlds/direct']:>15.2f}"
        )
    rows = among_saved(config.name, "families", rows, "family")
    result = {"num_steps": config.num_steps, "families": rows}
    print(f"wrote {write_result(config.name, result)}")
    return 0


if __name__ == "__main__":
    assert metarl_metaworld.families
    sys.exit(main(tyro.cli(Config)))
