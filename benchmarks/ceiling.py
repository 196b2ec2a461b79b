"""How well do policies that see their task do, without any update, on train and on held-out tasks?

    python benchmarks/ceiling.py --family kitchen/stir --name stir-imitated --policies \
        results/pretrained/kitchen-stir-dagger-s{0,1,2}.safetensors

Policies act without noise; several are trainings of one recipe by several seeds. Paths of policies are
taken from this folder. The result names the commands that trained them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from shared.machine import restart_for_same_bits, write_result

from metarl.adapt.evaluate import measure_ceiling
from metarl.adapt.protocol import Protocol
from metarl.adapt.statistics import t_interval
from metarl.registry import make_family
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.policies import read_checkpoint
from metarl.types import Split

SPLITS: tuple[Split, ...] = ("train", "test")


@dataclass(frozen=True)
class Config:
    """What is measured."""

    policies: tuple[Path, ...]
    """Their checkpoints."""
    family: str
    """The family whose tasks they meet."""
    name: str
    """Of the result file."""
    num_tasks: int = 128
    """Tasks of each split."""
    episodes: int = 2
    """Of each task."""


def measure(config: Config, policies: list[Checkpoint], split: Split) -> dict[str, Any]:
    """Success on a split: of each policy, their mean, and its 95% t interval."""
    family = make_family(config.family)
    protocol = Protocol(num_tasks=config.num_tasks, eval_episodes=config.episodes, split=split)
    each = [
        float(measure_ceiling(family, policy, protocol, task_visible=True).success.mean())
        for policy in policies
    ]
    around = t_interval(np.array(each))
    return {
        "split": split, "success": float(np.mean(each)), "each": each,
        "interval": [max(0.0, around.low), min(1.0, around.high)] if len(each) > 1 else None,
    }  # fmt: skip


def trained(policy: Checkpoint) -> dict[str, Any]:
    """What is known of a training."""
    command = policy.meta.get("command", policy.meta["made-with"].get("command"))
    return {"command": command, "steps": policy.meta["steps"], "config": policy.meta["config"]}


def main(config: Config) -> None:
    """Measure each split, and write the result."""
    policies = [read_checkpoint(Path(__file__).parent / path) for path in config.policies]
    rows = [measure(config, policies, split) for split in SPLITS]
    for row in rows:
        each = ", ".join(f"{100 * success:.1f}" for success in row["each"])
        print(f"{config.family} {row['split']}: success {100 * row['success']:.1f}% ({each})")
    said = {"family": config.family, "num_tasks": config.num_tasks, "episodes": config.episodes}
    result = {**said, "trained": [trained(policy) for policy in policies], "rows": rows}
    print(f"wrote {write_result(config.name, result)}")


if __name__ == "__main__":
    restart_for_same_bits()
    main(tyro.cli(Config))
