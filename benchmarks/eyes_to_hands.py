"""How much of a policy's success is left where a camera takes the place of what it was told?

    python benchmarks/eyes_to_hands.py

A policy that was trained on states teaches eyes: what they see it was told (`columns`; `fresh` with a
picture network that has seen nothing, `frozen` with the classifier's layers as they are), or what it
would do (`actions`: end to end, nothing of the policy is left). Each arm has as many pictures and
gradient steps. All act on the same held-out tasks, on which the policy that is told (`told`) is judged
too; the control arm is `columns` with the same first weights and other noise. A seed has a policy of its
own. Finished cells are in the run folder and merged into one file, from which a fresh clone goes on.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from shared.grid import GridConfig, run_grid
from shared.machine import RESULTS, restart_for_same_bits
from shared.policies import kept_name

from metarl.adapt.adaptation import act_with
from metarl.adapt.evaluate import held_out_tasks
from metarl.adapt.protocol import Protocol
from metarl.adapt.statistics import t_interval
from metarl.benchmark.cells import cost, keep
from metarl.grid.cell import Cell
from metarl.grid.store import Record
from metarl.learn.train import train
from metarl.perception.eyes.trainer import see_in
from metarl.registry import make_family, slug
from metarl.runs import fields
from metarl.runs.checkpoint import write_atomically
from metarl.runs.config import made_with
from metarl.runs.policies import load_policy_for, read_checkpoint
from metarl.runs.run import write_json
from metarl.runs.shipped import shipped
from metarl.sim.worlds import Worlds
from metarl.types import Act

COMMAND = "python benchmarks/eyes_to_hands.py"
TOLD, CONTROL = "told", "columns, other noise"
ARMS: Mapping[str, Mapping[str, Any]] = {
    "columns": {"trunk": "ingredients"},
    "fresh": {},
    "frozen": {"trunk": "ingredients", "frozen": True},
    "actions": {"trunk": "ingredients", "answers": "actions"},
    CONTROL: {"trunk": "ingredients", "noise": 1},
}
RESULT, TABLE = "hands.json", "hands.md"


@dataclass(frozen=True)
class Design:
    """What is trained, and by whom.

    Args:
        teachers: By family, the method by which the policy was trained that teaches, or its file.
        asks: By family, hidden fields of its tasks that pictures show.
        iterations: Of each training.
        settings: Fields of the config that differ from its defaults, the same for every arm.
        protocol: Which held-out tasks.
    """

    teachers: Mapping[str, str]
    asks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    iterations: int = 30
    settings: Mapping[str, Any] = field(default_factory=dict)
    protocol: Protocol = Protocol(num_tasks=100, eval_episodes=1)


DESIGN = Design(
    teachers={"kitchen/add": "dagger", "kitchen/heat": "ppo"}, asks={"kitchen/add": ("pan_m",)}
)


@dataclass(frozen=True)
class Config(GridConfig):
    """How much of it is run."""

    runs: Path = Path("runs/eyes-to-hands")
    """Where cells, trainings and policies are kept while it runs."""
    results: Path = RESULTS / "eyes-to-hands"
    """Where the merged cells and the table go."""


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
        seed: Of everything that is drawn, and which policy.
    """

    arm: str
    family: str
    method: str
    iterations: int = fields.count(1)
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = fields.seed()

    @property
    def key(self) -> str:
        """Its name."""
        return f"train.{self.name}"

    @property
    def name(self) -> str:
        """How it is called where it is used."""
        return f"{slug(self.family)}.{slug(self.arm)}.s{self.seed}"

    def files(self) -> tuple[str, ...]:
        """Its checkpoint."""
        return (f"policies/{self.name}.safetensors",)

    def run(self, folder: Path) -> Mapping[str, Any]:
        """Train, from the last checkpoint of a run that was killed, and keep its networks."""
        digest = hashlib.sha256(json.dumps(self.definition()).encode()).hexdigest()[:8]
        made = train(
            self.family, "eyes", seed=self.seed, iterations=self.iterations, resume=True,
            start=teacher(self.family, self.method, self.seed), num_threads=1,
            out=folder / "trainings" / f"{self.name}-{digest}", **self.settings,
        )  # fmt: skip
        keep(made, folder / self.files()[0], {})
        return cost(made)


@dataclass(frozen=True, kw_only=True)
class Judged(Cell):
    """Success on held-out tasks, with eyes or told.

    Args:
        family: Whose tasks.
        protocol: Which tasks.
        eyes: Whose eyes; None: the policy is told.
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
        name = f"{slug(self.family)}.{TOLD}.s{self.seed}" if self.eyes is None else self.eyes.name
        return f"judge.{name}"

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


def cells(design: Design, num_seeds: int) -> list[Judged]:
    """Everything that is measured, a seed whole before the next."""
    found = []
    for seed in range(num_seeds):
        for family, method in design.teachers.items():
            judged = partial(
                Judged, family=family, method=method, seed=seed, protocol=design.protocol
            )
            found.append(judged())
            for arm, own in ARMS.items():
                asks = design.asks.get(family, ()) if own.get("answers") != "actions" else ()
                settings = {**design.settings, **own, **({"asks": asks} if asks else {})}
                eyes = Taught(
                    arm=arm, family=family, method=method, seed=seed,
                    iterations=design.iterations, settings=settings,
                )  # fmt: skip
                found.append(judged(eyes=eyes))
    return found


def rows_of(asked: list[Judged], records: Mapping[str, Record]) -> list[dict[str, Any]]:
    """A row a family and arm: success and what training took, a value a finished seed."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for cell in asked:
        if cell.key not in records:
            continue
        arm = TOLD if cell.eyes is None else cell.eyes.arm
        row = rows.setdefault(
            (cell.family, arm),
            {"family": cell.family, "arm": arm, "success": [], "minutes": [], "steps": []},
        )
        row["success"].append(records[cell.key].result["success"])
        if cell.eyes is not None and cell.eyes.key in records:
            made = records[cell.eyes.key].result
            row["minutes"].append(made["seconds"] / 60.0)
            row["steps"].append(made["steps"])
    return list(rows.values())


def markdown(rows: list[dict[str, Any]], design: Design) -> str:
    """Write the table."""
    lines = [
        f"Success [%] on {design.protocol.num_tasks} held-out tasks, mean over seeds [95% t interval over"
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


def main(config: Config, design: Design = DESIGN) -> int:
    """Run what is missing, then write the table of every cell that is there."""
    asked = cells(design, config.seeds)
    records, failed = run_grid(asked, config)
    rows, folder = rows_of(asked, records), config.results
    folder.mkdir(parents=True, exist_ok=True)
    table = markdown(rows, design)
    write_json(
        folder / RESULT, {"design": dataclasses.asdict(design), "rows": rows, **made_with(COMMAND)}
    )
    write_atomically(folder / TABLE, table.encode())
    print(table)
    return 1 if failed else 0


if __name__ == "__main__":
    restart_for_same_bits()
    raise SystemExit(main(tyro.cli(Config)))
