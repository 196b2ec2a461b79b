"""The run folder: it survives kills, refuses what does not fit, and says why."""

from __future__ import annotations

import enum
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from metarl.errors import CheckpointError, ConfigError
from metarl.runs.config import describe_config
from metarl.runs.metrics import read_metrics
from metarl.runs.run import Run, load_config


@dataclass(frozen=True)
class Inner:
    width: int = 32


@dataclass(frozen=True)
class Config:
    family: str = "kitchen/season"
    learning_rate: float = 3e-4
    seed: int | None = None
    inner: Inner = field(default_factory=Inner)
    pair: tuple[int, str] = (1, "a")


def start(folder, config=Config(), **options):
    return Run.create(folder, config, tensorboard=False, **options)


def save(run, step):
    return run.save(step, {"w": torch.full((4,), float(step))}, {"at": step})


def without_time(folder):
    return [{k: v for k, v in row.items() if k != "time_s"} for row in read_metrics(folder)]


def test_a_run_says_what_made_it(tmp_path):
    with start(tmp_path / "new" / "run", command="metarl train") as run:
        pass
    saved = json.loads((run.folder / "config.json").read_text())
    assert saved["family"] == "kitchen/season"
    assert saved["class"].endswith("Config")
    assert saved["made-with"]["command"] == "metarl train"
    assert saved["made-with"]["torch"] == torch.__version__.partition("+")[0]
    assert saved["made-with"].keys() >= {"metarl", "mujoco", "numpy", "python", "cpu", "num_cores"}


def test_a_used_folder_asks_for_resume(tmp_path):
    start(tmp_path).close()
    with pytest.raises(ConfigError, match="--resume"):
        start(tmp_path)


def test_resume_with_nothing_just_starts(tmp_path):
    with start(tmp_path / "run", resume=True) as run:
        assert run.latest() is None
        assert load_config(run.folder, Config) == Config()


def test_resume_of_a_foreign_folder_leaves_it_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    (tmp_path / ".thesis.1.partial").write_text("x")
    with pytest.raises(ConfigError, match=r"thesis\.tex"):
        start(tmp_path, resume=True)
    assert {p.name for p in tmp_path.iterdir()} == {"thesis.tex", ".thesis.1.partial"}


def test_resume_with_another_config_lists_what_differs(tmp_path):
    start(tmp_path).close()
    changed = replace(Config(), learning_rate=1.0, inner=Inner(width=8))
    with pytest.raises(ConfigError) as caught:
        start(tmp_path, changed, resume=True)
    assert "learning_rate: saved 0.0003, given 1.0" in str(caught.value)
    assert "inner.width: saved 32, given 8" in str(caught.value)
    assert "family" not in str(caught.value)


def test_a_field_younger_than_the_run_must_have_its_default(tmp_path):
    start(tmp_path).close()
    saved = json.loads((tmp_path / "config.json").read_text())
    del saved["learning_rate"]
    (tmp_path / "config.json").write_text(json.dumps(saved))
    start(tmp_path, resume=True).close()
    with pytest.raises(ConfigError, match=r"learning_rate: saved 0\.0003, given 1\.0"):
        start(tmp_path, replace(Config(), learning_rate=1.0), resume=True)


def test_the_command_may_differ_on_resume(tmp_path):
    start(tmp_path, command="metarl train").close()
    start(tmp_path, command="metarl train --resume", resume=True).close()
    made_with = json.loads((tmp_path / "config.json").read_text())["made-with"]
    assert made_with["command"] == "metarl train"


def test_metrics_are_strict_json(tmp_path):
    with start(tmp_path) as run:
        run.log(1, loss=float("nan"), high=float("inf"), count=3, np=np.float32(0.5))
        run.log(2, **{"eval/success": torch.tensor(0.25)})
        lines = (tmp_path / "metrics.jsonl").read_text().splitlines()  # flushed while open
    assert "NaN" not in lines[0]
    assert without_time(tmp_path) == [
        {"step": 1, "loss": None, "high": None, "count": 3, "np": 0.5},
        {"step": 2, "eval/success": 0.25},
    ]
    assert read_metrics(tmp_path)[0]["time_s"] >= 0


def test_bad_metrics_are_refused(tmp_path):
    with start(tmp_path) as run:
        with pytest.raises(ConfigError, match="'loss' is a str"):
            run.log(1, loss="low")
        with pytest.raises(ConfigError, match="time_s"):
            run.log(1, time_s=1.0)
    assert read_metrics(tmp_path) == []


