"""The benchmark of a GPU, as a user without one runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(torch.cuda.is_available(), reason="it would measure for minutes")
def test_without_a_gpu_every_part_runs_and_nothing_is_measured(tmp_path):
    words = ["--family", "toy:toy/short", "--name", str(tmp_path / "gpu")]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "envs"), str(ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "gpu.py", *words],
        env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "no GPU here: nothing was measured" in done.stdout
    for part in ("meta-update", "meta-iteration", "head swap", "physics"):
        assert part in done.stdout
    assert list(tmp_path.iterdir()) == []
