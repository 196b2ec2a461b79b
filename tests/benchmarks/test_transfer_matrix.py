"""The product's own matrix: as data, and on two toys from end to end."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import pytest

from metarl.grid.cell import with_needs
from metarl.grid.store import Store
from metarl.matrix.benchmark import Group, Matrix, every_pair, read_matrix
from metarl.matrix.cells import Budget, Learning
from metarl.registry import family_class
from metarl.transfer.strategy import strategies_by_name

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NAMES = ("pair:pair/same", "pair:pair/opposite")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("transfer_matrix")


def test_it_is_what_its_page_says(script):
    matrix = script.MATRIX
    cells = [cell for cell in with_needs(matrix.cells()) if isinstance(cell, Learning)]
    for name in {cell.family for cell in cells}:
        assert family_class(name)
    assert {c.strategy for c in cells if c.strategy} <= set(strategies_by_name())
    assert matrix.num_seeds == 3
    assert len([c for c in cells if c.seed == 0 and c.start and c.strategy == "fine-tune"]) == (
        2 * (8 * 8 + 3 * 3 + 2 * 2)
    )
    # Whatever starts from a source has its widths: then scratch must have them, too.
    assert all("hidden" not in cell.budget.settings for cell in cells)


def test_it_runs_resumes_and_leaves_one_small_file(script, cells_here, tmp_path, capsys):
    cells_here(script)
    tiny = Budget(iterations=2, settings={"num_worlds": 8, "minibatch": 160})
    group = Group(name="toys", pairs=every_pair(NAMES, NAMES), explorations=("fresh",))
    matrix = Matrix(groups=(group,), budget=tiny, source_budget=tiny, num_seeds=1)
    config = script.Config(seeds=1, jobs=1, runs=tmp_path / "runs", results=tmp_path / "results")
    assert script.main(config, matrix) == 0
    names = {path.name for path in (tmp_path / "results").iterdir()}
    assert names == {
        "benchmark.json", "cells.jsonl", "matrix.json", "matrix.md",
        "toys-learning-fine-tune-fresh.png",
    }  # fmt: skip
    assert len((tmp_path / "results" / "cells.jsonl").read_text().splitlines()) == 10
    table = (tmp_path / "results" / "matrix.md").read_text()
    # A fresh clone has the merged file alone, and nothing is left to run.
    elsewhere = script.Config(
        seeds=1, jobs=1, runs=tmp_path / "clone", results=tmp_path / "results"
    )
    assert script.main(elsewhere, matrix) == 0
    assert not (tmp_path / "clone" / "cells").exists()
    assert (tmp_path / "results" / "matrix.md").read_text() == table
    assert script.main(replace(elsewhere, finished=True, runs=tmp_path / "none"), matrix) == 0
    assert not (tmp_path / "none").exists()
    assert read_matrix(tmp_path / "results").num_seeds == 1
    assert len(Store(tmp_path / "results").read()) == 10
    assert "Best on pair:pair/same: " in capsys.readouterr().out
