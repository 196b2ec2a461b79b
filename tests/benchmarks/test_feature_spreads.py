"""What a least spread is worth, as small as it goes."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("feature_spreads")


def test_every_share_is_tried_on_every_question(script, tmp_path):
    config = script.Config(
        seeds=1, jobs=1, runs=tmp_path / "runs", results=tmp_path / "results", trunks=("small-cnn",),
        num_train=12, num_test=6, size=16,
    )  # fmt: skip
    cells = script.cells_of(config)
    (tmp_path / "pictures").mkdir()
    cells[0].pictures.run(tmp_path)
    rows = script.rows_of(cells, {cell.key: cell.run(tmp_path) for cell in cells})
    assert [row["question"] for row in rows] == ["doneness", "portion_g", "price_eur"]
    assert all(list(row["errors"]) == [f"{share}" for share in script.SHARES] for row in rows)


def test_a_feature_that_hardly_varies_does_harm_where_there_is_no_least_spread(script):
    rng = np.random.default_rng(0)
    here, there = rng.normal(size=(60, 5)), rng.normal(size=(40, 5))
    here[:, 0], there[:, 0] = 1e-4 * here[:, 0], 3.0 * (np.arange(40) == 7)
    wanted, truth = (x[:, 1:2] + 0.5 * rng.normal(size=(len(x), 1)) for x in (here, there))
    errors = [script.error(here, wanted, there, truth, share) for share in (0.0, 0.1)]
    assert errors[1] < 0.6
    assert errors[0] > 2.0 * errors[1]
