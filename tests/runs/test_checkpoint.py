"""The checkpoint file: what goes in comes out, and damage never does."""

from __future__ import annotations

import errno
import json
import os
import pickle
import random

import numpy as np
import pytest
import safetensors.torch
import torch

from metarl.errors import CheckpointError
from metarl.runs import checkpoint
from metarl.runs.checkpoint import load_checkpoint, save_checkpoint
from metarl.runs.state import flatten, unflatten

DTYPES = (torch.uint8, torch.bool, torch.int64, torch.float16, torch.bfloat16, torch.float64)


def same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    return (
        a.dtype == b.dtype
        and a.shape == b.shape
        and a.reshape(-1).view(torch.uint8).equal(b.reshape(-1).view(torch.uint8))
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.safetensors"


def test_round_trip_keeps_every_bit_of_every_dtype(path):
    noise = torch.Generator().manual_seed(0)
    tensors = {str(d): torch.randn(3, 4, generator=noise).to(d) for d in DTYPES}
    tensors |= {
        "zero-d": torch.tensor(-0.0, dtype=torch.float64),
        "empty": torch.zeros(0, 3),
        "nan": torch.tensor([float("nan"), float("inf")]),
        "generator": noise.get_state(),
        "view": torch.arange(12).reshape(3, 4).T,
    }
    tensors["shared"] = tensors["view"][1]
    meta = {"step": 3, "lr": 0.1 + 0.2, "name": "Ä", "nested": [{"none": None}]}
    save_checkpoint(path, tensors, meta)
    loaded = load_checkpoint(path)
    assert loaded.meta == meta
    assert loaded.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert same_bits(loaded.tensors[name], tensor.contiguous()), name


def test_empty_checkpoint(path):
    save_checkpoint(path, {}, {})
    assert load_checkpoint(path) == checkpoint.Checkpoint({}, {})


def test_equal_content_gives_equal_files(path, tmp_path):
    content = ({"b": torch.ones(2), "a": torch.zeros(3)}, {"x": 1, "y": 2})
    save_checkpoint(path, *content)
    save_checkpoint(tmp_path / "b.safetensors", *content)
    assert path.read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_a_thousand_mutations_are_all_found(path, tmp_path):
    save_checkpoint(path, {"w": torch.randn(5, 5), "n": torch.tensor(3)}, {"step": 7})
    whole = path.read_bytes()
    rng = random.Random(0)
    for i in range(1000):
        data = bytearray(whole)
        if i % 3 == 0:
            del data[rng.randrange(len(data)) :]
        elif i % 3 == 1:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        else:
            for _ in range(rng.randint(2, 40)):
                data[rng.randrange(len(data))] = rng.randrange(256)
        if bytes(data) == whole:
            continue
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match="damaged"):
            load_checkpoint(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(path)
    path.write_bytes(whole)
    assert load_checkpoint(path).meta == {"step": 7}


class Bomb:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (os.mkdir, (str(self.marker),))


@pytest.mark.parametrize("kind", ["pickle", "zip", "tensors"])
def test_a_foreign_file_is_refused_and_nothing_in_it_runs(path, tmp_path, kind):
    marker = tmp_path / "executed"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Bomb(marker)))
    elif kind == "zip":
        torch.save(Bomb(marker), path)
    else:
        safetensors.torch.save_file({"a": torch.zeros(1)}, path, {"metarl": "{}"})
    with pytest.raises(CheckpointError, match="no checkpoint of metarl"):
        load_checkpoint(path)
    assert not marker.exists()


def test_a_missing_file_names_those_that_exist(path, tmp_path):
    save_checkpoint(path, {}, {})
    with pytest.raises(CheckpointError, match=r"b\.safetensors.*a\.safetensors"):
        load_checkpoint(tmp_path / "b.safetensors")
    with pytest.raises(CheckpointError, match="none"):
        load_checkpoint(tmp_path / "no" / "b.safetensors")


def test_another_format_names_the_release_that_reads_it(path, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT_VERSION", 2)
    monkeypatch.setattr(checkpoint, "release", lambda: "9.8.7")
    save_checkpoint(path, {}, {})
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match=r"format 2.*metarl-sim==9\.8\.7"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("tensors", "meta", "match"),
    [
        ({"__metadata__": torch.zeros(1)}, {}, "__metadata__"),
        ({"c": torch.zeros(1, device="meta")}, {}, "cannot store"),
        ({}, {"o": object()}, "cannot store"),
        ({}, {"a": {1: 2}}, "meta/a has the key 1"),
    ],
)
def test_what_cannot_be_stored_is_refused(path, tmp_path, tensors, meta, match):
    with pytest.raises(CheckpointError, match=match):
        save_checkpoint(path, tensors, meta)
    assert list(tmp_path.iterdir()) == []


def test_the_name_must_say_what_it_is(tmp_path):
    with pytest.raises(CheckpointError, match="safetensors"):
        save_checkpoint(tmp_path / "a.pt", {}, {})


