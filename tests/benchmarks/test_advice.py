"""The judge of advice on a real, tiny matrix: three sources and four targets, trained for a moment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from metarl.advise.model import load_model
from metarl.advise.prediction import Arm
from metarl.errors import CheckpointError

ROOT = Path(__file__).parents[2]


def judge(matrix, name):
    command = [sys.executable, str(ROOT / "benchmarks" / "advice.py"), "--matrix", str(matrix)]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "envs"), str(ROOT / "tests")])
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    done = subprocess.run(
        [*command, "--name", str(name), "--resamples", "20"],
        capture_output=True,
        text=True,
        env=env,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(name.with_suffix(".json").read_text())


def test_it_judges_what_was_predicted_with_the_target_left_out(matrix, tmp_path):
    found = judge(matrix, tmp_path / "first")
    assert set(found["predictors"]) == {
        "all signals", "gradient_cosine", "gradient_cosine_untrained", "no signal", "rule of thumb",
    }  # fmt: skip
    own = found["predictors"]["all signals"]
    assert (own["transfers"], own["targets"]) == (12, 4)
    tau, low, high = own["weighted_tau"]
    assert -1.0 <= low <= tau <= high <= 1.0
    assert {"tau", "low", "high"} == set(found["ahead"]["gradient_cosine"])
    assert found["signals"]["zero_update"]["pairs"] == 12
    measured = {(row["source"], row["target"]): row["score"] for row in learned(matrix)}
    assert len(found["rows"]) == 12
    for row in found["rows"]:
        assert row["measured"] == pytest.approx(measured[row["source"], row["target"]])
    assert (tmp_path / "first.png").read_bytes().startswith(b"\x89PNG")


def test_evidence_outlives_the_policies_and_is_not_gathered_again(matrix, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.syspath_prepend(str(ROOT / "tests"))
    from shared.signals import Kept, gather_all, read_rows

    target = "directions:toy/right"
    rows = [row for row in read_rows(matrix) if row["target"] == target][:2]
    kept = Kept(tmp_path / "signals.json")
    before = gather_all(matrix, rows, kept, seed=3)
    written = kept.path.read_bytes()
    (matrix / "sources").rename(matrix / "gone")
    try:
        assert gather_all(matrix, rows, kept, seed=3) == before
        with pytest.raises(CheckpointError, match="no checkpoint"):
            gather_all(matrix, rows, kept, seed=4)
    finally:
        (matrix / "gone").rename(matrix / "sources")
    assert kept.path.read_bytes() == written
    del sys.modules["shared.signals"]


def learned(matrix):
    rows = json.loads((matrix / "matrix.json").read_text())["rows"]
    return [row for row in rows if row["regime"] == "learning"]


def test_a_shipped_model_predicts_and_says_how_it_was_made():
    model = load_model()
    assert model is not None
    assert "advice.py" in model.made["command"]
    assert model.predict(Arm(*model.arms[0]), {}).low is not None
