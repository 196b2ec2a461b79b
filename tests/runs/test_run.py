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


class Color(enum.Enum):
    RED = 1
    BLUE = 2


@dataclass(frozen=True)
class Inner:
    width: int = 32
    rates: tuple[float, ...] = (0.1, 0.2)


@dataclass(frozen=True)
class Config:
    family: str = "kitchen/season"
    learning_rate: float = 3e-4
    limit: float = float("inf")
    seed: int | None = None
    method: Literal["maml", "scratch"] = "maml"
    inner: Inner = field(default_factory=Inner)
    out: Path | None = Path("runs")
    color: Color = Color.BLUE
    pair: tuple[int, str] = (1, "a")
    names: list[str] = field(default_factory=lambda: ["x"])
    weights: dict[str, float] = field(default_factory=lambda: {"a": 1.0})


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


def test_config_round_trip(tmp_path):
    config = Config(seed=3, out=None, inner=Inner(rates=()))
    start(tmp_path, config).close()
    assert load_config(tmp_path, Config) == config
    assert load_config(str(tmp_path / "config.json"), Config) == config


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"learnig_rate": 1.0}, "did you mean 'learning_rate'"),
        ({"inner": {"width": 1, "rate": ()}}, "did you mean 'rates'"),
        ({"inner": {"width": 1}}, "missing rates"),
        ({"inner": 3}, "Config.inner: 3 is a int, expected Inner"),
        ({"learning_rate": "fast"}, "Config.learning_rate: 'fast' is a str, expected float"),
        ({"seed": 1.5}, "Config.seed: 1.5 is a float"),
        ({"seed": True}, "Config.seed: True is a bool"),
        ({"method": "mamll"}, "did you mean 'maml'"),
        ({"color": "BLEU"}, "did you mean 'BLUE'"),
        ({"pair": [1]}, "1 values, expected 2"),
        ({"names": "x"}, "Config.names: 'x' is a str"),
        ({"names": [1]}, r"Config.names\[0\]: 1 is a int"),
        ({"weights": {"a": "b"}}, "Config.weights.a"),
        ({"weights": []}, "Config.weights"),
        ({"family": None}, "Config.family: None"),
        ({"class": "other.Recipe"}, "config of a Recipe"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(change, match):
    with pytest.raises(ConfigError, match=match):
        load_config({**describe_config(Config()), **change}, Config)


def test_a_missing_config_key_is_refused():
    saved = describe_config(Config())
    del saved["method"]
    with pytest.raises(ConfigError, match="missing method"):
        load_config(saved, Config)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_damaged_config_file(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load_config(tmp_path, Config)


def test_a_missing_config_file(tmp_path):
    with pytest.raises(CheckpointError, match="expected a run folder"):
        load_config(tmp_path, Config)


def test_only_frozen_dataclasses_are_configs(tmp_path):
    @dataclass
    class Loose:
        a: int = 1

    for wrong in (Loose(), {"a": 1}, Config):
        with pytest.raises(ConfigError, match="frozen"):
            start(tmp_path / "run", wrong)
    with pytest.raises(ConfigError, match=r"Config.names\[0\]: cannot save a object"):
        start(tmp_path / "run", Config(names=[object()]))
    assert not (tmp_path / "run").exists()


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
