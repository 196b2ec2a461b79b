"""What several benchmarks' tests look at: a real, tiny transfer matrix."""

from __future__ import annotations

import itertools

import pytest
from inline import Inline

from metarl.grid.cell import with_needs
from metarl.grid.store import Store
from metarl.matrix.benchmark import Group, Matrix, write_matrix
from metarl.matrix.cells import Budget
from metarl.matrix.output import write_tables
from metarl.matrix.summary import summarise

FAMILIES = tuple(f"directions:toy/{name}" for name in ("right", "up", "left", "down"))
FEW = {"num_worlds": 8, "minibatch": 160, "hidden": [16]}


@pytest.fixture
def cells_here(monkeypatch):
    """Has what a script's module would run in processes run in this one."""
    return lambda module: monkeypatch.setattr(module, "LocalProcesses", lambda size: Inline())


@pytest.fixture(scope="session")
def matrix(tmp_path_factory):
    """A folder as `metarl transfer-matrix` leaves it."""
    folder = tmp_path_factory.mktemp("matrix")
    pairs = tuple(itertools.product(FAMILIES[:3], FAMILIES))
    group = Group(name="all", pairs=pairs, explorations=("fresh",))
    budget, longer = (Budget(iterations=n, settings=FEW) for n in (2, 6))
    made = Matrix(groups=(group,), num_seeds=1, budget=budget, source_budget=longer)
    store = Store(folder)
    store.prepare()
    for cell in with_needs(made.cells()):
        store.put(cell, cell.run(folder), 0.0)
    write_matrix(made, folder)
    write_tables(made, summarise(made, store.read()), folder, "pytest")
    return folder
