"""What an adaptation leaves in its folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metarl.adapt.adaptation import State
from metarl.adapt.comparison import Comparison
from metarl.adapt.protocol import Protocol
from metarl.errors import CheckpointError, ConfigError
from metarl.runs.checkpoint import save_checkpoint, write_error
from metarl.runs.config import read_json
from metarl.runs.run import ADAPTATION_FILE, write_json

STATES_FILE = "states.safetensors"


def new_folder(given: Path | None, name: str) -> Path:
    """Make the folder that an adaptation will fill, before any work is done.

    Args:
        given: Where the user wants it, an empty folder or none yet; None: a new one in
            ``adaptations/``.
        name: Of the new one; a number is added where it is taken.
    Raises:
        ConfigError: If the given one holds anything, or is no folder.
        CheckpointError: If it cannot be made.
    """
    if given is None:
        tries = (Path("adaptations") / f"{name}{f'-{n}' * (n > 1)}" for n in range(1, 10_000))
        folder = next(path for path in tries if not path.exists())
    else:
        folder = given
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigError(f"{folder} holds something already; give another --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    return folder


def write_record(
    folder: Path,
    comparison: Comparison,
    states: Sequence[State],
    *,
    protocol: Protocol,
    settings: Any,
    about: Mapping[str, Any],
) -> None:
    """Write the result as JSON, and the states after each update as tensors.

    Args:
        folder: Where to.
        comparison: What was measured.
        states: Of the method after each update, the first before any.
        protocol: How it was measured.
        settings: The method's, or None.
        about: What else is worth keeping: the checkpoint, the command, the versions.
    Raises:
        CheckpointError: If it cannot be written.
    """
    said = {
        **about,
        "protocol": dataclasses.asdict(protocol),
        "settings": {} if settings is None else dataclasses.asdict(settings),
        **comparison.to_json(),
    }
    write_json(folder / ADAPTATION_FILE, said)
    tensors = {f"{u}.{name}": t for u, state in enumerate(states) for name, t in state.items()}
    meta = {"method": comparison.result.method, "family": comparison.result.family}
    save_checkpoint(folder / STATES_FILE, tensors, {**meta, "updates": len(states) - 1})


def read_record(folder: Path) -> tuple[Comparison, dict[str, Any]]:
    """Read what an adaptation's folder holds: what was measured, and all that was said.

    Raises:
        CheckpointError: If it is missing or damaged.
    """
    saved = read_json(folder / ADAPTATION_FILE)
    try:
        return Comparison.from_json(saved), saved
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{folder / ADAPTATION_FILE} is damaged: {error}") from error