def test_a_full_disk_leaves_the_old_file(path, tmp_path):
    resource = pytest.importorskip("resource")
    save_checkpoint(path, {}, {"step": 1})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(CheckpointError, match="free disk space"):
            save_checkpoint(path, {}, {"step": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert load_checkpoint(path).meta == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_read_only_disk_leaves_the_old_file(path, tmp_path, monkeypatch):
    save_checkpoint(path, {}, {"step": 1})

    def refuse(*_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(CheckpointError, match="choose a folder that can be written"):
        save_checkpoint(path, {}, {"step": 2})
    assert load_checkpoint(path).meta == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_parent_that_is_a_file(path):
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="choose a folder"):
        save_checkpoint(path / "b.safetensors", {}, {})


def test_flatten_keeps_types_order_and_bits():
    pcg, mersenne = np.random.default_rng(1), np.random.Generator(np.random.MT19937(2))
    nan = np.array([0x7FF8000000000123], dtype=np.uint64).view(np.float64)
    state = {
        2: ("tuple", [1, True, None, -0.0, 5e-324, float("-inf")]),
        "2": 0.1 + 0.2,
        (1, "a"): b"\x00\xff",
        None: {},
        "pcg": pcg.bit_generator.state,
        "mersenne": mersenne.bit_generator.state,
        "nan": nan,
        "scalar": np.float32(0.1),
        "big-endian": np.arange(6, dtype=">i2").reshape(2, 3)[:, ::-1],
        "words": np.array(["a", "bc"]),
        "hollow": np.zeros((0, 3)),
        "complex": np.array(1j),
        "a/b": torch.zeros(1),
        "a": {"b": torch.ones(1), "key": torch.tensor(2)},
    }
    tensors, meta = flatten(state)
    back = unflatten(tensors, json.loads(json.dumps(meta, allow_nan=False)))
    assert list(back) == list(state)
    assert str(back[2]) == str(state[2])
    assert back["pcg"] == state["pcg"]
    assert back["2"] == state["2"]
    assert back[(1, "a")] == b"\x00\xff"
    assert back[None] == {}
    assert type(back["scalar"]) is np.float32
    assert back["scalar"] == state["scalar"]
    for name in ("nan", "big-endian", "words", "hollow", "complex"):
        assert back[name].dtype == state[name].dtype
        assert back[name].shape == state[name].shape
        assert back[name].tobytes() == state[name].tobytes()
    assert (back["a/b"].item(), back["a"]["b"].item(), back["a"]["key"].item()) == (0, 1, 2)
    restored = np.random.Generator(np.random.MT19937())
    restored.bit_generator.state = back["mersenne"]
    assert restored.random() == mersenne.random()


def test_flatten_takes_copies():
    weights = torch.zeros(2)
    tensors, meta = flatten({"w": weights})
    weights += 1
    unflatten(tensors, meta)["w"].add_(5)
    assert unflatten(tensors, meta)["w"].tolist() == [0, 0]


@pytest.mark.parametrize("value", [object(), {1, 2}, np.array([object()]), np.random.default_rng])
def test_flatten_names_the_place_of_what_it_cannot_save(value):
    with pytest.raises(CheckpointError, match="state/a/0: cannot save"):
        flatten({"a": [value]})


@pytest.mark.parametrize(
    "node",
    [
        {"tensor": "absent"},
        {"array": ["t", "O", [1]]},
        {"array": ["t", "<f8", [10**12]]},
        {"pickle": "x"},
        {},
        {"tensor": ["t"]},
        {"dict": [[[], 1]]},
    ],
)
def test_a_forged_state_is_refused(node):
    with pytest.raises(CheckpointError, match="cannot be rebuilt"):
        unflatten({"t": torch.zeros(8, dtype=torch.uint8)}, {"state": node})


def test_unflatten_needs_a_state():
    with pytest.raises(CheckpointError, match=r"no state.*step"):
        unflatten({}, {"step": 1})


def learner(seed):
    rng = torch.Generator().manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=rng) / 3
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, betas=(0.8, 0.99), amsgrad=True)
    return model, optimizer, rng


def train(model, optimizer, rng, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(4, 3, generator=rng)).square().mean().backward()
        optimizer.step()


def test_adam_goes_on_bit_for_bit(path):
    model, optimizer, rng = learner(0)
    train(model, optimizer, rng, 5)
    state = {"model": model.state_dict(), "adam": optimizer.state_dict(), "rng": rng.get_state()}
    save_checkpoint(path, *flatten(state))
    train(model, optimizer, rng, 7)

    other, other_optimizer, other_rng = learner(1)
    loaded = load_checkpoint(path)
    back = unflatten(loaded.tensors, loaded.meta)
    other.load_state_dict(back["model"])
    other_optimizer.load_state_dict(back["adam"])
    other_rng.set_state(back["rng"])
    train(other, other_optimizer, other_rng, 7)

    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert same_bits(a.detach(), b.detach())
    ours, theirs = flatten(optimizer.state_dict()), flatten(other_optimizer.state_dict())
    assert ours[1] == theirs[1]
    assert all(same_bits(ours[0][name], theirs[0][name]) for name in ours[0])
