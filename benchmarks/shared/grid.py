"""Cells of a benchmark: those that are missing are run, all that are there are merged and read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from metarl.grid.cell import Cell
from metarl.grid.processes import LocalProcesses
from metarl.grid.run import run_cells
from metarl.grid.store import MERGED, Record, Store


def run_grid(
    cells: Sequence[Cell], runs: Path, results: Path, *, jobs: int | None, again: bool
) -> tuple[Mapping[str, Record], bool]:
    """Run what is missing; one that is stopped leaves what it has, too.

    Args:
        cells: What is wanted; empty: nothing is run.
        runs: Where cells, trainings and policies are kept while it runs.
        results: Where the merged cells go.
        jobs: How many cells at once; None: a process a core.
        again: Whether cells whose definition has changed are run anew.
    Returns:
        Every finished cell by key, and whether some cell failed.
    """
    store, failed = Store(runs, results / MERGED), False
    try:
        if cells:
            done = run_cells(cells, store, workers=LocalProcesses(jobs), again=again)
            failed = bool(done.failed)
    finally:
        store.merge()
    return Store(results).read(), failed
