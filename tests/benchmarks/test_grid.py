"""The adaptation grid: a stranger's strategy is a row like any other."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from louder import announce

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_a_strangers_strategy_gets_a_cell_and_a_row(monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    announce(monkeypatch)
    from shared.adaptation_tables import tables
    from shared.grid import Grid

    grid = Grid(tmp_path / "cells", tmp_path / "runs", tmp_path / "kept", num_tasks=2, updates=1)
    cells = [grid.cell("kitchen/heat", name, 0) for name in ("louder", "fine-tune")]
    assert cells[0]["settings"] == {"louder": {}}
    assert grid.path("kitchen/heat", "louder", 0).exists()
    assert not (tmp_path / "runs").exists()  # the shipped policy is what it starts from
    rows = {row["method"]: row for row in tables("kitchen/heat", cells)[10]}
    assert len(rows["louder"]["success"]) == 2
    assert rows["louder"]["steps"] == rows["fine-tune"]["steps"]
    del sys.modules["shared.grid"], sys.modules["shared.adaptation_tables"]
