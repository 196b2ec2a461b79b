"""A policy of others, and one of another robot, as `benchmarks/foreign_source.py` measures them."""

import json
import os
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_both_sources_start_a_training(tmp_path):
    tiny = ["--seeds", "0", "--iterations", "1", "--steps", "400", "--season-iterations", "1"]
    tiny += ["--gymnasium-steps", "2048", "--runs", str(tmp_path / "runs")]
    command = [sys.executable, str(BENCHMARKS / "foreign_source.py"), *tiny]
    command += ["--name", str(tmp_path / "few")]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    cheetah, arm = json.loads((tmp_path / "few.json").read_text())["rows"]
    assert cheetah["start"]["family"] == "Stable-Baselines3 PPO or A2C"
    assert cheetah["start"]["carried"][1] == "robot[8:17] from observation[8:17] * 10"
    assert arm["start"]["carried"][:3] == ["robot[0:8]", "object", "task"]
    assert "head (action[6:7] from action[7:8])" in arm["start"]["carried"]
    for row in (cheetah, arm):
        assert set(row["returns"]) == {"scratch", "other noise", "from the source"}
        assert len(row["scores"]["from the source"]) == 1
