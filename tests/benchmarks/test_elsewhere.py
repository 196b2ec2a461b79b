"""The benchmark of somebody else's environments, as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from metarl_metaworld.table import INTERPRETER

from metarl.errors import MetaRLError

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "elsewhere.py"


def run(*words, **more):
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, words)], capture_output=True, text=True, timeout=300,
        env=os.environ | more,
    )  # fmt: skip


def test_without_meta_world_it_says_what_to_do(tmp_path):
    done = run(
        "--name", tmp_path / "speed", XDG_CACHE_HOME=str(tmp_path), METARL_METAWORLD_PYTHON=""
    )
    assert done.returncode == 2
    assert "`metarl metaworld install` makes it" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_one_skill(tmp_path):
    try:
        INTERPRETER.path()
    except MetaRLError as error:
        pytest.skip(str(error))
    size = ["--num-worlds", 3, "--num-steps", 20, "--rounds", 2]
    done = run("--families", "metaworld/reach-v3", *size, "--name", tmp_path / "speed")
    assert done.returncode == 0, done.stderr
    assert "Worlds/direct" in done.stdout
    (row,) = json.loads((tmp_path / "speed.json").read_text())["families"]
    assert row["worlds/direct"] > 0
    assert len(row["rounds"]) == 2
