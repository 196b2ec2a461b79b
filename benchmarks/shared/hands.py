"""Cells of eyes that a policy teaches: a training, what its eyes are worth, and the table of both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metarl.adapt.adaptation import act_with
from metarl.adapt.evaluate import held_out_tasks
from metarl.adapt.protocol import Protocol
from metarl.adapt.statistics import t_interval
from metarl.benchmark.cells import cost, keep
from metarl.grid.cell import Cell
from metarl.grid.store import Record
from metarl.learn.train import train
from metarl.names import slug
from metarl.perception.eyes.trainer import see_in
from metarl.registry import make_family
from metarl.runs import fields
from metarl.runs.policies import load_policy_for, read_checkpoint
from metarl.runs.shipped import shipped
from metarl.sim.worlds import Worlds
from metarl.types import Act
from shared.machine import RESULTS
from shared.policies import kept_name

TOLD, AS_IT_WAS = "told", "as it was"


def teacher(family: str, method: str, seed: int) -> Path:
    """The policy that teaches: a file of that name, the shipped one of seed 0, or a kept one."""
    if method.endswith(".safetensors"):
        return Path(method)
    if seed == 0:
        return shipped(family, f"{family.rpartition('/')[2]}-{method}")
    return RESULTS / "pretrained" / kept_name(family, method, seed)


@dataclass(frozen=True, kw_only=True)
class Taught(Cell):
    """Eyes, taught by a policy.

    Args:
        arm: How it is called.
        family: Where.
        method: Of the policy that teaches.
        iterations: How long.
        settings: Fields of the config that differ from its defaults.
        before: Eyes to begin with; None: none.
        seed: Of everything that is drawn, and which policy.
    """

    arm: str
    family: str
    method: str
    iterations: int = fields.count(1)
    settings: Mapping[str, Any] = field(default_factory=dict)
    before: Taught | None = None
    seed: int = fields.seed()

    @property
    def key(self) -> str:
        """Its name."""
        return f"train.{self.name}"

    def needs(self) -> tuple[Cell, ...]:
        """The eyes that it begins with."""
        return () if self.before is None else (self.before,)

    @property
    def name(self) -> str:
        """How it is called where it is used."""
        return f"{slug(self.family)}.{slug(self.arm)}.s{self.seed}"

    def files(self) -> tuple[str, ...]:
        """Its checkpoint."""
        return (f"policies/{self.name}.safetensors",)

    def run(self, folder: Path) -> Mapping[str, Any]:
        """Train, from the last checkpoint of a run that was killed, and keep its networks."""
        begins: dict[str, Any] = (
            {} if self.before is None else {"eyes": str(folder / self.before.files()[0])}
        )
        digest = hashlib.sha256(json.dumps(self.definition()).encode()).hexdigest()[:8]
        made = train(
            self.family, "eyes", seed=self.seed, iterations=self.iterations, resume=True,
            start=teacher(self.family, self.method, self.seed), num_threads=1,
            out=folder / "trainings" / f"{self.name}-{digest}", **self.settings, **begins,
        )  # fmt: skip
        keep(made, folder / self.files()[0], {})
        return cost(made)


@dataclass(frozen=True, kw_only=True)
class Judged(Cell):
    """Success on held-out tasks, with eyes or told.

    Args:
        family: Whose tasks.
        protocol: Which tasks.
        eyes: Whose eyes; None: the policy is told. They may have been trained elsewhere.
        method: Of the policy.
        seed: Which policy.
    """

    family: str
    protocol: Protocol
    eyes: Taught | None = None
    method: str
    seed: int = fields.seed()

    @property
    def key(self) -> str:
        """Its name."""
        if self.eyes is None:
            return f"judge.{slug(self.family)}.{TOLD}.s{self.seed}"
        elsewhere = self.eyes.family != self.family
        return f"judge.{self.eyes.name}{f'.on.{slug(self.family)}' * elsewhere}"

    def needs(self) -> tuple[Cell, ...]:
        """The training."""
        return () if self.eyes is None else (self.eyes,)

    def run(self, folder: Path) -> Mapping[str, Any]:
        """Give the share of tasks that were solved."""
        family, protocol = make_family(self.family), self.protocol
        worlds = Worlds(
            family, protocol.num_tasks, seed=protocol.seed, split=protocol.split,
            task_visible=True, num_threads=1, held_out=True,
        )  # fmt: skip
        worlds.assign(held_out_tasks(family, protocol))
        if self.eyes is not None:
            return {
                "success": success(
                    worlds, see_in(read_checkpoint(folder / self.eyes.files()[0]), worlds)
                )
            }
        policy = load_policy_for(
            read_checkpoint(teacher(self.family, self.method, self.seed)), worlds
        )
        return {"success": success(worlds, act_with(policy, dict(policy.named_parameters())))}


def success(worlds: Worlds, act: Act) -> float:
    """Run one episode in every world; the share that succeeds."""
    obs, n = worlds.reset(), worlds.num_worlds
    alive, good = np.ones(n, bool), np.zeros(n, bool)
    while alive.any():
        step = worlds.step(np.clip(act(obs), -1.0, 1.0))
        good = np.where(alive, step.success, good)
        alive &= ~(step.terminated | step.truncated)
        obs = worlds.reset(worlds.done) if worlds.done.any() and alive.any() else step.obs
    return float(good.mean())


def rows_of(asked: list[Judged], records: Mapping[str, Record]) -> list[dict[str, Any]]:
    """A row a family and arm: success and what training took, a value a finished seed."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for cell in asked:
        if cell.key not in records:
            continue
        arm = TOLD if cell.eyes is None else cell.eyes.arm
        met = cell.eyes is None or cell.eyes.family == cell.family
        arm = arm if met else AS_IT_WAS
        row = rows.setdefault(
            (cell.family, arm),
            {"family": cell.family, "arm": arm, "success": [], "minutes": [], "steps": []},
        )
        row["success"].append(records[cell.key].result["success"])
        if met and cell.eyes is not None and cell.eyes.key in records:
            made = records[cell.eyes.key].result
            row["minutes"].append(made["seconds"] / 60.0)
            row["steps"].append(made["steps"])
    return list(rows.values())


def markdown(rows: list[dict[str, Any]], protocol: Protocol) -> str:
    """Write the table."""
    lines = [
        f"Success [%] on {protocol.num_tasks} held-out tasks, mean over seeds [95% t interval over"
        " seeds]. `told`: the policy on states. Pictures of 84 pixels.",
        "",
        "| family | arm | seeds | success | pictures | minutes |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        around = t_interval(100.0 * np.array(row["success"]))
        mean = f"{100.0 * np.mean(row['success']):.0f}"
        if not np.isnan(around.low):
            mean += f" [{max(0.0, around.low):.0f}, {min(100.0, around.high):.0f}]"
        pictures = f"{np.mean(row['steps']):,.0f}" if row["steps"] else ""
        minutes = f"{np.mean(row['minutes']):.1f}" if row["minutes"] else ""
        lines.append(
            f"| `{row['family']}` | `{row['arm']}` | {len(row['success'])} | {mean} | {pictures} |"
            f" {minutes} |"
        )
    return "\n".join(lines) + "\n"
