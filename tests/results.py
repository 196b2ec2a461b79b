"""Finished cells of a small transfer matrix, whose scores are known."""

from __future__ import annotations

from metarl.grid.cell import with_needs
from metarl.grid.store import Record
from metarl.matrix.benchmark import Group, Matrix, every_pair
from metarl.matrix.cells import Adapting

A, B = "kitchen/season", "kitchen/heat"


def matrix(**more):
    group = Group(name="two", pairs=every_pair((A, B), (A, B)))
    return Matrix(groups=(group,), **{"num_seeds": 3, **more})


def result(curve, success=None):
    success = [0.0] * len(curve) if success is None else success
    return {"return": curve, "success": success, "std": curve, "steps": 100, "seconds": 1.0}


def records(cells):
    """Curves that are easy to score: scratch rises from 0 to 2, the best is 4."""
    found = {}
    for cell in with_needs(cells):
        seed = getattr(cell, "seed", 0)
        curve = [0.0, 1.0, 2.0]
        if isinstance(cell, Adapting):
            curve = [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]  # two tasks
            if cell.strategy != "scratch":
                curve = [[4.0, 2.0], [4.0, 2.0], [4.0, 4.0]]
        elif cell.keeps:
            curve = [3.0, 4.0]
        elif cell.noise:
            curve = [0.0, 1.0, 2.0 + 0.3 * (seed - 1)]
        elif cell.start is not None and cell.family == A:
            up = 1.0 if cell.start.family == A else -1.0
            if cell.exploration == "source":
                up = 0.1 * (seed - 1)
            curve = [0.0 + up, 1.0 + up, 2.0 + up + 0.03 * seed]
        found[cell.key] = Record(cell.key, cell.definition(), result(curve, None), 1.0, {})
    return found
