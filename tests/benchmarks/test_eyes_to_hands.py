"""Which arms there are, and the whole of it on a toy."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from metarl.adapt.protocol import Protocol
from metarl.grid.store import Store
from metarl.learn.train import train

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("eyes_to_hands")


def test_every_arm_has_as_many_pictures_and_a_control(script):
    hands = importlib.import_module("shared.hands")
    eyes = [cell.eyes for cell in script.cells(script.DESIGN, 3) if cell.eyes is not None]
    trained = [each for each in eyes if each.before is None]
    assert len({each.key for each in trained}) == 3 * 2 * 5
    assert {cell.iterations for cell in trained} == {30}
    of_add = {c.arm: c for c in trained if c.family == "kitchen/add" and c.seed == 1}
    control = dict(of_add[script.CONTROL].settings)
    assert control.pop("noise") == 1
    assert control == of_add["columns"].settings
    assert of_add["columns"].settings["asks"] == ("pan_m",)
    swaps = [each for each in eyes if each.before is not None]
    assert len(swaps) == 3 * 2 * 5
    assert {each.before.arm for each in swaps} == {"columns"}
    assert {each.before.seed == each.seed for each in swaps} == {True}
    assert {each.settings["pictures"] for each in swaps} == {50, 200}
    assert {each.settings["asks"] for each in swaps} == {("pan_m",)}
    for cell in trained:
        assert hands.teacher(cell.family, cell.method, cell.seed).exists()


def test_it_runs_and_goes_on(script, cells_here, tmp_path, monkeypatch, capsys):
    cells_here(importlib.import_module("shared.grid"))
    teacher = train(
        "spot:spots/spot", "dagger", iterations=12, out=tmp_path / "told", num_threads=1,
        num_worlds=64, minibatch=256,
    )  # fmt: skip
    arms = {name: script.ARMS[name] for name in ("fresh",)}
    monkeypatch.setattr(script, "ARMS", {n: {**a, "trunk": None} for n, a in arms.items()})
    monkeypatch.setattr(script, "BEFORE", "fresh")
    swaps = {name: script.SWAPS[name] for name in ("frozen-trunk",)}
    monkeypatch.setattr(script, "SWAPS", swaps)
    design = script.Design(
        teachers={"spot:spots/spot": str(teacher)}, iterations=1, protocol=Protocol(num_tasks=4),
        settings={"num_worlds": 2, "size": 16, "eye_hidden": (4,)},
        swaps={"spot:spots/spot": "spot:spots/spot@colour=blue"}, pictures=(8,), swap_iterations=1,
        swap_settings={"num_worlds": 2, "eye_hidden": (4,)},
    )  # fmt: skip
    config = script.Config(seeds=1, jobs=1, runs=tmp_path / "runs", results=tmp_path / "results")
    assert script.main(config, design) == 0
    results = tmp_path / "results"
    assert len(Store(results).read()) == 1 + 2 + 2 + 2
    rows = json.loads((results / "hands.json").read_text())["rows"]
    assert [row["arm"] for row in rows] == [
        "told", "fresh", "told", "as it was", "frozen-trunk, 8 pictures",
    ]  # fmt: skip
    assert rows[0]["success"] >= [0.5]
    table = (results / "hands.md").read_text()
    assert script.main(replace(config, runs=tmp_path / "clone", finished=True), design) == 0
    assert (results / "hands.md").read_text() == table
    assert "| `told` | 1 |" in capsys.readouterr().out.replace("spot:spots/spot", "")
