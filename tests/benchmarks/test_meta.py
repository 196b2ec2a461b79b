"""The benchmarks of meta-updates and meta-iterations, as a user runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(script, name, *arguments):
    command = [sys.executable, str(BENCHMARKS / script), "--name", str(name), *arguments]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(name.with_suffix(".json").read_text()), done.stdout


def test_updates_are_compared_size_by_size(tmp_path):
    pytest.importorskip("learn2learn")
    sizes = ("--tasks", "2", "--samples", "8", "16", "--threads", "1", "--updates", "1")
    rounds = ("--min-rounds", "1", "--max-rounds", "1")
    found, said = run("meta_update.py", tmp_path / "update", *sizes, *rounds)
    cells = {(row["order"], row["samples"]) for row in found["rows"]}
    assert cells == {(1, 8), (1, 16), (2, 8), (2, 16)}
    assert found["least"]["up to 100 samples"] == min(row["ratio"] for row in found["rows"])
    assert "times as fast as learn2learn" in said
    assert found["made-by"]["command"].startswith("python ")


def test_iterations_are_compared_part_by_part(tmp_path):
    pytest.importorskip("learn2learn")
    sizes = ("--num-tasks", "2", "--episodes", "2", "--processes", "1", "--rounds", "1")
    found, said = run("meta_iteration.py", tmp_path / "iteration", *sizes)
    [row] = found["rounds"]
    assert found["steps"] == 2 * 2 * 2 * 50
    assert set(row["theirs_parts"]) == {"collect_s", "adapt_s", "update_s"}
    assert sum(row["theirs_parts"].values()) == pytest.approx(row["theirs_s"], rel=0.1)
    assert row["ratio"] == pytest.approx(row["theirs_s"] / row["ours_s"])
    assert "median ratio" in said
