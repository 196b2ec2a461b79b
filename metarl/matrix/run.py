"""Run a transfer matrix: its definition, what its families are, and the cells that are missing."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from metarl.errors import ConfigError
from metarl.grid.run import Done, run_cells
from metarl.grid.store import Store
from metarl.grid.workers import Workers
from metarl.matrix.benchmark import Matrix, write_matrix
from metarl.matrix.cells import Learning
from metarl.registry import make_family
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.config import read_json
from metarl.runs.fingerprint import FINGERPRINT, family_differences, fingerprint
from metarl.runs.run import write_json

FAMILIES_FILE = "families.json"
_TOLD = 3  # changes in a line


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
    require_same_families(matrix, store.folder)
    done = run_cells(cells, store, workers=workers, again=again, console=console)
    write_matrix(matrix, store.folder)
    return done


def require_same_families(matrix: Matrix, folder: Path) -> None:
    """Check that families are what they were when cells of them were run; note those that are new.

    Raises:
        ConfigError: If one has changed; the message says how.
    """
    path = folder / FAMILIES_FILE
    known = read_json(path) if path.exists() else {}
    sources = {s for group in matrix.groups for s, _ in group.pairs}
    trained = {s for s in sources if isinstance(matrix.source(s, 0), Learning)}
    for name in dict.fromkeys([*matrix.targets, *sorted(trained)]):
        family = make_family(name)
        if name not in known:
            known[name] = fingerprint(family)
            continue
        was = Checkpoint({}, {"family": family.id, FINGERPRINT: known[name]})
        if lines := family_differences(was, family):
            raise ConfigError(
                f"{name} has changed since cells of it were run in {folder}:"
                f" {'; '.join(lines[:_TOLD])}; give another --out"
            )
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, known)
