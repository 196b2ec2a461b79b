"""Real pictures: splits, sizes and what is said where a wheel is absent."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from metarl.errors import MissingDependencyError, UnknownNameError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("photographs")


def shades():
    """Forty grey pictures, dark and light ones."""
    rng = np.random.default_rng(0)
    words = np.repeat(["dark", "light"], 20)
    pictures = np.where(words == "dark", 0.2, 0.8)[:, None, None] + 0.05 * rng.normal(
        size=(40, 5, 5)
    )
    return pictures, words


def test_it_runs_and_writes_what_it_found(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "SETS", {"shades": shades})
    own = tuple(arm for arm in script.ARMS if arm[0] == "small-cnn")
    monkeypatch.setattr(script, "ARMS", own)
    config = script.Config(
        runs=tmp_path / "runs", results=tmp_path / "results", seeds=1, sets=("shades",),
        sizes=(8,), num_test=10, size=16, epochs=2,
    )  # fmt: skip
    cells = script.cells_of(config)
    results = {}
    for cell in cells:  # other processes would not know this set
        for each in (*cell.needs(), cell):
            results[each.key] = each.run(tmp_path)
    rows = script.rows_of(cells, results)
    assert [(row["trunk"], row["strategy"]) for row in rows] == [
        ("small-cnn", "frozen-trunk"), ("none", "scratch"), ("small-cnn", "fine-tune"),
        ("small-cnn", "fine-tune, other noise"),
    ]  # fmt: skip
    assert rows[0]["error"] == [0.0]  # light and dark are told apart at once
    assert "| shades | 8 | none | scratch |" in script.markdown(rows)


def test_every_class_takes_its_turn(script):
    words = np.array(["a"] * 6 + ["b"] * 3 + ["c"])
    order = script.in_turn(words, np.random.default_rng(0))
    assert sorted(order) == list(range(10))
    assert sorted(words[order[:3]]) == ["a", "b", "c"]
    assert sorted(words[order[3:5]]) == ["a", "b"]
    other = script.in_turn(words, np.random.default_rng(1))
    assert list(order) != list(other)


def test_pictures_are_enlarged_and_stay_grey(script):
    large = script.enlarged(np.array([[[0.0, 1.0], [0.0, 1.0]]]), 8)
    assert large.shape == (1, 8, 8, 3)
    assert large.dtype == np.uint8
    assert (large[..., 0] == large[..., 2]).all()
    assert large[0, 4, 0, 0] == 0
    assert large[0, 4, -1, 0] == 255


def test_what_is_absent_is_said(script, monkeypatch):
    def absent():
        raise ImportError("no sklearn")

    monkeypatch.setattr(script, "SETS", {"digits": absent})
    with pytest.raises(MissingDependencyError, match="pip install scikit-learn scikit-image"):
        script.read_set("digits")
    with pytest.raises(UnknownNameError, match="digits"):
        script.read_set("flowers")
    with pytest.raises(UnknownNameError, match="digits"):
        script.main(script.Config(sets=("flowers",)))


@pytest.mark.parametrize(
    ("name", "classes", "wheel"), [("digits", 10, "sklearn"), ("faces", 2, "skimage")]
)
def test_sets_are_as_they_are_described(script, name, classes, wheel):
    pytest.importorskip(wheel)
    pictures, words = script.read_set(name)
    assert len(pictures) == len(words) == {"digits": 1797, "faces": 200}[name]
    assert len(set(words)) == classes
    assert 0.0 <= pictures.min() < pictures.max() <= 1.0
