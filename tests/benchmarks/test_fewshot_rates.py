"""MAML's rates are looked for among classes to learn from alone."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch

from metarl.perception.fewshot.pool import Pool

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("fewshot_rates")


def test_no_picture_of_a_class_that_judges_is_looked_at(script):
    label = torch.arange(12).repeat_interleave(3)
    pixels = label[:, None, None, None].expand(-1, 3, 2, 2).to(torch.uint8)
    pool = Pool(pixels, label, tuple("abcdefghijkl"), tuple(range(8)), (8, 9, 10, 11))
    chosen = [script.for_choosing(pool, seed) for seed in (0, 1)]
    for one in chosen:
        assert set(one.label.tolist()) == set(range(8))
        assert int(one.pixels.max()) == 7
        assert sorted((*one.seen, *one.unseen)) == list(range(8))
        assert len(one.unseen) == 2
    assert chosen[0].unseen != chosen[1].unseen


def test_rates_are_ranked_a_trunk_at_a_time(script):
    cells = script.cells_of(script.Config(seeds=2))
    assert {cell.few_shot.seed for cell in cells} == {100, 101}  # the benchmark's are 0, 1 and 2
    keys = [cell.key for cell in cells]
    assert len(set(keys)) == len(keys)
    results = {
        key: {"accuracy": 0.3 + 0.4 * ("trunk0.003" in key)} for key in keys if "small" in key
    }
    rows = script.rows_of(cells, results)
    assert (rows[0]["head"], rows[0]["trunk"]) == (0.1, 0.003)
    assert rows[0]["by seed"] == pytest.approx([0.7, 0.7])
    assert all(row["backbone"] == "small-cnn" for row in rows)
    assert {row["method"] for row in rows} == {"maml", "nearest-centroid"}
