"""A run that is killed, fifty times over, goes on from what it saved last."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# One process that imports torch once and forks a trainer per kill: 50 imports would take minutes.
KILLS = """
import os, random, signal, sys, time
from dataclasses import dataclass
from pathlib import Path
import torch
from metarl.runs.metrics import read_metrics
from metarl.runs.run import Run

EVERY = 3

@dataclass(frozen=True)
class Config:
    seed: int = 0

def weights(step):
    return torch.full((20_000,), float(step))

def train(folder, done):
    run = Run.create(folder, Config(), resume=True, tensorboard=False)
    latest = run.latest()
    step = latest[0] if latest else 0
    os.write(done, b"ready".ljust(8))
    while True:
        step += 1
        run.log(step, loss=1 / step)
        if step % EVERY == 0:
            run.save(step, {"w": weights(step)}, {"step": step})
        os.write(done, step.to_bytes(8, "little"))

def kill_once(folder, rng, span_s):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        train(folder, write)
    os.close(write)
    os.read(read, 8)
    time.sleep(rng.uniform(0, span_s))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    reached = 0
    while piece := os.read(read, 8):
        reached = int.from_bytes(piece, "little")
    os.close(read)
    return reached

torch.set_num_threads(1)
folder, rng = Path(sys.argv[1]), random.Random(0)
resumed = partials = restored = 0
with Run.create(folder / "trial", Config(), tensorboard=False) as run:
    run.save(0, {"w": weights(0)}, {})  # the first one imports what it needs
    start_s = time.monotonic()
    run.save(1, {"w": weights(1)}, {})
    span_s = max(0.03, 4 * (time.monotonic() - start_s))  # long enough on a busy machine, too
folder = folder / "run"
for _ in range(50):
    reached = max(kill_once(folder, rng, span_s), restored)
    partials += any(folder.glob("checkpoints/.*.partial"))
    with Run.create(folder, Config(), resume=True, tensorboard=False) as run:
        latest = run.latest()
    restored, checkpoint = latest if latest else (0, None)
    assert reached // EVERY * EVERY <= restored <= reached + EVERY, (reached, restored)
    assert not any(folder.glob("checkpoints/*.damaged"))
    if checkpoint:
        assert checkpoint.meta == {"step": restored}
        assert checkpoint.tensors["w"].equal(weights(restored))
    assert [row["step"] for row in read_metrics(folder)] == list(range(1, restored + 1))
    resumed += 1
print(resumed, restored, partials)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fifty_kills_lose_at_most_one_save_interval(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KILLS, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    resumed, restored, partials = map(int, done.stdout.split())
    assert resumed == 50
    assert restored > 50  # the run went on between the kills
    assert partials > 0  # some kills came in the middle of a save
