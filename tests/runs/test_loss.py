"""What a run has saved is not lost: by resuming, by a full disk, by numbers that are none."""

from __future__ import annotations

import logging
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from metarl.errors import CheckpointError, TrainingError
from metarl.runs import checkpoint
from metarl.runs.metrics import read_metrics
from metarl.runs.run import Run, latest_checkpoint
from metarl.runs.state import flatten


@dataclass(frozen=True)
class Config:
    seed: int = 0


def start(folder, **options):
    return Run.create(folder, Config(), **{"tensorboard": False, **options})


def resume(folder):
    return start(folder, resume=True)


@pytest.fixture
def folder(tmp_path):
    """A run with checkpoints of steps 1 and 2."""
    with start(tmp_path / "run") as run:
        for step in (1, 2):
            run.log(step, loss=1.0)
            run.save(step, {"w": torch.zeros(2)}, {})
    return run.folder


def newest(folder):
    return folder / "checkpoints" / "step-00000002.safetensors"


def content(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def assert_refused(folder, match):
    before = content(folder)
    with pytest.raises(CheckpointError, match=match):
        latest_checkpoint(folder)
    with pytest.raises(CheckpointError, match=match):
        resume(folder)
    assert content(folder) == before


def test_a_newest_checkpoint_of_a_newer_format_is_not_passed_over(folder, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT_VERSION", 2)
    monkeypatch.setattr(checkpoint, "release", lambda: "9.8.7")
    checkpoint.save_checkpoint(newest(folder), {}, {})
    monkeypatch.undo()
    assert_refused(folder, r"format 2.*metarl-sim==9\.8\.7")


def test_nor_one_that_is_no_file(folder):
    newest(folder).unlink()
    newest(folder).mkdir()
    assert_refused(folder, "it is a folder")


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs users")
def test_nor_one_that_may_not_be_read():
    """Run as nobody, if these tests are run by the one who may read everything."""
    with tempfile.TemporaryDirectory() as name:
        folder, nobody = Path(name) / "run", 65534
        os.chmod(name, 0o777)
        root = os.geteuid() == 0
        try:
            if root:
                os.seteuid(nobody)
            with start(folder) as run:
                for step in (1, 2):
                    path = run.save(step, {}, {})
            path.chmod(0)
            with pytest.raises(CheckpointError, match=r"Permission denied; make it readable"):
                resume(folder)
            assert path.exists()
        finally:
            if root:
                os.seteuid(0)


def test_nor_one_that_goes_by_a_later_step(folder):
    path = newest(folder)
    path.rename(path.with_name("step-00000900.safetensors"))
    assert_refused(folder, r"is of step 2, though its name says 900; rename it to step-00000002")


def test_a_checkpoint_that_does_not_say_its_step_goes_by_its_name(folder):
    checkpoint.save_checkpoint(newest(folder).with_name("step-00000007.safetensors"), {}, {})
    with resume(folder) as run:
        assert run.latest()[0] == 7


@pytest.mark.parametrize("result", [True, False])
def test_a_run_without_its_checkpoints_is_not_started_over(folder, result):
    for path in (folder / "checkpoints").iterdir():
        path.unlink()
    if result:
        (folder / "result.json").write_text("{}")
    else:
        (folder / "checkpoints").rmdir()
    before = content(folder)
    with pytest.raises(CheckpointError, match=r"put it.* back, or choose another folder"):
        resume(folder)
    assert content(folder) == before


def test_a_run_killed_before_its_first_save_starts_again_and_keeps_its_metrics(tmp_path, caplog):
    for number in (1, 2):
        with start(tmp_path, resume=True) as run:
            run.log(number, loss=1.0)
    with resume(tmp_path):
        assert read_metrics(tmp_path) == []
    assert '"step": 1' in (tmp_path / "metrics.1.jsonl").read_text()
    assert '"step": 2' in (tmp_path / "metrics.2.jsonl").read_text()
    assert "metrics.2.jsonl" in caplog.text


def test_a_damaged_line_amid_the_metrics_takes_no_later_ones_with_it(folder):
    path = folder / "metrics.jsonl"
    path.write_text('{"step": "x"}\n' + path.read_text())
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match="line 1 is no metrics, and later ones are"):
        resume(folder)
    assert path.read_bytes() == before


def adam(value):
    """An optimizer's state, as a trainer that learned from `value` has it."""
    weights = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.Adam([weights])
    weights.grad = torch.full((2,), value)
    optimizer.step()
    return optimizer.state_dict()


@pytest.mark.parametrize(
    ("state", "place"),
    [
        ({"optimizer": adam(float("nan"))}, "state/optimizer/state/0/exp_avg"),
        ({"optimizer": adam(1e30)}, "state/optimizer/state/0/exp_avg_sq"),
        ({"worlds": {"state": [np.array([1.0, np.inf])]}}, "state/worlds/state/0"),
        ({"rate": np.float32("nan")}, "state/rate"),
        ({"a": [(1.0, float("-inf"))]}, "state/a"),
        ({"w": torch.tensor(float("nan"), dtype=torch.bfloat16)}, "state/w"),
        ({"z": np.array(complex(0, np.nan))}, "state/z"),
    ],
)
def test_a_state_that_is_not_finite_is_not_saved(folder, state, place):
    before = newest(folder).read_bytes()
    with resume(folder) as run:
        with pytest.raises(TrainingError) as caught:
            run.save(3, *flatten(state))
        assert run.latest()[0] == 2
    assert f"{place} is not finite" in str(caught.value)
    assert "the checkpoint of step 2 is intact" in str(caught.value)
    assert newest(folder).read_bytes() == before


def test_nothing_saved_is_not_called_intact(tmp_path):
    with start(tmp_path) as run, pytest.raises(TrainingError, match="nothing is saved"):
        run.save(1, {"w": torch.tensor(float("nan"))}, {})


def test_a_whole_state_of_finite_numbers_is_saved(tmp_path):
    state = {
        "generator": torch.Generator().get_state(),
        "numpy": np.random.default_rng(0).bit_generator.state,
        "optimizer": adam(1.0),
        "empty": np.zeros((0, 3)),
        "words": np.array(["nan"]),
        "text": "nan",
    }
    with start(tmp_path) as run:
        run.save(1, *flatten(state))


def limited(kilobytes, program, folder):
    """Run a program that can write files of so many kilobytes, as `ulimit -f` has it."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * kilobytes, 1024 * kilobytes))

    words = [sys.executable, "-c", program, str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, preexec_fn=limit, timeout=60)
    return done.returncode, done.stderr


EVENTS = """
import sys
from dataclasses import dataclass
from metarl.runs.run import Run

@dataclass(frozen=True)
class Config:
    seed: int = 0

with Run.create(sys.argv[1], Config()) as run:
    for step in range(60):
        run.log(step, **{f"t{i}": 1 for i in range(100)})
    run.save(60, {}, {})
"""


def test_events_that_cannot_be_written_are_dropped_and_the_run_goes_on(tmp_path):
    pytest.importorskip("tensorboard")
    code, said = limited(66, EVENTS, tmp_path)  # more than the metrics, less than the events
    assert code == 0, said
    assert len(said.splitlines()) == 1
    assert "no TensorBoard events from here on, the run goes on: " in said
    assert latest_checkpoint(tmp_path)[0] == 60


SAVE = """
import sys
from dataclasses import dataclass
import torch
from metarl.errors import CheckpointError
from metarl.runs.run import Run

@dataclass(frozen=True)
class Config:
    seed: int = 0

with Run.create(sys.argv[1], Config(), resume=True, tensorboard=False) as run:
    try:
        for step in (1, 2):
            run.save(step, {"w": torch.zeros(3000 * step)}, {})
    except CheckpointError as error:
        sys.exit(str(error))
"""


@pytest.mark.parametrize(
    ("kilobytes", "kept"), [(20, "of step 1 is intact"), (8, "nothing is sav")]
)
def test_a_checkpoint_that_does_not_fit_is_one_line_with_the_remedy(tmp_path, kilobytes, kept):
    code, said = limited(kilobytes, SAVE, tmp_path)
    assert code == 1
    assert len(said.splitlines()) == 1
    assert "free disk space" in said
    assert kept in said
    assert not list(tmp_path.rglob("*.partial"))
    found = latest_checkpoint(tmp_path)
    assert (None if found is None else found[0]) == (1 if kilobytes == 20 else None)


def test_a_folder_moved_away_is_said_and_not_made_anew(tmp_path):
    pytest.importorskip("tensorboard")
    with start(tmp_path / "run", tensorboard=True) as run:
        run.save(1, {}, {})
        run.folder.rename(tmp_path / "moved")
        run.log(2, loss=1.0)
        with pytest.raises(CheckpointError, match="moved or deleted"):
            run.save(2, {}, {})
    assert not (tmp_path / "run").exists()
    with start(tmp_path / "moved", resume=True) as run:
        assert run.latest()[0] == 1


def test_without_tensorboard_the_run_says_so_once(tmp_path, caplog, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.record_writer", None)
    with caplog.at_level(logging.WARNING), start(tmp_path, tensorboard=True) as run:
        run.log(1, loss=1.0)
        run.log(2, loss=1.0)
    assert [record.message[:21] for record in caplog.records] == ["no TensorBoard events"]
