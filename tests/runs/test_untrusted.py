"""Files that anyone may have made or changed: typed errors, in no time, in little memory."""

from __future__ import annotations

import json
import os
import time
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from forged import sign, sign_text

from metarl.errors import CheckpointError, DamagedError
from metarl.runs.checkpoint import load_checkpoint, save_checkpoint
from metarl.runs.config import read_json
from metarl.runs.metrics import read_metrics
from metarl.runs.policies import read_checkpoint

DEEP = "[" * 200_000


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.safetensors"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_a_fifo_does_not_hang(path):
    os.mkfifo(path)
    with pytest.raises(CheckpointError, match="it is a FIFO; expected a regular file"):
        load_checkpoint(path)
    with pytest.raises(CheckpointError, match="it is a FIFO"):
        read_json(path)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs /dev/zero")
def test_a_device_is_not_read(path):
    path.symlink_to("/dev/zero")
    with pytest.raises(CheckpointError, match="it is a device"):
        load_checkpoint(path)


def test_a_link_to_a_checkpoint_is_one(path, tmp_path):
    save_checkpoint(path, {}, {"a": 1})
    (tmp_path / "b.safetensors").symlink_to(path)
    assert load_checkpoint(tmp_path / "b.safetensors").meta == {"a": 1}


def test_a_huge_file_is_refused_by_its_first_bytes(path):
    with open(path, "wb") as file:
        file.truncate(12 * 2**30)  # holes: it takes no disk, but would take 12 GB to read
    start_s = time.monotonic()
    with pytest.raises(DamagedError, match="no checkpoint of metarl"):
        load_checkpoint(path)
    assert time.monotonic() - start_s < 0.5


@pytest.mark.parametrize("content", [DEEP, DEEP.replace("[", '{"a":'), "[" * 150 + "]" * 150])
def test_nested_brackets_are_no_traceback(tmp_path, path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"config\.json is damaged"):
        read_json(tmp_path / "config.json")
    (tmp_path / "metrics.jsonl").write_text(f'{{"step": 1}}\n{content}\n')
    with pytest.raises(CheckpointError, match="line 2"):
        read_metrics(tmp_path)
    sign_text(path, f'{{"sha256":"{"0" * 64}","format":1,"meta":{content}')
    with pytest.raises(CheckpointError, match="no JSON"):
        load_checkpoint(path)


def test_half_a_surrogate_pair(tmp_path, path):
    (tmp_path / "config.json").write_text(r'{"family": "\ud800"}')
    with pytest.raises(CheckpointError, match="no Unicode"):
        read_json(tmp_path / "config.json")
    sign(path, {"meta": {"family": "\ud800"}})
    with pytest.raises(CheckpointError, match="no Unicode"):
        load_checkpoint(path)
    with pytest.raises(CheckpointError, match="no Unicode"):
        save_checkpoint(path, {}, {"name": "\ud800"})


@pytest.mark.parametrize(
    "line",
    ['{"step": "x"}', '{"step": true}', '{"step": -1}', '{"step": 1e3}', '{"a": 1}', "[]", "1",
     '{"step": 2, "loss": [1]}', '{"step": 2, "loss": "low"}', '{"step": 2, "loss": {}}',
     '{"step": 2, "loss": true}', '{"step": 2, "\\ud800": 1}', "\udcff", f'{{"step": {10**30}}}'],
)  # fmt: skip
def test_what_is_no_metrics(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_bytes(
        f'{{"step": 1}}\n{line}\n'.encode(errors="surrogateescape")
    )
    with pytest.raises(CheckpointError, match="line 2 is no metrics"):
        read_metrics(tmp_path)


@pytest.mark.parametrize("value", ["1e308", "-1e101", "1e999", "NaN", "1" + "0" * 4000])
def test_a_number_beyond_all_use_is_none(tmp_path, value):
    (tmp_path / "metrics.jsonl").write_text(f'{{"step": 1, "loss": {value}, "return": 2}}\n')
    assert read_metrics(tmp_path) == [{"step": 1, "loss": None, "return": 2}]


@pytest.mark.parametrize(
    "change",
    [
        {"meta": []},
        {"meta": "x"},
        {"meta": None},
        {"format": "1"},
        {"format": None},
        {"format": []},
    ],
)
def test_a_header_signed_anew(path, change):
    sign(path, {"meta": {}, **change})
    with pytest.raises(CheckpointError):
        load_checkpoint(path)


SAID = {
    "method": "ppo", "family": "toy/reach", "blocks": {"robot": 4, "task": 2}, "action_dim": 2,
    "config": {"hidden": [4], "seed": 0, "task_visible": True}, "steps": 10, "seconds": 1.5,
    "step": 3, "metrics": {"return": None, "success": 0.5}, "made-with": {"metarl": "0.1.0"},
}  # fmt: skip


WRONG = [
    (name, value)
    for name in [*SAID, "config.seed", "config.task_visible"]
    for value in (None, [], "", 1e999, -1, {"a": []}, {"a": "x"})
    if not (value == "" and name in ("method", "family"))
    and not (isinstance(value, dict) and name in ("config", "made-with"))
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_meta_of_wrong_types_signed_anew(path, name, value):
    meta = json.loads(json.dumps(SAID))
    table, key = (meta["config"], name[7:]) if name.startswith("config.") else (meta, name)
    table[key] = value
    sign(path, {"meta": meta})
    with pytest.raises(CheckpointError, match=f"says {name} is .* expected"):
        load_checkpoint(path)


def test_what_is_said_well_loads(path):
    sign(path, {"meta": SAID}, {"w": torch.zeros(2)})
    assert load_checkpoint(path).meta == SAID


def test_shipped_checkpoints_say_what_they_should():
    found = [
        file
        for package in ("metarl_classic", "metarl_kitchen")
        for file in (Path(str(files(package))) / "checkpoints").glob("*.safetensors")
    ]
    assert len(found) > 15
    for file in found:
        load_checkpoint(file)


def test_a_run_folder_that_is_missing(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint"):
        read_checkpoint(tmp_path / "no")
