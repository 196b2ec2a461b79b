"""Checkpoints that a benchmark's file names: looked at, then copied into its folder, which stands alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

from metarl.benchmark.cells import KEPT
from metarl.errors import CheckpointError, ConfigError
from metarl.matrix.cells import Given
from metarl.matrix.given import digest_of, given_name
from metarl.runs.checkpoint import Checkpoint, save_checkpoint
from metarl.runs.config import load_config, read_json
from metarl.runs.run import write_json
from metarl.runs.shipped import find_checkpoint

GIVEN_FILE = "given.json"


@dataclasses.dataclass(frozen=True)
class Found:
    """What a file names, and where it is.

    Args:
        given: What cells call it.
        checkpoint: What it holds; None: it is in the benchmark's folder already.
    """

    given: Given
    checkpoint: Checkpoint | None


def look_up(
    named: Iterable[tuple[str, str]], place: Path, folder: Path
) -> dict[tuple[str, str], Found]:
    """Read what a file names; what is gone since it was copied is taken from the copy.

    Args:
        named: Family and name, as `metarl.benchmark.design.Benchmark.checkpoints` lists them.
        place: The folder of the file, from which relative paths lead.
        folder: The benchmark's.
    Raises:
        CheckpointError: If one is not there, or cannot be read.
        ConfigError: If one holds no policy.
    """
    from metarl.sources import read_source

    known, found = read_given(folder), dict[tuple[str, str], Found]()
    taken = dict[str, str]()  # names -> digests
    for family, name in named:
        copied = known.get((family, name))
        path = place / name
        try:
            path = path if path.exists() else find_checkpoint(Path(name), family)
        except CheckpointError:
            if copied is None or not (folder / copied.file).exists():
                raise
            found[family, name] = Found(copied, None)
            taken[copied.name] = copied.digest
            continue
        checkpoint = read_source(path)
        tensors = {n: t for n, t in checkpoint.tensors.items() if n.startswith(KEPT)}
        if not any(n.startswith("policy.") for n in tensors):
            raise ConfigError(
                f"{path} holds no policy to start from; expected a policy's checkpoint"
            )
        given = Given(name=given_name(path), digest=digest_of(tensors))
        if taken.setdefault(given.name, given.digest) != given.digest:
            given = dataclasses.replace(given, name=f"{given.name}-{given.digest[:6]}")
        found[family, name] = Found(given, Checkpoint(tensors, checkpoint.meta))
    return found


def keep_given(found: Mapping[tuple[str, str], Found], folder: Path) -> None:
    """Copy them into the benchmark's folder, and note what they are called there beside what is noted.

    Raises:
        CheckpointError: If they cannot be written.
    """
    for one in found.values():
        if one.checkpoint is not None and not (folder / one.given.file).exists():
            meta = {name: said for name, said in one.checkpoint.meta.items() if name != "state"}
            save_checkpoint(folder / one.given.file, one.checkpoint.tensors, meta)
    said = dict[str, dict[str, object]]()
    noted = {**read_given(folder), **{key: one.given for key, one in found.items()}}
    for (family, name), given in noted.items():
        said.setdefault(family, {})[name] = dataclasses.asdict(given)
    write_json(folder / GIVEN_FILE, said)


def read_given(folder: Path) -> dict[tuple[str, str], Given]:
    """Read what `keep_given` noted, by family and name.

    Raises:
        CheckpointError: If it is damaged.
    """
    path = folder / GIVEN_FILE
    if not path.exists():
        return {}
    try:
        return {
            (family, name): load_config(dict(saved), Given)
            for family, names in read_json(path).items()
            for name, saved in names.items()
        }
    except (ConfigError, AttributeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
