"""The benchmark of two physics, as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "physics_parity.py"


def run(*words):
    command = [sys.executable, SCRIPT, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=900)


def test_a_policy_does_as_well_on_the_other_physics(tmp_path):
    pytest.importorskip("mujoco_warp")
    done = run("--policies", "season-ppo", "--tasks", 2, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    own, other = json.loads((tmp_path / "shipped.json").read_text())["rows"]
    assert (own["run_on"], other["run_on"]) == ("mujoco", "warp")
    assert own["return"] == pytest.approx(other["return"], abs=0.1)
    assert other["diverged"] == 0
    assert (tmp_path / "shipped.md").read_text() in done.stdout
