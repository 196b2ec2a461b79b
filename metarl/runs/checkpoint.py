"""One checkpoint, one safetensors file: written atomically, verified whole, never a pickle.

Every byte of the file is under a SHA-256, so a flipped bit anywhere is found before a tensor is
read. The digest sits at a fixed place, the start of the header, in every format version. It has
no key: it tells damage, not who wrote the file.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarl.errors import CheckpointError, DamagedError
from metarl.runs.files import Irregular, write_whole
from metarl.runs.reading import open_file, parse_json, plain_fault, read_rest
from metarl.runs.trained import require_described

if TYPE_CHECKING:  # torch takes seconds to import; `metarl list` should not pay for it
    from torch import Tensor

FORMAT_VERSION = 1
SUFFIX = ".safetensors"

# All our metadata is one JSON string under one key: safetensors orders several keys at random,
# and equal states should be equal files.
_START = b'{"__metadata__":{"metarl":"{\\"sha256\\":\\"'
_DIGEST = slice(8 + len(_START), 8 + len(_START) + 64)
_BLANK = "0" * 64


@dataclass(frozen=True)
class Checkpoint:
    """What one checkpoint file holds.

    Args:
        tensors: Name -> tensor on the CPU, as it was saved, bit for bit.
        meta: JSON values as they were saved.
    """

    tensors: dict[str, Tensor]
    meta: dict[str, Any]


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write one checkpoint file, entirely or not at all.

    Args:
        path: The file, ending in ``.safetensors``; missing parent folders are made.
        tensors: Name -> tensor of any shape, dtype and device. Tensors that share memory are
            stored once each.
        meta: JSON values with string keys. Tuples would come back as lists: `flatten` keeps them.
    Raises:
        CheckpointError: If the file cannot be written, or something in it cannot be stored. A
            file that was there before is then still intact.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise CheckpointError(f"a checkpoint's name ends in {SUFFIX!r}, not {path.name!r}")
    _require_string_keys(meta, "meta")
    if fault := plain_fault(meta):
        raise CheckpointError(f"cannot store this in {path}: {fault}")
    header = {
        "sha256": _BLANK,
        "format": FORMAT_VERSION,
        "metarl": release(),
        "meta": dict(meta),
    }
    data = _serialize(path, tensors, header)
    data[_DIGEST] = _digest(data)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(path.parent, error) from error
    write_atomically(path, data)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read one checkpoint file, after checking every byte of it.

    Args:
        path: The file.
    Returns:
        Its tensors, on the CPU, and its meta.
    Raises:
        DamagedError: If its bytes are not those that were written.
        CheckpointError: If the file is missing or unreadable, says of itself what cannot be, or
            is in a format version that this release does not know (the message says which does).
    """
    from safetensors.torch import load

    path = Path(path)
    data = _read(path)
    _verify(path, data)
    # The digest holds, so what fails below was written wrong on purpose, not damaged.
    try:
        size = int.from_bytes(data[:8], "little")
        outer = parse_json(data[8 : 8 + size], path)
        header = parse_json(outer["__metadata__"]["metarl"], path)
        _require_known_format(path, header)
        require_described(path, header["meta"])
        return Checkpoint(load(data), header["meta"])
    except CheckpointError:
        raise
    except Exception as error:  # safetensors has no common base for its errors
        raise CheckpointError(f"{path} is no checkpoint of metarl: {error}") from error


def release() -> str:
    """Return this release of metarl, for example ``"0.1.0"``."""
    try:
        return metadata.version("metarl-sim")
    except metadata.PackageNotFoundError:  # a source folder on the path, never installed
        return "unknown"


def write_atomically(path: Path, data: bytes | bytearray) -> None:
    """Replace a file by new content so that a crash leaves the old or the new, never a part.

    Args:
        path: The file; its folder exists.
        data: The new content.
    Raises:
        CheckpointError: If it cannot be written, or is no regular file; the old content is then
            intact.
    """
    try:
        write_whole(path, data)
    except OSError as error:
        raise write_error(path, error) from error


def write_error(path: Path, error: OSError) -> CheckpointError:
    """Say in one line why a path cannot be written and what to do.

    Args:
        path: What was being written.
        error: What the operating system said.
    Returns:
        The error to raise.
    """
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    remedy = "free disk space" if full else "choose a folder that can be written"
    remedy = "move it away" if isinstance(error, Irregular) else remedy
    return CheckpointError(f"cannot write {path}: {error.strerror or error}; {remedy}")


def _require_string_keys(value: Any, where: str) -> None:
    """Refuse keys that JSON would turn into strings without a word."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            if not isinstance(key, str):
                raise CheckpointError(f"{where} has the key {key!r}; use strings, or flatten()")
            _require_string_keys(child, f"{where}/{key}")
    elif isinstance(value, (list, tuple)):
        for child in value:
            _require_string_keys(child, where)


def _serialize(path: Path, tensors: Mapping[str, Tensor], header: dict[str, Any]) -> bytearray:
    import torch
    from safetensors.torch import save

    try:
        # safetensors refuses views and shared memory, hence the copies.
        copies = {
            name: tensor.detach().to("cpu").clone(memory_format=torch.contiguous_format)
            for name, tensor in tensors.items()
        }
        text = json.dumps(header, separators=(",", ":"))
        data = bytearray(save(copies, {"metarl": text}))
    except Exception as error:  # safetensors has no common base for its errors
        raise CheckpointError(f"cannot store this in {path}: {error}") from error
    if not data.startswith(_START, 8) or "__metadata__" in tensors:
        raise CheckpointError(f"cannot store this in {path}: a tensor is named '__metadata__'")
    return data


def _digest(data: bytes | bytearray) -> bytes:
    """Hash a whole file, with zeros where the digest itself stands."""
    view = memoryview(data)
    digest = hashlib.sha256(view[: _DIGEST.start])
    digest.update(_BLANK.encode())
    digest.update(view[_DIGEST.stop :])
    return digest.hexdigest().encode()


def _read(path: Path) -> bytes:
    try:
        with open_file(path) as file:
            start = file.read(_DIGEST.stop)
            _require_start(path, start)  # before the rest of what may be a film is read
            return start + read_rest(path, file)
    except FileNotFoundError as error:
        found = sorted(file.name for file in path.parent.glob(f"*{SUFFIX}"))
        names = ", ".join(found) or "none"
        raise CheckpointError(
            f"no checkpoint {path}; checkpoints in that folder: {names}"
        ) from error
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error


def _require_start(path: Path, start: bytes) -> None:
    if not start.startswith(_START, 8):
        raise DamagedError(
            f"{path} is damaged or no checkpoint of metarl (nothing in it was run); "
            "use another checkpoint"
        )


def _verify(path: Path, data: bytes) -> None:
    if data[_DIGEST] != _digest(data):
        raise DamagedError(
            f"{path} is damaged: its {len(data)} bytes do not match its checksum; "
            "use an earlier checkpoint"
        )


def _require_known_format(path: Path, header: Mapping[str, Any]) -> None:
    if header["format"] != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} is in format {header['format']}, written by metarl-sim {header['metarl']}; "
            f"this release ({release()}) reads format {FORMAT_VERSION}: "
            f"pip install 'metarl-sim=={header['metarl']}'"
        )
