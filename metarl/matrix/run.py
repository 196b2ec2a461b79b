"""Run a transfer matrix: its definition, what its families are, and the cells that are missing."""

from __future__ import annotations

from rich.console import Console

from metarl.grid.families import require_same_families
from metarl.grid.run import Done, run_cells
from metarl.grid.store import Store
from metarl.grid.workers import Workers
from metarl.matrix.benchmark import Matrix, write_matrix
from metarl.matrix.cells import Learning


def run_matrix(
    matrix: Matrix,
    store: Store,
    *,
    workers: Workers | None = None,
    again: bool = False,
    console: Console | None = None,
) -> Done:
    """Run what is missing of a matrix.

    Args:
        matrix: Its definition.
        store: Where its cells are kept.
        workers: Who runs them; None: a process a core.
        again: Run cells anew whose definition has changed.
        console: Where progress is told; None: on stderr.
    Raises:
        ConfigError: If a family or a cell has changed since cells of it were run.
        CheckpointError: If something cannot be written, or is damaged.
        Stopped: After a signal; at most the cells that were under way are lost.
    """
    cells = matrix.cells()
    require_same_families(_families(matrix), store.folder)
    done = run_cells(cells, store, workers=workers, again=again, console=console)
    write_matrix(matrix, store.folder)
    return done


def _families(matrix: Matrix) -> list[str]:
    """The targets, and the families of sources that are trained."""
    sources = {s for group in matrix.groups for s, _ in group.pairs}
    trained = {s for s in sources if isinstance(matrix.source(s, 0), Learning)}
    return [*matrix.targets, *sorted(trained)]
