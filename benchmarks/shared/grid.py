"""Cells of a benchmark: those that are missing are run, all that are there are merged and read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from metarl.grid.cell import Cell
from metarl.grid.processes import LocalProcesses
from metarl.grid.run import run_cells
from metarl.grid.store import MERGED, Record, Store


@dataclass(frozen=True)
class GridConfig:
    """How much of a benchmark is run."""

    runs: Path
    """Where cells, trainings and policies are kept while it runs."""
    results: Path
    """Where the merged cells, the tables and the picture go."""
    seeds: int = 3
    """Trainings of each arm; with fewer, the others can follow by the same command."""
    jobs: int | None = None
    """How many cells at once; none: a process a core."""
    finished: bool = False
    """Run nothing; make the tables and the picture from the cells that are there."""
    again: bool = False
    """Run cells anew whose definition has changed."""


def run_grid(cells: Sequence[Cell], config: GridConfig) -> tuple[Mapping[str, Record], bool]:
    """Run what is missing; one that is stopped leaves what it has, too.

    Args:
        cells: What is wanted.
        config: How much of it is run, and where it goes.
    Returns:
        Every finished cell by key, and whether some cell failed.
    """
    store, failed = Store(config.runs, config.results / MERGED), False
    try:
        if not config.finished:
            workers = LocalProcesses(config.jobs)
            failed = bool(run_cells(cells, store, workers=workers, again=config.again).failed)
    finally:
        store.merge()
    return Store(config.results).read(), failed
