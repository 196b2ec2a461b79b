"""The benchmark of a GPU, as a user without one runs it."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.mark.skipif(torch.cuda.is_available(), reason="it would measure for minutes")
def test_without_a_gpu_every_part_runs_and_nothing_is_measured(tmp_path):
    words = ["--name", str(tmp_path / "gpu")]
    done = subprocess.run(
        [sys.executable, SCRIPT, *words], capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    assert "no GPU here: nothing was measured" in done.stdout
    for part in ("meta-update", "meta-iteration", "head swap", "physics"):
        assert part in done.stdout
    assert list(tmp_path.iterdir()) == []
