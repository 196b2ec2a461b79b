"""A training split over workers on Ray: the same numbers, whoever is killed or stopped."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from alike import same
from console import HERE, metarl
from falling import FLAG

from metarl.cluster.instance import Cluster
from metarl.errors import ConfigError
from metarl.learn.train import train
from metarl.meta.maml.config import MamlConfig
from metarl.meta.maml.maml import MamlTrainer
from metarl.registry import make_family
from metarl.runs.checkpoint import load_checkpoint
from metarl.runs.metrics import read_metrics

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install ray"
)

FAMILY = "falling:falling/reach"
SETTINGS = {
    "num_tasks": 3,
    "episodes": 2,
    "inner_updates": 1,
    "outer_epochs": 2,
    "hidden": (8,),
    "weigh_tasks": True,
}


@pytest.fixture(scope="module")
def flag(tmp_path_factory):
    """A file that is not there yet; whatever process finds it dies in mid-simulation."""
    with pytest.MonkeyPatch.context() as patch:
        path = tmp_path_factory.mktemp("flag") / "flag"
        patch.setenv(FLAG, str(path))
        yield path


@pytest.fixture(scope="module")
def cluster(flag):
    with Cluster(cores=2, goes_on="go on") as made:
        yield made


def trainer_of(iterations=2):
    config = MamlConfig(iterations=iterations, **SETTINGS)
    return MamlTrainer(make_family(FAMILY), config, num_threads=1)


def alike(a, b):
    """Whether two states are, up to the order in which numbers were added up."""
    for part in ("policy", "rates"):
        for name, x in a[part].items():
            torch.testing.assert_close(b[part][name], x, rtol=1e-4, atol=1e-5)
    assert same(a["generator"], b["generator"])


def working() -> list[int]:
    """The processes of workers."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            named = path.read_text().startswith("ray::Worker")
            status = path.with_name("environ").read_bytes()
        except OSError:
            continue
        if named and f"{FLAG}={os.environ[FLAG]}".encode() in status:  # not of other tests
            found.append(int(path.parent.name))
    return sorted(found)


def dismiss(split):
    """The cluster is free for others."""
    split._crew.close()
    end_s = time.monotonic() + 30
    while working():
        assert time.monotonic() < end_s
        time.sleep(0.05)


def test_whoever_dies_the_numbers_are_the_same(cluster, flag, caplog):
    whole = trainer_of()
    for _ in range(2):
        whole.iterate()
    states = []
    for dies in (False, True):
        trainer = trainer_of()
        split = trainer.split_over(cluster, FAMILY, 2)
        assert len(working()) == 2
        trainer.iterate()
        if dies:
            flag.touch()
            compute = trainer.gradients

            def kills_first(*given, compute=compute, trainer=trainer):
                trainer.gradients = compute
                os.kill(working()[0], signal.SIGKILL)
                return compute(*given)

            trainer.gradients = kills_first
        trainer.iterate()
        dismiss(split)
        states.append(trainer.state_dict())
        alike(whole.state_dict(), states[-1])
    assert not flag.exists()
    assert caplog.text.count("is started again") == 2
    for state in states:
        state.pop("progress")
    assert same(*states)  # to the bit


def test_stopped_and_resumed_equals_never_stopped(cluster, tmp_path):
    iterations = 12
    straight = trainer_of(iterations)
    split = straight.split_over(cluster, FAMILY, 2)
    for _ in range(iterations):
        straight.iterate()
    dismiss(split)
    run, words = tmp_path / "run", ["--iterations", str(iterations), "--ray"]
    words += ["--set", *(f"{n}={json.dumps(value)}" for n, value in SETTINGS.items())]
    command = [sys.executable, "-m", "metarl", "train", FAMILY, "--workers", "2", "--out", run]
    process = subprocess.Popen(
        [*map(str, command), *words], cwd=HERE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        end_s = time.monotonic() + 240
        while not (run / "metrics.jsonl").exists() or len(read_metrics(run)) < 2:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < end_s
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C: whoever shares the terminal gets it
        begun_s = time.monotonic()
        said = process.communicate(timeout=30)[1]
        assert time.monotonic() - begun_s < 20
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert "2 workers on Ray, with up to 2 of 3 tasks each\n" in said
    assert "saved; go on with --resume" in said
    assert "Traceback" not in said
    shutil.copytree(run, tmp_path / "other")
    for workers, folder in ((2, run), (1, tmp_path / "other")):
        more = ["--resume", "--workers", workers, "--out", folder]
        done = metarl("train", FAMILY, *more, *words, timeout=300)
        assert done.returncode == 0, done.stderr
        told = "this run had 2 workers before: numbers are the same up to the order" in done.stderr
        assert told == (workers == 1)
        assert "Traceback" not in done.stderr
        resumed = trainer_of(iterations)
        resumed.restore(load_checkpoint(folder / f"checkpoints/step-{iterations:08d}.safetensors"))
        a, b = straight.state_dict(), resumed.state_dict()
        assert a["progress"][:2] == b["progress"][:2]
        if workers == 2:
            assert same(a["policy"], b["policy"])
            assert same(a["rates"], b["rates"])
            assert same(a["worlds"]["counters"], b["worlds"]["counters"])
        else:  # a dozen iterations let the last bits grow
            assert read_metrics(folder)[-1]["return_after"] == pytest.approx(
                read_metrics(run)[-1]["return_after"], rel=0.05
            )


def test_a_cluster_that_is_not_there_is_told_before_there_is_a_folder(tmp_path):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
    with pytest.raises(ConfigError, match=f"nobody answers at {address} .*start one"):
        train(FAMILY, "maml", iterations=1, out=tmp_path / "run", ray=address, **SETTINGS)
    assert not (tmp_path / "run").exists()
