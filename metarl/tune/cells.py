"""The cells of a search: one training of one trial, and what its policy reaches on tasks held back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metarl.adapt.protocol import Protocol
from metarl.errors import ConfigError, TrainingError
from metarl.grid.cell import Cell
from metarl.matrix.cells import Given
from metarl.runs import fields

TRIALS = "trials"  # below the search's folder
FAILED = "failed"  # of a result: why there is none
METRICS = ("success", "score", "returns")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attempt(Cell):
    """A trial, trained with one seed and judged.

    Args:
        trial: Which.
        family: Whose training tasks.
        method: What is trained.
        iterations: How long.
        tried: The settings that this trial tries.
        settings: Those that every trial has.
        seed: Of the training.
        protocol: How its policy is judged.
        start: The policy that training starts from; None: from nothing.
    """

    trial: int
    family: str
    method: str
    iterations: int
    tried: Mapping[str, Any]
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    seed: int = fields.seed()
    protocol: Protocol
    start: Given | None = None

    @property
    def key(self) -> str:
        """Its name."""
        return f"trial-{self.name}"

    @property
    def name(self) -> str:
        """Trial and seed."""
        return f"{self.trial:04d}-s{self.seed}"

    @property
    def folder(self) -> str:
        """Its run folder, below the search's."""
        return f"{TRIALS}/{self.name}"

    def run(self, folder: Path) -> Mapping[str, Any]:
        """Train, from the last checkpoint of a run that was killed, and judge.

        Returns:
            Each task's success, score and return, each (K,), and what training took; of settings that
            cannot be trained, why.
        """
        try:
            self._require_whole()
        except ConfigError as error:
            return {FAILED: str(error)}
        from metarl.learn.train import train

        try:
            made = train(
                self.family, self.method, seed=self.seed, iterations=self.iterations,
                out=folder / self.folder, resume=True, num_threads=1,
                start=folder / self.start.file if self.start else None,
                mapping=self.start.mapping if self.start else (),
                **self._asked(),
            )  # fmt: skip
        except TrainingError as error:
            return {FAILED: str(error).replace(f"{folder}/", "")}
        return self._judged(made)

    def _asked(self) -> dict[str, Any]:
        return {**self.settings, **self.tried}

    def _require_whole(self) -> None:
        """Check what settings must keep together, and that they fit into memory."""
        from metarl.learn.config import require_fits
        from metarl.learn.following import require_start
        from metarl.methods import defaults_of, get_training
        from metarl.registry import family_class
        from metarl.runs.config import configure

        if self.start is None:
            require_start(self._asked())
        training = get_training(self.method)
        config = configure(training.config, {**defaults_of(training), **self._asked()})
        require_fits(config, family_class(self.family).horizon)

    def _judged(self, made: Path) -> Mapping[str, Any]:
        from metarl.adapt.evaluate import evaluate_adaptation, measure_ceiling
        from metarl.methods import get_method
        from metarl.registry import make_family
        from metarl.runs.policies import read_checkpoint, sees_task

        family, found = make_family(self.family), read_checkpoint(made)
        if get_method(self.method).adapting is None:
            visible = sees_task(found)
            outcome = measure_ceiling(family, found, self.protocol, task_visible=visible)._asdict()
        else:
            result = evaluate_adaptation(family, self.method, found, self.protocol, num_threads=1)
            outcome = {name: getattr(result, name)[-1] for name in METRICS}
        return reached(outcome, found.meta)


def reached(outcome: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> dict[str, Any]:
    """Write down what a policy reached, or that it is no number.

    Args:
        outcome: Of each of `METRICS`, each task's, (K,).
        meta: The checkpoint's.
    """
    if bad := [name for name in METRICS if not np.isfinite(outcome[name]).all()]:
        return {FAILED: f"its {bad[0]} is not finite"}
    tasks = {name: np.asarray(outcome[name], float).tolist() for name in METRICS}
    return {**tasks, "steps": meta["steps"], "seconds": meta["seconds"]}
