"""Does some guess of the hidden task make the pretrained policy solve a skill?

    python benchmarks/guesses.py

The shipped policy of `kitchen/skills` plays tasks of every skill with mean actions: first as if the
hidden numbers were the true ones (or the middle, where adaptation starts), then with guesses, normal
noise around them. Where hardly any guess succeeds, no search for the hidden task will.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import tyro
from metarl_kitchen.skills import HELD_OUT, Skills
from shared.machine import write_result

from metarl.learn.rollout import collect
from metarl.nn.functional import parameters_of
from metarl.runs.policies import load_policy_for, read_checkpoint
from metarl.runs.shipped import shipped
from metarl.sim.worlds import Worlds
from metarl.streams import Streams
from metarl.types import Split, repeat, take

FAMILY, POLICY = "kitchen/skills", "skills-dagger"


@dataclass(frozen=True)
class Config:
    """How many guesses of how many tasks."""

    num_tasks: int = 24
    """Tasks of each skill."""
    guesses: int = 64
    """Of each task, beside the truth and the middle."""
    std: float = 0.6
    """Of the guesses, in units of the task block: a field's range spans 2."""
    seed: int = 1000
    """Of tasks, worlds and guesses."""
    name: str = "guesses"
    """Name of the result file."""


def tasks_of(family: Skills, skill: str, split: Split, num_tasks: int, seed: int) -> Any:
    """Draw tasks of one skill, (K,)."""
    many = 20 * num_tasks  # enough that every skill is among them often enough
    tasks = family.sample(Streams.from_seed(seed, many, held_out=True), many, split)
    [part] = (p for p in family.parts if p.name == skill)
    own = (tasks.model >= part.first) & (tasks.model < part.first + part.models)
    return take(tasks, np.flatnonzero(own)[:num_tasks])


def play(family: Skills, tasks: Any, config: Config, *, around_truth: bool) -> np.ndarray:
    """Play the centre of the guesses, then the guesses, success (K, 1 + G)."""
    times = 1 + config.guesses
    worlds = Worlds(
        family, config.num_tasks * times, seed=config.seed, held_out=True, task_visible=around_truth,
    )  # fmt: skip
    worlds.assign(repeat(tasks, times))
    generator = torch.Generator().manual_seed(config.seed)
    hidden = torch.tensor(worlds.spec.hidden)
    noise = torch.randn((config.num_tasks, times, len(hidden)), generator=generator)
    noise[:, 0] = 0.0
    policy = load_policy_for(read_checkpoint(shipped(FAMILY, POLICY)), worlds)
    done = collect(
        worlds, policy, parameters_of(policy), num_tasks=1, generator=generator,
        deterministic=True, offset=(config.std * hidden * noise).flatten(0, 1),
    )  # fmt: skip
    return done.success.reshape(config.num_tasks, times)


def main(config: Config) -> None:
    """Play every skill; say how often the centre and the guesses solve it, and how many tasks one solves."""
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    family = Skills()
    held_out = {f.id.rpartition("/")[2] for f in HELD_OUT}
    for part in family.parts:
        split: Split = "test" if part.name in held_out else "train"
        tasks = tasks_of(family, part.name, split, config.num_tasks, config.seed)
        row: dict[str, Any] = {"skill": part.name, "split": split}
        for centre in ("truth", "middle"):
            success = play(family, tasks, config, around_truth=centre == "truth")
            row[centre] = {
                "itself": success[:, 0].mean(),
                "guesses": success[:, 1:].mean(),
                "tasks-with-one": success[:, 1:].any(1).mean(),
            }
            shares = "  ".join(f"{k} {100 * v:.1f}%" for k, v in row[centre].items())
            print(f"{part.name:<8}{centre:<8}{shares}", flush=True)
        rows.append(row)
    result = {"num_tasks": config.num_tasks, "guesses": config.guesses, "std": config.std}
    print(f"wrote {write_result(config.name, {**result, 'rows': rows})}")


if __name__ == "__main__":
    main(tyro.cli(Config))
