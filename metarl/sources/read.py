"""The one door for what can be started from: metarl's own checkpoints, and policies of others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarl.errors import CheckpointError, ConfigError
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.policies import read_checkpoint
from metarl.runs.reading import open_file
from metarl.runs.several import of_family
from metarl.sources import cleanrl, sb3
from metarl.sources.archive import ZIP, Archive, read_bounded
from metarl.sources.build import to_checkpoint
from metarl.sources.names import Names, parse_names
from metarl.sources.statistics import Statistics, read_statistics
from metarl.sources.tensors import checked, read_state_dict

if TYPE_CHECKING:
    from metarl.family import TaskFamily

_PICKLE = b"\x80"
_OWN = b'{"__metadata__":{"metarl":'
_HEAD = 8 + len(_OWN)


def read_source(
    source: Any,
    *,
    family: TaskFamily[Any] | None = None,
    names: Sequence[str] = (),
    statistics: Path | None = None,
) -> Checkpoint:
    """Read a policy that something can start from.

    Args:
        source: A path: a run folder, a checkpoint of metarl, a zip of Stable-Baselines3 (PPO, A2C,
            SAC, TD3 with `MlpPolicy`), a state_dict of CleanRL or of anyone (with `names`), or a
            safetensors file (with `names`). Or a live model of Stable-Baselines3, whose
            `VecNormalize` comes along. Or a `Checkpoint`, which is given back.
        family: What it will act in: of a checkpoint of several families that one is taken, as
            `metarl.runs.several.of_family` does; None: it is given as it is.
        names: Which tensor is which, as `metarl.sources.names.parse_names` reads it.
        statistics: An ``.npz`` with mean, var, epsilon and clip of the observations.
    Returns:
        A checkpoint. One of others has the block ``observation``, and says in its meta what of the
        file was dropped and what else there is to know.
    Raises:
        CheckpointError: If it cannot be read; nothing of it was run.
        ConfigError: If names or statistics are given where they have no effect.
    """
    found = _read(source, names, statistics)
    return found if family is None else of_family(found, family)


def _read(source: Any, names: Sequence[str], statistics: Path | None) -> Checkpoint:
    said = parse_names(names)
    if isinstance(source, (str, Path)):
        path = Path(source)
        if path.is_dir() or _is_own(path):
            _require_nothing(names, statistics, path)
            return read_checkpoint(path)
        known = None if statistics is None else read_statistics(statistics)
        return _read_others(path, said, known)
    _require_nothing(names, statistics, type(source).__name__)
    return source if isinstance(source, Checkpoint) else sb3.from_model(source)


def _is_own(path: Path) -> bool:
    """Whether a file is a checkpoint of metarl, whole or damaged; a missing one counts, too."""
    try:
        with open_file(path) as file:
            head = file.read(_HEAD)
    except FileNotFoundError:
        return True
    others = head.startswith((ZIP, _PICKLE)) or head[8:9] == b"{"
    return not others or head[8:] == _OWN


def _read_others(path: Path, said: Names | None, statistics: Statistics | None) -> Checkpoint:
    data = read_bounded(path)
    if data.startswith(_PICKLE):
        raise CheckpointError(
            f"{path} is a pickle, and nothing is unpickled here; save its state_dict by"
            " torch.save(model.state_dict(), PATH), or as safetensors"
        )
    if not data.startswith(ZIP):
        return _read_named(_safetensors(data, path), said, statistics, path)
    members = Archive(
        data, str(path), lambda member: True
    ).names  # the reader of each kind knows its own
    if sb3.belongs(members):
        _require_nothing((), None, path, said)
        return sb3.read_zip(data, str(path), statistics)
    if any(member.endswith(".npy") for member in members):
        raise CheckpointError(
            f"{path} holds arrays, no policy; statistics are given by --statistics"
        )
    state = read_state_dict(data, str(path))
    if said is None and cleanrl.belongs(state):
        return to_checkpoint(cleanrl.from_state_dict(state), statistics)
    return _read_named(state, said, statistics, path)


def _read_named(
    tensors: Any, said: Names | None, statistics: Statistics | None, path: Path
) -> Checkpoint:
    if said is None:
        have = ", ".join(list(tensors)[:8])
        raise ConfigError(
            f"{path} holds tensors that nobody has named ({have}); say which is which:"
            f" --names trunk.layers.0.weight={next(iter(tensors))} ..."
        )
    return to_checkpoint(said.find(tensors, str(path)), statistics)


def _safetensors(data: bytes, path: Path) -> dict[str, Any]:
    from safetensors.torch import load

    try:
        found = load(data)
    except Exception as error:  # safetensors has no common base for its errors
        raise CheckpointError(f"{path} is damaged, or no safetensors file: {error}") from error
    return checked(found, str(path))


def _require_nothing(
    names: Sequence[str], statistics: Path | None, source: object, said: Names | None = None
) -> None:
    """Refuse what has no effect.

    Raises:
        ConfigError: If names or statistics are given.
    """
    if names or said is not None:
        raise ConfigError(f"--names has no effect: {source} names its tensors itself; leave it out")
    if statistics is not None:
        raise ConfigError(
            f"--statistics has no effect: {source} is no file of others; leave it out"
        )
