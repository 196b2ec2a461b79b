"""Signals of every source on every target of a transfer matrix, gathered once and kept."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from metarl.advise.evidence import Target, gather
from metarl.advise.fitting import Example
from metarl.advise.prediction import Arm
from metarl.advise.signals import SIGNALS, Evidence
from metarl.errors import CheckpointError
from metarl.matrix.benchmark import Matrix, read_matrix
from metarl.matrix.summary import LEARNING
from metarl.registry import make_family
from metarl.runs.config import read_json
from metarl.runs.run import MATRIX_RESULT_FILE, write_json

_DIGITS = 6  # that are kept, so that evidence read again is what it was


@dataclass(frozen=True)
class Kept:
    """A file of evidence, by source, target, training seed, and what decides it.

    Args:
        path: The file.
    """

    path: Path

    def read(self) -> dict[str, Evidence]:
        """All that is there."""
        if not self.path.exists():
            return {}
        return {key: Evidence.from_json(one) for key, one in read_json(self.path).items()}

    def write(self, found: Mapping[str, Evidence]) -> None:
        """Write all."""
        write_json(self.path, {key: one.to_json() for key, one in found.items()})


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """Read the learning arms of a matrix whose score is known.

    Raises:
        CheckpointError: If the folder holds none.
    """
    saved = read_json(folder / MATRIX_RESULT_FILE)
    rows = [row for row in saved.get("rows", ()) if row["regime"] == LEARNING]
    known = [row for row in rows if row["score"] is not None and math.isfinite(row["score"])]
    if not known:
        raise CheckpointError(f"{folder / MATRIX_RESULT_FILE} has no learning arm with a score")
    return known


def gather_all(
    folder: Path, rows: Iterable[Mapping[str, Any]], kept: Kept, *, seed: int
) -> dict[tuple[str, str], dict[str, float]]:
    """Gather what is missing, and average over the training seeds of each pair.

    Args:
        folder: The matrix's, with its sources' policies, as far as evidence is missing.
        rows: Its arms.
        kept: Where evidence is kept.
        seed: Of the episodes.
    Returns:
        Signals by (source, target).
    """
    matrix, found = read_matrix(folder), kept.read()
    pairs = {(row["source"], row["target"]): row["seeds"] for row in rows}
    by_target: dict[str, list[str]] = {}
    for source, target in pairs:
        by_target.setdefault(target, []).append(source)
    means = {}
    for target, sources in by_target.items():
        there = Target(make_family(target), seed=seed)
        for source in sources:
            each = [
                _one(folder, matrix, found, source, there, training, seed)
                for training in pairs[source, target]
            ]
            means[source, target] = _mean([one.signals for one in each])
        kept.write(found)
        print(f"{target}: {len(sources)} sources", flush=True)
    return means


def _one(
    folder: Path, matrix: Matrix, found: dict[str, Evidence], source: str, there: Target,
    training: int, seed: int,
) -> Evidence:  # fmt: skip
    file = folder / matrix.source(source, training).file
    key = f"{source} -> {there.family.id}, training seed {training}, {there.episodes} episodes of seed {seed}"
    if file.exists():
        key += f", {hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"
    else:  # committed evidence outlives the policies
        key = next((k for k in found if k.startswith(f"{key}, ")), key)
    if key not in found:
        one = gather(file, there, name=source)
        signals = {name: float(f"{value:.{_DIGITS}g}") for name, value in one.signals.items()}
        found[key] = replace(one, signals=signals, seconds=round(one.seconds, 2))
    return found[key]


def _mean(signals: list[Mapping[str, float]]) -> dict[str, float]:
    found = {name: [s[name] for s in signals if name in s] for name in SIGNALS}
    return {name: float(np.mean(values)) for name, values in found.items() if values}


def examples_of(
    rows: Iterable[Mapping[str, Any]], signals: Mapping[tuple[str, str], Mapping[str, float]]
) -> list[Example]:
    """Join arms with what was known of them beforehand."""
    return [
        Example(
            row["source"], row["target"], Arm(row["strategy"], row["exploration"]),
            signals[row["source"], row["target"]], float(row["score"]),
        )
        for row in rows
    ]  # fmt: skip
