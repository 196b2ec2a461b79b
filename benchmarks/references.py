"""What can be reached on the published standards by a policy that sees its task?

    python benchmarks/references.py

Trains one by PPO on each, with one seed, and plays it with mean actions on tasks that it has not
met; beside it random actions, and none at all. These take the place of scripted experts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from shared.machine import among_saved, provenance, restart_for_same_bits, write_result
from shared.policies import command
from shared.recipes import REFERENCES

from metarl.adapt.adaptation import act_with
from metarl.adapt.statistics import estimate
from metarl.benchmark.cells import cost, keep
from metarl.learn.train import train
from metarl.names import slug
from metarl.registry import make_family
from metarl.runs.policies import load_policy_for, read_checkpoint
from metarl.sim.worlds import Worlds
from metarl.types import Act


@dataclass(frozen=True)
class Config:
    """Which families, and on how many tasks."""

    families: tuple[str, ...] = tuple(REFERENCES)
    """The families."""
    num_tasks: int = 128
    """Tasks, one episode of each."""
    seed: int = 0
    """Of the training; the tasks have another."""
    runs: Path = Path("runs/references")
    """Where the runs are kept."""
    ship: Path | None = None
    """Copy the networks into this folder."""
    name: str = "references"
    """Name of the result file."""


def returns(worlds: Worlds, act: Act) -> tuple[np.ndarray, np.ndarray]:
    """Return and success of an episode of each world, (N,) both."""
    obs, total = worlds.reset(), np.zeros(worlds.num_worlds)
    success, alive = np.zeros(worlds.num_worlds, bool), np.ones(worlds.num_worlds, bool)
    while alive.any():
        step = worlds.step(act(obs))
        total += alive * step.reward
        success |= alive & step.success & worlds.done
        alive &= ~worlds.done
        obs = worlds.reset(worlds.done) if worlds.done.any() and alive.any() else step.obs
    return total, success


def measure(name: str, config: Config) -> dict[str, Any]:
    """Train a family's reference, play it, random actions and none."""
    how = REFERENCES[name]
    path = train(
        name, how.method, seed=config.seed, iterations=how.iterations, resume=True,
        out=config.runs / f"{slug(name)}-{how.method}", **how.settings,
    )  # fmt: skip
    family, rng = make_family(name), np.random.default_rng(0)
    found = read_checkpoint(path)
    row: dict[str, Any] = {"family": name, "training": cost(path)}
    worlds = Worlds(
        family, config.num_tasks, seed=1000, split="test", task_visible=True, held_out=True
    )
    shape = (config.num_tasks, worlds.spec.action_dim)
    policy = load_policy_for(found, worlds)
    acts: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "reference": act_with(policy, dict(policy.named_parameters())),
        "random": lambda obs: rng.uniform(-1.0, 1.0, shape),
        "still": lambda obs: np.zeros(shape),
    }
    for who, act in acts.items():
        total, success = returns(worlds, act)
        row[who] = {"return": asdict(estimate(total[None], rng)), "success": float(success.mean())}
    if config.ship is not None:
        short = name.split("/")[-1]
        said = {
            "command": command(name, how, config.seed, f"runs/{short}-{how.method}"),
            "made-by": provenance(),
            "return": row["reference"]["return"]["mean"],
        }
        keep(path, config.ship / f"{short}-{how.method}.safetensors", said)
    return row


def main(config: Config) -> None:
    """Measure every family, print a row each, and write results/NAME.json.

    Rows of other families stay as they were.
    """
    rows = []
    for name in config.families:
        row = measure(name, config)
        said = "  ".join(
            f"{who} {row[who]['return']['mean']:.1f} [{row[who]['return']['mean_low']:.1f},"
            f" {row[who]['return']['mean_high']:.1f}]"
            for who in ("reference", "random", "still")
        )
        print(f"{name:<28}return: {said}", flush=True)
        rows.append(row)
    rows = among_saved(config.name, "families", rows, "family")
    print(f"wrote {write_result(config.name, {'num_tasks': config.num_tasks, 'families': rows})}")


if __name__ == "__main__":
    restart_for_same_bits()
    main(tyro.cli(Config))
