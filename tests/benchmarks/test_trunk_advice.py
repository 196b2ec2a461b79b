"""Which trunk will serve: cells that go on, rankings that were foretold or not."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch

from metarl.grid.cell import with_needs

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("trunk_advice")


def test_a_trunk_is_scored_and_then_trained(script, tmp_path):
    config = script.Config(
        seeds=1, num_train=12, num_test=6, size=16, epochs=1, trunk_pictures=16, trunk_epochs=1,
        questions=("doneness",), trunks=("untrained", "any-light"),
    )  # fmt: skip
    cells = with_needs(script.cells_of(config))
    results = {cell.key: cell.run(tmp_path) for cell in cells}
    assert len(cells) == 1 + 2 + 2 + 6  # pictures, trunks, scores, swaps
    table = script.table_of(cells, results)
    rows, how = script.rows_of(table), script.judged(table)
    assert [row["trunk"] for row in rows] == list(config.trunks)
    for row in rows:
        assert set(row["errors"]) == {"frozen-trunk", "fine-tune", "fine-tune, other noise"}
    assert len({row["LogME"][0] for row in rows}) == 2
    assert len(how) == 5
    assert "| doneness | any-light |" in script.markdown(rows, how)


def table(script, scores, errors, noisy):
    found = {"scores": {}, "gains": {}, "left out": {}, "errors": {}}
    for question in ("doneness", "portion_g"):
        for trunk, score, error, other in zip("abc", scores, errors, noisy, strict=True):
            where = (question, trunk)
            found["scores"][where] = found["gains"][where] = dict.fromkeys((0, 1), score)
            found["left out"][where] = dict.fromkeys((0, 1), 4.0 - score)
            found["errors"]["fine-tune", *where] = dict.fromkeys((0, 1), error)
            found["errors"]["fine-tune, other noise", *where] = dict.fromkeys((0, 1), other)
    return found


def test_a_ranking_that_is_foretold_and_one_that_is_not(script):
    right = table(script, (3.0, 2.0, 1.0), (0.1, 0.2, 0.3), (0.1, 0.3, 0.2))
    how = script.foretold(right, "fine-tune")
    assert how == {
        "tau": pytest.approx(1.0),
        "interval": pytest.approx([1.0, 1.0]),
        "best named": 1.0,
        "cost": 0.0,
        "rankings": 4,
    }
    assert script.foretold(right, "fine-tune", script.LEFT_OUT) == how
    control = script.foretold(right, "fine-tune", "fine-tune, other noise")
    assert 0.0 < control["tau"] < 1.0
    wrong = script.foretold(table(script, (1.0, 2.0, 3.0), (0.1, 0.2, 0.3), (1, 2, 3)), "fine-tune")
    assert wrong["tau"] == pytest.approx(-1.0)
    assert wrong["best named"] == 0.0
    assert wrong["cost"] == pytest.approx(2.0)
    assert script.foretold(right, "frozen-trunk") is None
    right["scores"]["doneness", "c"].pop(1)  # not finished: that ranking is left out
    assert script.foretold(right, "fine-tune")["rankings"] == 3


def test_in_any_light_each_picture_has_its_own(script):
    generator = torch.Generator().manual_seed(0)
    made_trunks = importlib.import_module("shared.made_trunks")
    lit = made_trunks.in_any_light(torch.full((50, 3, 2, 2), 0.2), generator)
    assert lit.min() > 0.2 / 3.001
    assert lit.max() < 0.2 * 3.001
    assert lit[:, :, 0, 0].unique().numel() > 140  # of 150
    assert torch.equal(lit[:, :, 0, 0], lit[:, :, 1, 1])
