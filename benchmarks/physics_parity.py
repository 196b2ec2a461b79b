"""Does a policy do as well on the other physics as on the one that it was trained on?

    python benchmarks/physics_parity.py

Shipped policies that see their task, trained on MuJoCo, act on the same held-out tasks from the same
starts on MuJoCo and on mujoco-warp. With --train N each family is also trained for N iterations of
PPO on either physics, and both policies act on both: all four combinations. Success at the end of an
episode, and on how many tasks the two differ: with few tasks one of them is several points. A GPU is
used where there is one; on a CPU mujoco-warp is slow, hence so few tasks.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import tyro
from shared.machine import RESULTS, provenance

from metarl.errors import MetaRLError
from metarl.learn.train import train
from metarl.names import with_physics
from metarl.nn.functional import apply, parameters_of
from metarl.physics import PHYSICS, WARP, require_physics
from metarl.registry import make_family
from metarl.runs.policies import load_policy_for, read_checkpoint, sees_task
from metarl.runs.shipped import shipped
from metarl.sim.worlds import Worlds


@dataclass(frozen=True)
class Config:
    """Which policies, and how many tasks."""

    policies: tuple[str, ...] = ("season-ppo", "heat-ppo", "add-dagger")
    """Shipped policies of kitchen/NAME that see their task."""
    tasks: int = 32
    """Held-out tasks, an episode each."""
    seed: int = 0
    """Of tasks and starts; of training."""
    train: int = 0
    """Iterations of PPO on each physics, in place of shipped policies; 0: none."""
    out: Path = RESULTS / "physics-parity"
    """The folder to write to."""


class Outcome(NamedTuple):
    """How episodes ended, a world each."""

    success: np.ndarray  # (N,) bool
    returns: np.ndarray  # (N,)
    diverged: int


def act_on(physics: str, family: str, checkpoint: Path, config: Config) -> Outcome:
    """Let a policy act, without noise, on held-out tasks of a family."""
    found = read_checkpoint(checkpoint)
    worlds = Worlds(
        make_family(with_physics(family, physics)), config.tasks, seed=config.seed, split="test",
        held_out=True, task_visible=sees_task(found),
    )  # fmt: skip
    policy = load_policy_for(found, worlds)
    params = parameters_of(policy)
    obs, over = worlds.reset(), np.zeros(config.tasks, bool)
    success, returns = np.zeros(config.tasks, bool), np.zeros(config.tasks)
    while not over.all():
        with torch.no_grad():
            action = apply(policy, params, torch.from_numpy(obs))[0].numpy()
        step = worlds.step(action)
        ends = step.terminated | step.truncated
        returns += np.where(over, 0.0, step.reward)
        success[ends & ~over] = step.success[ends & ~over]
        over |= ends
        obs = worlds.reset(ends) if ends.any() else step.obs
    return Outcome(success, returns, worlds.num_diverged)


def trained_on(family: str, config: Config, folder: Path) -> Iterator[tuple[str, Path]]:
    """Train a policy on each physics."""
    for physics in PHYSICS:
        name = with_physics(family, physics)
        path = train(name, "ppo", seed=config.seed, iterations=config.train, out=folder / physics)
        yield physics, path


def measure(policy: str, config: Config, folder: Path) -> Iterator[dict[str, Any]]:
    """Let each policy act on both physics; a row each."""
    family = f"kitchen/{policy.rpartition('-')[0]}"
    policies = [("mujoco", shipped(family, policy))]
    if config.train:
        policies = list(trained_on(family, config, folder / policy))
    for physics, path in policies:
        outcomes = {there: act_on(there, family, path, config) for there in PHYSICS}
        own = outcomes[physics]
        for there, outcome in outcomes.items():
            yield {
                "family": family,
                "policy": f"ppo, {config.train} iterations" if config.train else policy,
                "trained_on": physics,
                "run_on": there,
                "tasks": config.tasks,
                "success": float(outcome.success.mean()),
                "return": float(outcome.returns.mean()),
                "other_outcome": int((outcome.success != own.success).sum()),
                "diverged": outcome.diverged,
            }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| family | policy | trained on | run on | success | mean return | tasks that end otherwise |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        lines.append(
            f"| `{row['family']}` | {row['policy']} | {row['trained_on']} | {row['run_on']} |"
            f" {row['success']:.1%} | {row['return']:.2f} | {row['other_outcome']} of {row['tasks']} |"
        )
    return "\n".join(lines) + "\n"


def main(config: Config) -> int:
    """Measure, print the table, and write it."""
    try:
        require_physics(WARP)
    except MetaRLError as error:
        print(error, file=sys.stderr)
        return 2
    rows = list[dict[str, Any]]()
    with tempfile.TemporaryDirectory() as folder:
        for policy in config.policies:
            for row in measure(policy, config, Path(folder)):
                rows.append(row)
                print(json.dumps(row), flush=True)
    import warp

    made = provenance()
    made["versions"] |= {name: version(name) for name in ("mujoco-warp", "warp-lang")}
    result = {"made-by": made, "device": str(warp.get_preferred_device()), "rows": rows}
    config.out.mkdir(parents=True, exist_ok=True)
    name = "trained" if config.train else "shipped"
    (config.out / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    (config.out / f"{name}.md").write_text(table(rows))
    print(table(rows), end="")
    print(f"wrote {config.out / name}.json and .md")
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Config)))