def test_read_metrics_leaves_out_a_cut_line_and_reports_damage(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert [row["step"] for row in read_metrics(tmp_path)] == [1, 2]
    path.write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.raises(CheckpointError, match="line 2"):
        read_metrics(tmp_path)
    with pytest.raises(CheckpointError, match="expected a run folder"):
        read_metrics(tmp_path / "no")


def test_a_resumed_run_has_the_metrics_of_one_never_stopped(tmp_path):
    def train(run, steps):
        for step in steps:
            run.log(step, loss=1 / step)
            if step % 5 == 0:
                save(run, step)

    with start(tmp_path / "whole") as run:
        train(run, range(1, 21))
    with start(tmp_path / "halves") as run:
        train(run, range(1, 14))
        last_s = read_metrics(run.folder)[9]["time_s"]
    with open(run.folder / "metrics.jsonl", "a") as file:
        file.write('{"step": 14, "lo')  # killed while it wrote
    with start(tmp_path / "halves", resume=True) as run:
        step, loaded = run.latest()
        assert (step, loaded.meta) == (10, {"at": 10, "step": 10})
        assert [row["step"] for row in read_metrics(run.folder)] == list(range(1, 11))
        train(run, range(11, 21))
    assert without_time(tmp_path / "halves") == without_time(tmp_path / "whole")
    assert read_metrics(tmp_path / "halves")[10]["time_s"] >= last_s


def test_resume_before_the_first_checkpoint_starts_the_metrics_again(tmp_path):
    with start(tmp_path) as run:
        run.log(0, loss=1.0)
    with start(tmp_path, resume=True):
        assert read_metrics(tmp_path) == []


def test_only_the_last_checkpoints_are_kept(tmp_path):
    with start(tmp_path, keep=3) as run:
        paths = [save(run, step) for step in (1, 2, 30, 100_000_000_000)]
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == sorted(
        p.name for p in paths[1:]
    )
    assert paths[1].name == "step-00000002.safetensors"
    assert run.latest()[0] == 100_000_000_000
    with pytest.raises(ConfigError, match="keep is 0"):
        start(tmp_path / "other", keep=0)


def test_a_damaged_checkpoint_is_skipped_and_set_aside(tmp_path, caplog):
    with start(tmp_path) as run:
        save(run, 1)
        newest = save(run, 10)
        newest.write_bytes(newest.read_bytes()[:-1])
        assert run.latest()[0] == 1
    assert [newest.name in record.getMessage() for record in caplog.records] == [True]
    with start(tmp_path, resume=True) as run:
        caplog.clear()
        assert run.latest()[0] == 1
        assert not caplog.records
        save(run, 2)
        save(run, 3)  # would drop 2 if the damaged 10 still counted
        assert {p.name for p in (tmp_path / "checkpoints").iterdir()} == {
            "step-00000002.safetensors",
            "step-00000003.safetensors",
            "step-00000010.safetensors.damaged",
        }


def test_a_run_whose_checkpoints_are_all_damaged_is_not_started_over(tmp_path):
    with start(tmp_path) as run:
        run.log(1, loss=1.0)
        save(run, 1).write_bytes(b"")
    with pytest.raises(CheckpointError, match="none of the 1 checkpoints"):
        start(tmp_path, resume=True)
    assert len(read_metrics(tmp_path)) == 1


def test_result(tmp_path):
    with start(tmp_path) as run:
        run.finish({"success": np.float32(0.5), "per_task": np.array([1.0, np.nan]), "n": 3})
        with pytest.raises(CheckpointError, match="JSON"):
            run.finish({"a": object()})
    result = json.loads((tmp_path / "result.json").read_text())
    assert result == {"success": 0.5, "per_task": [1.0, None], "n": 3}


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(CheckpointError, match="choose a folder that can be written"):
            start(folder)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_stops_the_log_with_a_remedy(tmp_path):
    (tmp_path / "run").mkdir()
    run = start(tmp_path / "run")
    run.close()
    (run.folder / "metrics.jsonl").unlink()
    run._metrics = open("/dev/full", "ab", buffering=0)  # noqa: SIM115
    with run, pytest.raises(CheckpointError, match="free disk space"):
        run.log(1, loss=1.0)


def test_tensorboard_reads_what_was_logged(tmp_path):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    ).EventAccumulator
    with Run.create(tmp_path, Config()) as run:
        for step in (1, 2, 3):
            run.log(step, loss=float(step))
            save(run, min(step, 2))
    time.sleep(1.1)  # TensorBoard orders files by the second in their names
    with Run.create(tmp_path, Config(), resume=True) as run:
        run.log(4, loss=40.0)
    events = accumulator(str(tmp_path))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(1, 1), (2, 2), (4, 40)]


def test_importing_does_not_import_torch():
    code = "import sys, metarl.runs.run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_thousand_mutations_fall_back_to_the_previous_checkpoint(tmp_path):
    rng = np.random.default_rng(0)
    with start(tmp_path) as run:
        save(run, 1)
        newest = save(run, 2)
        whole = newest.read_bytes()
        for i in range(1000):
            data = bytearray(whole)
            at = int(rng.integers(len(data)))
            if i % 2:
                data[at] ^= 1 << int(rng.integers(8))
            else:
                del data[at:]
            newest.write_bytes(data)
            assert run.latest()[0] == 1
        newest.write_bytes(whole)
        assert run.latest()[0] == 2
