"""The cells of a benchmark: what is trained, and what then meets held-out tasks."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metarl.adapt.protocol import Protocol
from metarl.grid.cell import Cell
from metarl.learn.train import setting_text
from metarl.matrix.cells import Given, rounded
from metarl.names import slug
from metarl.registry import make_family
from metarl.runs import fields
from metarl.runs.config import made_with

POLICIES, TRAININGS = "policies", "trainings"  # below the benchmark's folder
# Tensors of a checkpoint that meets tasks.
KEPT = ("policy.", "rates.", "encoder.", "memory.", "critic.", "eyes.")


class _Marked(Cell):
    """A cell with a field that tells it from others, and is no part of its definition where it is empty:
    what was run before there was such a field stays valid."""

    _mark = ""

    def definition(self) -> dict[str, Any]:
        """Everything that decides the result, as JSON values."""
        said = super().definition()
        if not said[self._mark]:
            del said[self._mark]
        return said


@dataclass(frozen=True, kw_only=True)
class Training(_Marked):
    """A policy, trained on a family.

    Args:
        family: Which.
        method: How.
        iterations: How long.
        settings: Fields of the method's config that differ from its defaults.
        seed: Of everything that is drawn.
        start: What it goes on from; None: from nothing.
        label: What tells it from other trainings by its method; "": nothing needs to.
    """

    _mark = "label"

    family: str
    method: str
    iterations: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = fields.seed()
    start: Training | Given | None = None
    label: str = ""

    @property
    def key(self) -> str:
        """Its name."""
        return f"train.{self.name}"

    @property
    def name(self) -> str:
        """How it is called where its cost is told."""
        label = f"-{self.label}" if self.label else ""
        return f"{slug(self.family)}-{self.method}{label}-s{self.seed}"

    @property
    def file(self) -> str:
        """Where its policy is, below the benchmark's folder."""
        return f"{POLICIES}/{self.name}.safetensors"

    @property
    def command(self) -> str:
        """The `metarl train` that does the same."""
        before = None if self.start is None else _run_folder(self.start)
        return train_command(
            self.family, self.method, self.iterations, self.settings, self.seed,
            out=_run_folder(self), start=before,
        )  # fmt: skip

    @property
    def line(self) -> list[Training]:
        """What it goes on from, the first first, and itself."""
        before = self.start.line if isinstance(self.start, Training) else []
        return [*before, self]

    def needs(self) -> tuple[Cell, ...]:
        """What it goes on from."""
        return (self.start,) if isinstance(self.start, Training) else ()

    def files(self) -> tuple[str, ...]:
        """Its policy."""
        return (self.file,)

    def run(self, folder: Path) -> Mapping[str, Any]:
        """Train, from the last checkpoint of a run that was killed, and keep the policy."""
        from metarl.learn.train import train

        digest = hashlib.sha256(json.dumps(self.definition()).encode()).hexdigest()[:8]
        made = train(
            self.family, self.method, seed=self.seed, iterations=self.iterations, num_threads=1,
            start=folder / self.start.file if self.start else None, resume=True,
            mapping=self.start.mapping if isinstance(self.start, Given) else (),
            out=folder / TRAININGS / f"{self.name}-{digest}", **self.settings,
        )  # fmt: skip
        keep(
            made,
            folder / self.file,
            {"command": self.command, "made-by": made_with("")["made-with"]},
        )
        return cost(made)


