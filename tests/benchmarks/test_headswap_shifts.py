"""New heads from few pictures, judged under shifts: cells that go on, and tables of what is finished."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from metarl.perception.given import SMALL_CNN

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("headswap_shifts")


@pytest.fixture
def config(script, tmp_path):
    return script.Config(
        runs=tmp_path / "runs", results=tmp_path / "results", seeds=1, jobs=1, backbones=(SMALL_CNN,),
        sizes=(10,), num_train=10, num_test=6, max_epochs=1, classifier_pictures=24, classifier_epochs=1,
    )  # fmt: skip


def test_it_runs_once_and_writes_what_it_found(script, cells_here, config, capsys):
    cells_here(importlib.import_module("shared.grid"))
    assert script.main(config) == 0
    first = capsys.readouterr().out
    assert script.main(config) == 0
    assert capsys.readouterr().out.splitlines()[-8:] == first.splitlines()[-8:]
    saved = json.loads((config.results / "shifts.json").read_text())["rows"]
    assert [row["strategy"] for row in saved] == [
        "frozen-trunk", "lp-ft", "fine-tune", "scratch", "fine-tune, other noise",
    ]  # fmt: skip
    for row in saved:
        assert set(row["errors"]) == set(script.SHIFTS)
        assert all(0.0 < errors[0] < 1.0 for errors in row["errors"].values())
        assert len(set(map(tuple, row["errors"].values()))) > 1  # a shift is one
    assert all((config.results / f"{SMALL_CNN}-{shift}.png").exists() for shift in script.SHIFTS)
    assert (config.results / "cells.jsonl").read_text().count("\n") == 7


def test_seeds_are_one_row_with_its_interval(script):
    cells = [
        c for c in script.cells_of(script.Config(seeds=3, backbones=(SMALL_CNN,), sizes=(10, 50)))
    ]
    assert len(cells) == 3 * 2 * 5
    results = {
        cell.key: {"errors": dict.fromkeys(script.SHIFTS, 0.1 + 0.01 * k), "seconds": 2.0}
        for k, cell in enumerate(c for c in cells if c.strategy == "lp-ft" and c.num_pictures == 50)
    }
    (row,) = script.rows_of(cells, results)
    assert row["errors"]["light"] == pytest.approx([0.1, 0.11, 0.12])
    reach = 4.302652729911275 * np.std([0.1, 0.11, 0.12], ddof=1) / np.sqrt(3)
    assert f"0.110 [{0.11 - reach:.3f}, {0.11 + reach:.3f}]" in script.markdown([row])
