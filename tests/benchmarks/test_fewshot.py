"""The few-shot benchmark, as small as it goes: cells, a control arm, a table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_it_runs_and_goes_on(tmp_path):
    pytest.importorskip("learn2learn")
    small = ["--backbones", "small-cnn", "--methods", "nearest-centroid", "anil-frozen", "--seeds", "1",
             "--shots", "1", "2", "--episodes", "2", "--iterations", "1", "--pictures", "3",
             "--queries", "1", "--size", "12", "--jobs", "1"]  # fmt: skip
    places = ["--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    command = [sys.executable, str(ROOT / "benchmarks" / "fewshot.py"), *small, *places]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "envs")])
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "results" / "fewshot.json").read_text())["rows"]
    assert [(row["method"], row["shots"]) for row in rows] == [
        ("nearest-centroid", 1), ("nearest-centroid", 2), ("anil-frozen", 1),
        ("anil-frozen (control)", 1), ("anil-frozen", 2),
    ]  # fmt: skip
    assert [row["gain"] is None for row in rows] == [True, True, False, False, False]
    assert [name for row in rows for name in row if name == "noise"] == ["noise"]
    lines = (tmp_path / "results" / "cells.jsonl").read_text().splitlines()
    assert len(lines) == 6  # one is the pictures
