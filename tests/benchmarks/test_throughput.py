"""The speed benchmark, as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "throughput.py"


def test_throughput_of_two_families(tmp_path):
    families = ["kitchen/add", "classic/point-navigation"]  # three models; early ends
    size = ["--num-worlds", "6", "--num-steps", "100", "--rounds", "1", "--env-episodes", "2"]
    done = subprocess.run(
        [sys.executable, SCRIPT, "--families", *families, *size, "--name", str(tmp_path / "speed")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Env/s" in done.stdout
    rows = json.loads((tmp_path / "speed.json").read_text())["families"]
    assert [row["family"] for row in rows] == families
    for row in rows:
        for what, base in (("worlds", "raw"), ("sb3", "raw"), ("env", "raw-1")):
            assert row[f"{what}/raw"] > 0
            assert row[f"{what}/raw"] == row[what] / row[base]  # one round: its own median
