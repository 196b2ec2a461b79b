"""The cells of the adaptation grid: what is trained, and what then meets held-out tasks."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metarl.adapt.evaluate import evaluate_adaptation, measure_ceiling, settings_of
from metarl.adapt.protocol import Protocol
from metarl.grid.cell import Cell
from metarl.grid.store import Store
from metarl.learn.train import train
from metarl.matrix.cells import rounded
from metarl.methods import get_method
from metarl.registry import make_family, slug
from metarl.runs import fields
from metarl.runs.policies import read_checkpoint
from shared.machine import provenance
from shared.policies import command, cost, find_made, keep, kept_name, short
from shared.recipes import ALONE, LEVELS, PRETRAINING, Recipe, adapting, protocol, recipe

POLICIES, TRAININGS = "policies", "trainings"  # below the benchmark's folder


@dataclass(frozen=True, kw_only=True)
class Training(Cell):
    """A policy, trained on a family.

    Args:
        family: Which.
        method: How.
        iterations: How long.
        settings: Fields of the method's config that differ from its defaults.
        seed: Of everything that is drawn.
        start: What it goes on from; None: from nothing.
    """

    family: str
    method: str
    iterations: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = fields.seed()
    start: Training | None = None

    @property
    def key(self) -> str:
        """Its name."""
        return f"train.{self.name}"

    @property
    def name(self) -> str:
        """How it is called where its cost is told."""
        return f"{slug(self.family)}-{self.method}-s{self.seed}"

    @property
    def file(self) -> str:
        """Where its policy is, below the benchmark's folder."""
        return f"{POLICIES}/{kept_name(self.family, self.method, self.seed)}"

    @property
    def command(self) -> str:
        """The `metarl train` that does the same."""
        out, before = f"runs/{short(self.family)}-{self.method}", None
        if self.start is not None:
            before = f"runs/{short(self.start.family)}-{self.start.method}"
        how = Recipe(self.method, self.iterations, self.settings)
        return command(self.family, how, self.seed, out, before)

    @property
    def line(self) -> list[Training]:
        """What it goes on from, the first first, and itself."""
        return [*(self.start.line if self.start else ()), self]

    def needs(self) -> tuple[Cell, ...]:
        """What it goes on from."""
        return (self.start,) if self.start else ()

    def files(self) -> tuple[str, ...]:
        """Its policy."""
        return (self.file,)

    def run(self, folder: Path) -> Mapping[str, Any]:
        """Train, from the last checkpoint of a run that was killed, and keep the policy."""
        digest = hashlib.sha256(json.dumps(self.definition()).encode()).hexdigest()[:8]
        made = train(
            self.family, self.method, seed=self.seed, iterations=self.iterations, num_threads=1,
            start=folder / self.start.file if self.start else None, resume=True,
            out=folder / TRAININGS / f"{self.name}-{digest}", **self.settings,
        )  # fmt: skip
        keep(made, folder / self.file, {"command": self.command, "made-by": provenance()})
        return cost(made)


@dataclass(frozen=True, kw_only=True)
class Meeting(Cell):
    """A trained policy meets a family's held-out tasks by one or more methods.

    Args:
        family: Of the tasks.
        arm: How the cell is called.
        start: The policy.
        methods: How it adapts: by name, the settings that differ from a method's own.
        protocol: How that is measured.
        levels: Whether it is also judged without updates, the task hidden and in view.
    """

    family: str
    arm: str
    start: Training
    methods: Mapping[str, Mapping[str, Any]]
    protocol: Protocol = Protocol()
    levels: bool = False

    @property
    def key(self) -> str:
        """Its name."""
        return f"adapt.{slug(self.family)}.{self.arm}.s{self.start.seed}"

    def needs(self) -> tuple[Cell, ...]:
        """The training of its policy."""
        return (self.start,)

    def run(self, folder: Path) -> Mapping[str, Any]:
        """Adapt by each method, and say what came before."""
        found, family = read_checkpoint(folder / self.start.file), make_family(self.family)
        results, levels = {}, {}
        for name, own in self.methods.items():
            result = evaluate_adaptation(
                family, name, found, self.protocol, settings=settings_of(name, own), num_threads=1
            )
            print(result, flush=True)
            said = result.to_json()
            results[name] = {**said, "returns": rounded(said["returns"])}
        for name, visible in (("blind", False), ("ceiling", True)) if self.levels else ():
            outcome = measure_ceiling(family, found, self.protocol, task_visible=visible)
            levels[name] = {k: v.tolist() for k, v in outcome._asdict().items()}
        return {
            "training": {one.name: cost(folder / one.file) for one in self.start.line},
            "results": results,
            **({"levels": levels} if levels else {}),
        }


def pretraining(family: str, seed: int) -> Training:
    """The policy that every method starts from."""
    how = PRETRAINING[family]
    start = None if how.start is None else pretraining(how.start, seed)
    return _training(family, how, seed, start)


def meeting(family: str, arm: str, seed: int, *, num_tasks: int, updates: int) -> Meeting:
    """Make a cell of a family's tables.

    Args:
        family: Which.
        arm: One of `shared.recipes.ALONE`, a method that goes on from the pretrained policy, or a
            strategy by its name.
        seed: Of the trainings.
        num_tasks: K held-out tasks.
        updates: U.
    """
    start = pretraining(family, seed)
    if arm not in ALONE and get_method(arm).training is not None:
        start = _training(family, recipe(family, arm, seed), seed, start)
    return Meeting(
        family=family,
        arm=arm,
        start=start,
        methods={name: adapting(family, arm, name) for name in ALONE.get(arm, (arm,))},
        protocol=protocol(family, arm, num_tasks, updates),
        levels=arm == LEVELS,
    )


def _training(family: str, how: Recipe, seed: int, start: Training | None) -> Training:
    return Training(
        family=family, method=how.method, iterations=how.iterations, settings=how.settings,
        seed=seed, start=start,
    )  # fmt: skip


def take_kept(trainings: Iterable[Training], store: Store, kept: Path) -> None:
    """Put policies that are kept, or shipped, before a benchmark, so that they are not trained again.

    Args:
        trainings: Of policies that methods start from.
        store: Of the benchmark.
        kept: The folder of those that are kept.
    """
    store.prepare()
    known = store.read()
    for one in trainings:
        if one.key in known and known[one.key].cell != one.definition():
            continue  # it is to be trained by another recipe
        found = find_made(one.family, one.method, one.seed, one.command, kept)
        if found is None or (store.folder / one.file).exists():
            continue
        (store.folder / POLICIES).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(found, store.folder / one.file)
        if one.key not in known:
            store.put(one, cost(found), 0.0)


def keep_new(trainings: Iterable[Training], folder: Path, kept: Path) -> None:
    """Keep policies that methods start from where none like them is kept yet."""
    for one in trainings:
        made = folder / one.file
        if made.exists() and not find_made(one.family, one.method, one.seed, one.command, kept):
            kept.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(made, kept / made.name)


def ship(cell: Meeting, result: Mapping[str, Any], folder: Path, target: Path) -> None:
    """Copy a cell's network, with the result that it reached.

    Args:
        cell: Which.
        result: Its.
        folder: The benchmark's.
        target: Where to.
    """
    start = cell.start
    reached = result["results"].get(start.method) or result["results"]["fine-tune"]
    said = {"success-after-each-update": np.mean(reached["success"], axis=1).tolist()}
    path = target / f"{short(cell.family)}-{start.method}.safetensors"
    keep(folder / start.file, path, said)
