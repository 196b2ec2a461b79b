"""Named tensors from files of others: nothing is unpickled but tensors, and their sizes are real."""

from __future__ import annotations

import io
import pickletools
import re
from typing import Any

import torch
from torch import Tensor

from metarl.errors import CheckpointError, printable
from metarl.sources.archive import MAX_BYTES, ZIP, Archive

_MEMBER = re.compile(
    r"[^/\\]+/(data\.pkl|data/\d+|version|byteorder|\.data/serialization_id|\.format_version"
    r"|\.storage_alignment)"
)
_ROOT_MEMBER = "/data.pkl"
_MAX_PICKLE = 4 * 2**20
_OLD_PICKLES = 5  # a magic number, the protocol, the machine, the table, and which storages follow
_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
# What torch.save writes of a state_dict, and all that one may name.
_NAMED = re.compile(
    r"collections OrderedDict|torch\._utils (_rebuild_tensor_v2|_rebuild_parameter)"
    r"|torch (Double|Float|Half|BFloat16|Long|Int|Short|Char|Byte|Bool)Storage"
)


def read_state_dict(data: bytes, name: str) -> dict[str, Tensor]:
    """Read a state_dict as `torch.save` wrote it; whatever else it holds is refused by name.

    Args:
        data: The file's bytes.
        name: What it is, for messages.
    Returns:
        Float32 tensors by name, on the CPU.
    Raises:
        CheckpointError: If it names anything but tensors, is damaged, or is none.
    """
    if not data.startswith(ZIP):
        raise CheckpointError(
            f"{name} is no zip file of torch.save (torch 1.6 or later); save the state_dict anew"
        )
    archive = Archive(
        data, name, lambda member: _MEMBER.fullmatch(member) is not None, packed=False
    )
    pickles = [member for member in archive.names if member.endswith(_ROOT_MEMBER)]
    if len(pickles) != 1:
        raise CheckpointError(f"{name} holds {len(pickles)} pickles of tensors; expected one")
    _require_tensors_alone(io.BytesIO(archive.read(pickles[0], _MAX_PICKLE)), name)
    return _loaded(data, name)


def read_old_state_dict(data: bytes, name: str) -> dict[str, Tensor]:
    """Read a state_dict as `torch.save` wrote it before torch 1.6: pickles, and behind them the numbers.

    Args:
        data: The file's bytes.
        name: What it is, for messages.
    Returns:
        Float32 tensors by name, on the CPU.
    Raises:
        CheckpointError: If it names anything but tensors, is damaged, or is none.
    """
    file = io.BytesIO(data)
    for _ in range(_OLD_PICKLES):
        _require_tensors_alone(file, name)
    if file.tell() > _MAX_PICKLE:
        raise CheckpointError(f"{name} has more than {_MAX_PICKLE} bytes before its numbers")
    return _loaded(data, name)


def _loaded(data: bytes, name: str) -> dict[str, Tensor]:
    """Load what was looked through."""
    try:
        found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its reader meets
        said = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{name} is damaged, or no state_dict: {said}") from error
    return checked(found, name)


def checked(found: Any, name: str) -> dict[str, Tensor]:
    """Check that something is named tensors that hold as many numbers as they say.

    Args:
        found: Anything.
        name: What it is from, for messages.
    Returns:
        Them in float32, on the CPU.
    Raises:
        CheckpointError: If it is not.
    """
    if not isinstance(found, dict) or not found:
        what = type(found).__name__ if not isinstance(found, dict) else "empty table"
        raise CheckpointError(f"{name} holds a {what}; expected tensors by name, a state_dict")
    left = MAX_BYTES // 2  # numbers; tensors may share what they hold, and yet be copied one by one
    for key, value in found.items():
        fault = _fault(key, value)
        if fault:
            raise CheckpointError(f"{name} holds {printable(str(key))[:80]!r}, {fault}")
        left -= value.numel()
        if left < 0:
            raise CheckpointError(f"{name} holds tensors of more than {MAX_BYTES // 2} numbers")
    return {key: value.detach().to("cpu", torch.float32) for key, value in found.items()}


def _fault(key: Any, value: Any) -> str:
    if not isinstance(key, str) or not isinstance(value, Tensor):
        return f"a {type(value).__name__}; expected tensors by name"
    if value.layout != torch.strided or value.is_quantized or value.is_meta:
        return "which is no plain tensor"
    if value.dtype not in _FLOATS and value.dtype.is_complex:
        return f"a tensor of {value.dtype}"
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return f"which says it has the shape {tuple(value.shape)} and holds less"
    return ""


def _require_tensors_alone(pickle: io.BytesIO, name: str) -> None:
    """Look through a pickle, to its end, without running it, for names of anything but tensors.

    Raises:
        CheckpointError: If there is one; names it.
    """
    try:
        for code, argument, _ in pickletools.genops(pickle):
            if code.name == "GLOBAL" and not _NAMED.fullmatch(str(argument)):
                raise _foreign(name, str(argument).replace(" ", "."))
            if code.name in ("STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2"):
                raise _foreign(name, code.name)
    except CheckpointError:
        raise
    except Exception as error:  # whatever a malformed pickle raises
        raise CheckpointError(f"{name} is damaged, or no state_dict: {error}") from error


def _foreign(name: str, what: str) -> CheckpointError:
    return CheckpointError(
        f"{name} asks for {printable(what)[:80]}, which is no tensor; nothing of it was run, and it"
        " is refused whole"
    )
