"""Why a source harms: a policy that was trained for the opposite way is seen to go there."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from metarl.errors import ConfigError

ROOT = Path(__file__).parents[2]


def look(matrix: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "harm.py"), "--matrix", str(matrix)]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "envs"), str(ROOT / "tests")])
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    return subprocess.run([*command, *words], capture_output=True, text=True, env=env, check=False)


def test_what_a_source_does_at_first_is_described(matrix, tmp_path):
    pairs = ("--pairs", "right:left", "up:up")
    done = look(matrix, *pairs, "--films", str(tmp_path), "--name", str(tmp_path / "harm"))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "harm.json").read_text())["pairs"]
    assert [pair["target"].rpartition("/")[2] for pair in found] == ["left", "up"]
    for pair in found:
        for who in ("source", "untrained"):
            assert 0.0 <= pair[who]["actions_cut"] <= 1.0
            assert 0.0 <= pair[who]["units_saturated"] <= 1.0
            assert pair[who]["feature_directions"] >= 1.0
        assert set(pair["scores"]) == {"fine-tune fresh"}
        assert pair["source"]["action_size"] > pair["untrained"]["action_size"]
    assert len(list(tmp_path.glob("*.mp4"))) == 2


@pytest.mark.parametrize("pair", ["rigth:left", "right"])
def test_a_pair_that_is_not_there_is_named(matrix, pair, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    script = importlib.import_module("harm")
    with pytest.raises(ConfigError, match="valid: "):
        script.main(script.Config(matrix=matrix, pairs=(pair,)))
