"""Cells of what many tasks learn together: a training, and what it does where it is asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metarl.adapt.evaluate import measure_ceiling
from metarl.adapt.protocol import Protocol
from metarl.benchmark.cells import cost, keep
from metarl.grid.cell import Cell
from metarl.learn.train import train
from metarl.registry import make_family
from metarl.runs import fields
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.policies import read_checkpoint
from metarl.runs.several import of_family

POLICIES, TRAININGS = "policies", "trainings"  # below the benchmark's folder


@dataclass(frozen=True, kw_only=True)
class Learned(Cell):
    """A policy, or several in one checkpoint, trained on some families.

    Args:
        arm: How it is called.
        method: By which method.
        families: On which families.
        iterations: How long.
        settings: Fields of the config that differ from its defaults.
        seed: Of everything that is drawn.
        noise: Which noise; the first weights stay.
    """

    arm: str
    method: str
    families: tuple[str, ...]
    iterations: int = fields.count(1)
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = fields.seed()
    noise: int = fields.count(0, least=0)

    @property
    def key(self) -> str:
        """Its name."""
        return f"train.{self.name}"

    @property
    def name(self) -> str:
        """How it is called where it is used."""
        return f"{self.arm}.s{self.seed}"

    @property
    def file(self) -> str:
        """Where its checkpoint is, below the benchmark's folder."""
        return f"{POLICIES}/{self.name}.safetensors"

    def files(self) -> tuple[str, ...]:
        """Its checkpoint."""
        return (self.file,)

    def run(self, folder: Path) -> Mapping[str, Any]:
        """Train, from the last checkpoint of a run that was killed, and keep its networks."""
        digest = hashlib.sha256(json.dumps(self.definition()).encode()).hexdigest()[:8]
        made = train(
            self.families, self.method, seed=self.seed, iterations=self.iterations, resume=True,
            out=folder / TRAININGS / f"{self.name}-{digest}", num_threads=1, noise=self.noise,
            **self.settings,
        )  # fmt: skip
        keep(made, folder / self.file, {})
        return cost(made)


@dataclass(frozen=True, kw_only=True)
class Judged(Cell):
    """What was trained, without an update, on held-out tasks of families that it met or not.

    Args:
        start: The training.
        families: Which families.
        protocol: Which tasks, and how many episodes.
    """

    start: Learned
    families: tuple[str, ...]
    protocol: Protocol

    @property
    def key(self) -> str:
        """Its name."""
        return f"judge.{self.start.name}"

    def needs(self) -> tuple[Cell, ...]:
        """The training."""
        return (self.start,)

    def run(self, folder: Path) -> Mapping[str, Any]:
        """Give the success on each family."""
        found = read_checkpoint(folder / self.start.file)
        success = {
            name: rate(name, of_family(found, make_family(name)), self.protocol)
            for name in self.families
        }
        return {"success": success}


def rate(name: str, policy: Checkpoint, protocol: Protocol) -> float:
    """Success of a policy that sees its task, without an update.

    Args:
        name: Of the family.
        policy: Whose.
        protocol: Which tasks, and how many episodes.
    """
    outcome = measure_ceiling(make_family(name), policy, protocol, task_visible=True)
    return float(outcome.success.mean())
