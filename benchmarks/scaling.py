"""How much faster is meta-training when its tasks are split over workers?

    python benchmarks/scaling.py

The same iterations of MAML in four ways: in this process with one physics thread, in this process with
all cores (what `metarl train` does without Ray), with one worker on Ray, and with two. All four are in one
run and take turns, for the machine's speed drifts: each ratio is formed within a round, and its mean with
a 95 % interval over rounds is reported. Beside it stands where an iteration's time goes: what the slowest
worker explores for (simulation and inner updates), what it computes gradients for, and what is left: to
send, to wait, and to take the outer steps.

From these costs a table is calculated of what 8 and 64 workers would give. Nobody has measured that.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
import tyro
from shared.machine import write_result

from metarl.adapt.statistics import t_interval
from metarl.cluster.instance import Cluster
from metarl.machine import num_cores
from metarl.meta.maml.config import MamlConfig
from metarl.meta.maml.maml import MamlTrainer
from metarl.registry import make_family

ALONE, PLAIN, ONE, TWO = "one thread", "all cores", "1 worker", "2 workers"
PARTS = ("worker_collect_s", "worker_update_s", "between_s")
RATIOS = ((TWO, ONE), (ONE, ALONE), (TWO, ALONE), (TWO, PLAIN))
CALCULATED = "calculated, not measured"
WORKERS = (1, 2, 8, 64)


@dataclass(frozen=True)
class Config:
    """How large an iteration is, and how often it is measured."""

    family: str = "kitchen/season"
    """The family."""
    num_tasks: int = 20
    """Tasks of an iteration."""
    episodes: int = 10
    """Episodes of each task before each inner update and after the last."""
    inner_updates: int = 5
    """Inner updates."""
    outer_epochs: int = 10
    """Outer steps on each iteration's data: as often parameters go out and gradients come back."""
    rounds: int = 10
    """Rounds in which each way does one iteration, after one that is not counted."""
    max_seconds: float = 240.0
    """No further round begins after so long [s]."""
    gigabits: float = 10.0
    """For the calculated table: what the network between machines carries [Gbit/s]."""
    name: str = "scaling"
    """Name of the result file."""

    def maml(self) -> MamlConfig:
        """The method's own settings, in iterations of this size."""
        return MamlConfig(
            num_tasks=self.num_tasks, episodes=self.episodes, inner_updates=self.inner_updates,
            outer_epochs=self.outer_epochs, anneal=0.0, iterations=1000,
        )  # fmt: skip


def measure(trainers: dict[str, MamlTrainer], config: Config) -> list[dict[str, dict[str, float]]]:
    """Let all ways take turns; a row a round: what each did, by its name."""
    rows: list[dict[str, dict[str, float]]] = []
    begun_s = time.perf_counter()
    for k in range(config.rounds + 1):
        if len(rows) > 1 and time.perf_counter() - begun_s > config.max_seconds:
            break
        names = list(trainers) if k % 2 else list(trainers)[::-1]
        row = {}
        for name in names:
            start_s = time.perf_counter()
            metrics = trainers[name].iterate()
            row[name] = {"seconds": time.perf_counter() - start_s, **metrics}
        told = "  ".join(f"{name} {row[name]['seconds']:.2f} s" for name in trainers)
        print(f"{f'round {k}' if k else 'warm-up':<10}{told}", flush=True)
        rows += [row] * (k > 0)
    return rows


def ratio(rows: list[dict[str, dict[str, float]]], fast: str, slow: str) -> dict[str, Any]:
    """How many times as fast one way is as another: geometric mean over rounds, with a 95 % interval."""
    logs = np.log([row[slow]["seconds"] / row[fast]["seconds"] for row in rows])
    inside = t_interval(logs)
    return {
        "of": fast,
        "over": slow,
        "ratio": float(np.exp(logs.mean())),
        "low": math.exp(inside.low),
        "high": math.exp(inside.high),
    }


def typical(rows: list[dict[str, dict[str, float]]], name: str) -> dict[str, float]:
    """What one way does: steps per second and where an iteration's time goes, medians over rounds."""
    steps = rows[0][name]["steps_per_s"] * rows[0][name]["seconds"]
    seconds = float(np.median([row[name]["seconds"] for row in rows]))
    known = {"seconds": seconds, "steps_per_s": steps / seconds}
    parts = PARTS if PARTS[0] in rows[0][name] else ("collect_s", "update_s")
    return known | {part: float(np.median([row[name][part] for row in rows])) for part in parts}


