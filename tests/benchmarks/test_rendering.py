"""The benchmark of observed pictures, as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "rendering.py"


def test_pictures_of_one_family(tmp_path):
    size = ["--size", "16", "--num-envs", "2", "--num-steps", "1", "--rounds", "1"]
    size += ["--num-pictures", "8", "--scenes", "kitchen/ingredients"]
    done = subprocess.run(
        [sys.executable, SCRIPT, "--families", "kitchen/season", *size, "--name", tmp_path / "fast"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    found = json.loads((tmp_path / "fast.json").read_text())
    (row,) = found["rows"]
    assert row["env/raw"] == row["env"] / row["raw"] > 0
    (written,) = found["sets"]
    assert written["pictures/s"] > 0
    assert written["by one"] > 0