@dataclass(frozen=True, kw_only=True)
class Meeting(_Marked):
    """A policy meets a family's held-out tasks by one or more methods.

    Args:
        family: Of the tasks.
        arm: How the cell is called.
        start: The policy.
        methods: How it adapts: by name, the settings that differ from a method's own.
        protocol: How that is measured.
        levels: Whether it is also judged without updates, the task hidden and, if it sees tasks, in view.
        table: What tells it from meetings of other tables of its family; "": nothing needs to.
    """

    _mark = "table"

    family: str
    arm: str
    start: Training | Given
    methods: Mapping[str, Mapping[str, Any]]
    protocol: Protocol = Protocol()
    levels: bool = False
    table: str = ""

    @property
    def key(self) -> str:
        """Its name."""
        start = self.start
        which = f"s{start.seed}" if isinstance(start, Training) else start.name
        return f"adapt.{slug(self.table or self.family)}.{self.arm}.{which}"

    @property
    def seeded(self) -> bool:
        """Whether what it starts from was trained with a seed of this benchmark."""
        return isinstance(self.start, Training)

    def needs(self) -> tuple[Cell, ...]:
        """The training of its policy."""
        return (self.start,) if isinstance(self.start, Training) else ()

    def run(self, folder: Path) -> Mapping[str, Any]:
        """Adapt by each method, and say what came before."""
        from metarl.adapt.evaluate import evaluate_adaptation, measure_ceiling, settings_of
        from metarl.runs.policies import sees_task

        family = make_family(self.family)
        found = _policy(self.start, folder, family)
        results, levels = {}, {}
        for name, own in self.methods.items():
            result = evaluate_adaptation(
                family, name, found, self.protocol, settings=settings_of(name, own), num_threads=1
            )
            print(result, flush=True)
            said = result.to_json()
            results[name] = {**said, "returns": rounded(said["returns"])}
        views = {"blind": False, "ceiling": True} if sees_task(found) else {"blind": False}
        for name, visible in views.items() if self.levels else ():
            outcome = measure_ceiling(family, found, self.protocol, task_visible=visible)
            levels[name] = {k: v.tolist() for k, v in outcome._asdict().items()}
        line = self.start.line if isinstance(self.start, Training) else []
        return {
            "training": {one.name: cost(folder / one.file) for one in line},
            "results": results,
            **({"levels": levels} if levels else {}),
        }


def _policy(start: Training | Given, folder: Path, family: Any) -> Any:
    """Read a policy; what is of another interface is carried over."""
    from metarl.runs.policies import read_checkpoint
    from metarl.sources import carry, read_source
    from metarl.sources.interface import fits

    if isinstance(start, Training):
        return read_checkpoint(folder / start.file)
    found = read_source(folder / start.file, family=family)
    if fits(found, family):
        return found
    carried, report = carry(found, family, start.mapping, name=start.name)
    print(report, flush=True)
    return carried


def _run_folder(one: Training | Given) -> str:
    if isinstance(one, Given):
        return one.file
    short = one.family.split("/")[-1]
    return f"runs/{short}-{one.method}{f'-{one.label}' if one.label else ''}"


def train_command(
    family: str,
    method: str,
    iterations: int,
    settings: Mapping[str, Any],
    seed: int,
    *,
    out: str | None = None,
    start: str | None = None,
) -> str:
    """Write the `metarl train` that trains like that, as one types it."""
    words = ["metarl", "train", family, "--method", method, "--seed", str(seed)]
    words += ["--iterations", str(iterations)]
    words += [] if out is None else ["--out", out]
    words += [] if start is None else ["--from", start]
    if settings:
        words += ["--set", *(f"{name}={setting_text(v)}" for name, v in settings.items())]
    return shlex.join(words)


def cost(path: Path) -> dict[str, Any]:
    """What training a checkpoint took, and its config."""
    from metarl.runs.policies import read_checkpoint

    meta = read_checkpoint(path).meta
    return {name: meta[name] for name in ("method", "steps", "seconds", "config")}


def keep(source: Path, target: Path, said: Mapping[str, Any]) -> None:
    """Copy what a checkpoint's networks need, with what is said of them."""
    from metarl.runs.checkpoint import save_checkpoint
    from metarl.runs.policies import read_checkpoint

    target.parent.mkdir(parents=True, exist_ok=True)
    found = read_checkpoint(source)
    tensors = {n: t for n, t in found.tensors.items() if n.startswith(KEPT)}
    meta = {n: v for n, v in found.meta.items() if n != "state"}
    made = meta.get("made-with", {})
    meta["made-with"] = {k: v for k, v in made.items() if k != "command"}
    save_checkpoint(target, tensors, {**meta, **said})
