"""State dicts as torch wrote them before 1.6: tensors alone, and nothing that only looks like one."""

from __future__ import annotations

import collections
import io

import pytest
import torch

from metarl.errors import CheckpointError
from metarl.sources.tensors import read_old_state_dict


def old_file(content) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def test_tensors_are_read_bit_for_bit():
    tensors = {"a.weight": torch.randn(3, 4), "a.bias": torch.zeros(4, dtype=torch.float64)}
    found = read_old_state_dict(old_file(tensors), "mine.pth")
    assert torch.equal(found["a.weight"], tensors["a.weight"])
    assert found["a.bias"].dtype == torch.float32


class Writes:
    def __reduce__(self):
        return (open, ("ran", "w"))


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (Writes(), "asks for (io|builtins|_io).open"),
        (collections.Counter("abc"), "asks for collections.Counter"),  # torch would read these
        (bytearray(8), "asks for (builtins|__builtin__).bytearray"),
        (torch.float16, "asks for torch.float16"),
    ],
)
def test_whatever_is_no_tensor_is_refused_by_name_and_not_run(odd, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=said):
        read_old_state_dict(old_file({"a": torch.zeros(2), "odd": odd}), "mine.pth")
    assert list(tmp_path.iterdir()) == []


def test_what_is_cut_off_or_promises_more_than_it_holds_is_refused():
    whole = old_file({"a": torch.arange(1000.0)})
    for end in (0, 1, 20, 60, 200, len(whole) // 2, len(whole) - 1):
        with pytest.raises(CheckpointError, match="damaged"):
            read_old_state_dict(whole[:end], "mine.pth")
    with pytest.raises(CheckpointError, match="holds less"):
        read_old_state_dict(old_file({"a": torch.ones(1).expand(10**6, 10**6)}), "mine.pth")
    number = (1000).to_bytes(2, "little")
    lying = whole.replace(number, (60_000).to_bytes(2, "little"))
    with pytest.raises(CheckpointError, match="damaged"):
        read_old_state_dict(lying, "mine.pth")