def calculate(
    one: dict[str, float], two: dict[str, float], num_bytes: int, config: Config
) -> list[dict[str, Any]]:
    """Calculate what more workers would give, from what one and two cost.

    A worker's time is a fixed part and one for each task: two points, all tasks and half of them. What is
    between is a fixed part and one for each worker. To that comes a network, through which the learner
    sends parameters and gets gradients, worker by worker.

    Args:
        one: Of one worker, as `typical` gives it.
        two: Of two.
        num_bytes: Of the parameters and rates.
        config: The measurement's.
    """
    tasks, half = config.num_tasks, math.ceil(config.num_tasks / 2)
    busy = [each["worker_collect_s"] + each["worker_update_s"] for each in (one, two)]
    a_task_s = max(0.0, (busy[0] - busy[1]) / (tasks - half))
    fixed_s = max(0.0, busy[0] - a_task_s * tasks)
    a_worker_s = max(0.0, two["between_s"] - one["between_s"])
    learner_s = max(0.0, one["between_s"] - a_worker_s)
    sent_s = 2 * (1 + config.outer_epochs) * 8 * num_bytes / (config.gigabits * 1e9)
    rows = []
    for grows in (False, True):
        for workers in WORKERS:
            each = half if grows else math.ceil(tasks / workers)
            if not grows and workers > tasks:
                continue
            network_s = sent_s * workers * (workers > 2)
            seconds = fixed_s + each * a_task_s + learner_s + a_worker_s * workers + network_s
            done = each * workers if grows else tasks
            rows.append(
                {
                    "workers": workers,
                    "tasks": done,
                    "tasks_each": each,
                    "iteration_s": seconds,
                    "of_which_network_s": network_s,
                    "tasks_per_s": done / seconds,
                    "how": CALCULATED,
                }
            )
    return rows


def show(result: dict[str, Any]) -> None:
    """Print what was measured, and what is calculated of it."""
    print(f"\n{'':<12}{'steps/s':>9}  where an iteration's time goes")
    for name, known in result["ways"].items():
        parts = "  ".join(
            f"{part.removesuffix('_s').replace('_', ' ')} {known[part]:.2f} s"
            for part in known
            if part not in ("seconds", "steps_per_s")
        )
        print(f"{name:<12}{known['steps_per_s']:>9,.0f}  {parts}")
    print()
    for each in result["ratios"]:
        print(
            f"{each['of']} over {each['over']}: {each['ratio']:.2f}"
            f" [{each['low']:.2f}, {each['high']:.2f}]"
        )
    print(f"efficiency of two workers: {result['efficiency']:.2f}")
    print(f"\n{CALCULATED}, with a network of {result['gigabits']:g} Gbit/s:")
    print(f"{'workers':>8}{'tasks':>7}{'each':>6}{'iteration':>11}{'tasks/s':>9}")
    for row in result["calculated"]:
        print(
            f"{row['workers']:>8}{row['tasks']:>7}{row['tasks_each']:>6}"
            f"{row['iteration_s']:>9.2f} s{row['tasks_per_s']:>9.1f}"
        )


def main(config: Config) -> None:
    """Measure every round and write results/NAME.json."""
    torch.set_num_threads(1)
    threads = {ALONE: 1, PLAIN: 0, ONE: 1, TWO: 1}
    trainers = {
        name: MamlTrainer(make_family(config.family), config.maml(), num_threads=count)
        for name, count in threads.items()
    }
    with Cluster(cores=3, goes_on="start again") as cluster:  # workers that wait cost nothing
        for name, count in ((ONE, 1), (TWO, 2)):
            trainers[name].split_over(cluster, config.family, count)
        rows = measure(trainers, config)
    ways = {name: typical(rows, name) for name in trainers}
    learned = [*trainers[ONE].params.values(), *trainers[ONE].rates.values()]
    num_bytes = sum(x.numel() * x.element_size() for x in learned)
    result = {
        "family": config.family,
        "tasks": config.num_tasks,
        "cores": num_cores(),
        "ray": version("ray"),
        "ways": ways,
        "ratios": [ratio(rows, fast, slow) for fast, slow in RATIOS],
        "efficiency": ratio(rows, TWO, ONE)["ratio"] / 2.0,
        "bytes_of_parameters": num_bytes,
        "gigabits": config.gigabits,
        "calculated": calculate(ways[ONE], ways[TWO], num_bytes, config),
        "rounds": [{name: {"seconds": row[name]["seconds"]} for name in trainers} for row in rows],
    }
    show(result)
    print(f"wrote {write_result(config.name, result)}")


if __name__ == "__main__":
    main(tyro.cli(Config))
