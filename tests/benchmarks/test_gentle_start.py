"""A head that is drawn and one that begins at 0, as small as it goes."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("gentle_start")


def test_heads_differ_and_features_are_watched(script, tmp_path):
    pytest.importorskip("timm")
    config = script.Config(
        backbone="test_efficientnet", seeds=1, size=32, num_train=12, num_test=6, epochs=2
    )
    cells = [cell for cell in script.cells_of(config) if cell.rate == 1e-3]
    results = {cell.key: cell.run(tmp_path) for cell in cells}
    rows = script.rows_of(cells, results)
    assert [row["head"] for row in rows] == ["drawn", "zero"]
    assert rows[0]["error"] != rows[1]["error"]
    for found in results.values():
        assert len(found["features that differ"]) == 2
        assert all(0.0 <= share <= 1.0 for share in found["features that differ"])
