"""Files that anyone may have made: nothing of them runs, and nothing is allocated on their word."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from pupils import pupil
from stable_baselines3 import PPO

from metarl.errors import CheckpointError
from metarl.sources import archive, read_source
from metarl.sources.statistics import read_statistics


class Writes:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path: Path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """What Stable-Baselines3 writes."""
    path = tmp_path_factory.mktemp("model") / "model.zip"
    pupil(PPO).save(path)
    with zipfile.ZipFile(path) as found:
        return {name: found.read(name) for name in found.namelist()}


def write(path: Path, members, compression=zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return path


def torch_file(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def repacked(data: bytes, changes, compression=zipfile.ZIP_STORED) -> bytes:
    """A file of torch.save with other members."""
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        inner = {name: old.read(name) for name in old.namelist()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as made:
        for name, content in (inner | changes).items():
            made.writestr(name, content)
    return buffer.getvalue()


def test_pickles_in_the_words_are_not_run(members, tmp_path):
    """`PPO.load` would run each of these; here the policy is read, as tensors alone."""
    import base64
    import json

    mark = tmp_path / "ran"
    bomb = base64.b64encode(pickle.dumps(Writes(mark))).decode()
    data = json.loads(members["data"])
    for entry in data.values():
        if isinstance(entry, dict) and ":serialized:" in entry:
            entry[":serialized:"] = bomb
    path = write(tmp_path / "model.zip", members | {"data": json.dumps(data).encode()})
    ours = read_source(path).tensors["policy.head.weight"]
    assert torch.equal(
        ours, read_source(write(tmp_path / "b.zip", members)).tensors["policy.head.weight"]
    )
    assert not mark.exists()
    with contextlib.suppress(Exception):  # the file it leaves is what counts
        PPO.load(path)
    assert mark.exists()


@pytest.mark.parametrize("place", ["policy.pth", "policy.optimizer.pth", "pytorch_variables.pth"])
def test_pickles_in_the_tensors_are_not_run(place, members, tmp_path):
    mark = tmp_path / "ran"
    path = write(tmp_path / "a.zip", members | {place: torch_file({"log_std": Writes(mark)})})
    if place == "policy.pth":
        with pytest.raises(CheckpointError, match=r"asks for io\.open.*nothing of it was run"):
            read_source(path)
    else:  # left alone
        assert read_source(path).meta["action_dim"] == 2
    state = tmp_path / "agent.pt"
    state.write_bytes(torch_file({"actor_logstd": Writes(mark)}))
    with pytest.raises(CheckpointError, match=r"asks for io\.open"):
        read_source(state)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Writes(mark)))
    with pytest.raises(CheckpointError, match="is a pickle, and nothing is unpickled"):
        read_source(tmp_path / "model.pkl")
    assert not mark.exists()


@pytest.mark.parametrize(
    "name",
    ["../evil.py", "/etc/evil", "policy.pth/../../evil", "model.zip", "extra.pth", "a\x1b[2Jb"],
)
def test_a_zip_with_anything_else_is_refused_by_name(name, members, tmp_path):
    path = write(tmp_path / "model.zip", members | {name: b"x"})
    with pytest.raises(CheckpointError, match="does not belong there; it is refused whole") as said:
        read_source(path)
    assert "\x1b" not in str(said.value)
    inner = repacked(members["policy.pth"], {name: b"x"})
    path = write(tmp_path / "inner.zip", members | {"policy.pth": inner})
    with pytest.raises(CheckpointError, match="does not belong there"):
        read_source(path)
    assert {p.name for p in tmp_path.iterdir()} == {"model.zip", "inner.zip"}


def test_members_that_stand_there_twice_are_refused(members, tmp_path):
    path = write(tmp_path / "model.zip", members)
    with zipfile.ZipFile(path, "a") as made, pytest.warns(UserWarning, match="Duplicate"):
        made.writestr("data", b"{}")
    with pytest.raises(CheckpointError, match="'data', twice"):
        read_source(path)


def test_bombs_are_refused_by_what_they_declare_and_by_what_they_hold(
    members, tmp_path, monkeypatch
):
    monkeypatch.setattr(archive, "MAX_BYTES", 2**20)
    zeros = bytes(2**21)
    path = write(tmp_path / "a.zip", members | {"data": zeros}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**18
    with pytest.raises(CheckpointError, match="2097152 bytes, more than 1048576"):
        read_source(path)
    many = {f"{i}.pth": bytes(2**18) for i in range(5)}
    path = write(tmp_path / "b.zip", members | many, zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match="at most 1048576 bytes are read"):
        read_source(path)
    inner = repacked(members["policy.pth"], {}, zipfile.ZIP_DEFLATED)
    path = write(tmp_path / "c.zip", members | {"policy.pth": inner})
    with pytest.raises(CheckpointError, match="compressed in a way"):
        read_source(path)
    path = write(tmp_path / "d.zip", members | {"data": zeros[: 2**19]}, zipfile.ZIP_DEFLATED)
    lying = path.read_bytes().replace(struct.pack("<L", 2**19), struct.pack("<L", 64))
    path.write_bytes(lying)  # now it declares 64 bytes, and holds many more
    with pytest.raises(CheckpointError, match="damaged at 'data'"):
        read_source(path)
    large = tmp_path / "large.zip"
    large.write_bytes(archive.ZIP)
    os.truncate(large, 2**21)
    with pytest.raises(CheckpointError, match="has 2097152 bytes"):
        read_source(large)


def test_what_a_zip_lists_is_counted_before_it_is_read(members, tmp_path):
    path = tmp_path / "model.zip"
    path.write_bytes(write(path, members).read_bytes() + b"PK\x01\x02" * 10_001)
    with pytest.raises(CheckpointError, match="lists more than 10000 members"):
        read_source(path)


def test_tensors_that_share_what_they_hold_are_bounded_together(tmp_path):
    row = torch.zeros(2**20)
    shared = {f"actor_mean.{i}.weight": row.view(1024, 1024) for i in range(0, 260, 2)}
    path = tmp_path / "agent.pt"
    path.write_bytes(torch_file({**shared, "actor_logstd": torch.zeros(1, 2)}))
    assert path.stat().st_size < 5 * 2**20
    with pytest.raises(CheckpointError, match="more than 134217728 numbers"):
        read_source(path)


def test_every_cut_of_a_zip_is_refused(members, tmp_path):
    whole = write(tmp_path / "model.zip", members).read_bytes()
    for cut in (4, 30, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.zip").write_bytes(whole[:cut])
        with pytest.raises(CheckpointError, match="no whole zip"):
            read_source(tmp_path / "cut.zip")


def test_no_mutation_is_loaded_in_silence_or_ends_otherwise_than_in_words(members, tmp_path):
    """A flipped byte is found by a checksum of zip, changes what is left alone, or is refused."""
    whole = bytearray(write(tmp_path / "model.zip", members).read_bytes())
    same = read_source(tmp_path / "model.zip").tensors
    rng, path, loaded = np.random.default_rng(0), tmp_path / "flipped.zip", 0
    for place in rng.integers(0, len(whole), 200):
        flipped = bytearray(whole)
        flipped[place] ^= 0xFF
        path.write_bytes(flipped)
        try:
            found = read_source(path).tensors
        except CheckpointError:
            continue
        loaded += 1
        assert all(torch.equal(found[name], same[name]) for name in same)
    assert 0 < loaded < 200


@pytest.mark.parametrize("shape", [(10**12,), (10**6, 10**6), (2**62, 2)])
def test_widths_that_nothing_stands_behind_are_refused(shape, members, tmp_path):
    one = torch.zeros(1)
    huge = one.expand(shape) if np.prod(shape, dtype=float) < 2**62 else one.expand(2**40, 2**20)
    path = tmp_path / "agent.pt"
    path.write_bytes(torch_file({"actor_mean.0.weight": huge, "actor_logstd": torch.zeros(1, 2)}))
    assert path.stat().st_size < 10_000
    with pytest.raises(CheckpointError, match="holds less"):
        read_source(path)


def test_arrays_that_promise_more_than_they_hold_are_refused(tmp_path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    header += b" " * (118 - len(header) - 1) + b"\n"
    row = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(8)
    path = write(tmp_path / "a.npz", dict.fromkeys(("mean.npy", "var.npy"), row))
    with pytest.raises(CheckpointError, match="no array of numbers"):
        read_statistics(path)
    np.savez(tmp_path / "b.npz", mean=np.array([Writes(tmp_path / "ran")], object))
    with pytest.raises(CheckpointError, match="no array of numbers"):
        read_statistics(tmp_path / "b.npz")
    assert not (tmp_path / "ran").exists()
    with pytest.raises(CheckpointError, match="holds arrays, no policy"):
        read_source(tmp_path / "b.npz")


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "model.zip")
    with pytest.raises(CheckpointError, match="it is a FIFO"):
        read_source(tmp_path / "model.zip")
    with pytest.raises(CheckpointError, match="it is a FIFO"):
        read_statistics(tmp_path / "model.zip")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        read_source(tmp_path / "nowhere.zip")


def test_what_torch_wrote_long_ago_is_refused(tmp_path):
    path = tmp_path / "old.pt"
    torch.save({"a": torch.zeros(2)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match="is a pickle"):
        read_source(path)
