"""Sources that are there already: copied into a benchmark's folder, which then stands alone."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from metarl.errors import ConfigError
from metarl.matrix.cells import SOURCES, Given, keep_policy

if TYPE_CHECKING:
    from torch import Tensor


def take_sources(paths: Sequence[Path], folder: Path, mapping: Sequence[str] = ()) -> list[Given]:
    """Copy policies into a benchmark's folder.

    Args:
        paths: Checkpoints, run folders, or policies of others that `metarl.sources.read_source` takes
            without a word more.
        folder: The benchmark's.
        mapping: Which columns and actions of each go where, as for `metarl.sources.carry`.
    Returns:
        What is called by the file's name each, with a piece of its digest where two are alike.
    Raises:
        CheckpointError: If one cannot be read, or the copy not be written.
        ConfigError: If one holds no policy, or two are the same.
    """
    from metarl.runs.trained import part
    from metarl.sources import read_source

    found: dict[str, Given] = {}
    for path in paths:
        checkpoint = read_source(path)
        policy = part("policy", checkpoint.tensors)
        if not policy:
            raise ConfigError(
                f"{path} holds no policy to start from; expected a policy's checkpoint"
            )
        digest = digest_of(policy)
        given = Given(name=given_name(path), digest=digest, mapping=tuple(mapping))
        if given.name in found:
            given = replace(given, name=f"{given.name}-{digest[:6]}")
        if digest in {other.digest for other in found.values()}:
            raise ConfigError(f"{path} is a policy that is among the sources already")
        found[given.name] = given
        (folder / SOURCES).mkdir(parents=True, exist_ok=True)
        keep_policy(checkpoint.tensors, checkpoint.meta, folder / given.file)
    return list(found.values())


def given_name(path: Path) -> str:
    """What a policy is called after the file or folder in which it is."""
    name = path.name if path.is_dir() else path.stem
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "source"


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """Hash names, types, shapes and bytes; whoever wrote them, and when, does not matter."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
