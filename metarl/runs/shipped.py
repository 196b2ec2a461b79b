"""Checkpoints that a family's package brings along."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

from metarl.errors import CheckpointError
from metarl.names import split_name
from metarl.registry import family_class

# Methods whose policies see the task: what they reach is what can be reached.
_SEEING = ("ppo", "dagger")


REFERENCE = "reference"  # the name of a family's own, in place of a path


def find_checkpoint(given: Path, family: str) -> Path:
    """Find what a user names: a file, a run folder, or what the family's package ships.

    Args:
        given: A path; or `REFERENCE`, or the name of a shipped checkpoint, such as ``season-pearl``.
        family: Whose package ships it.
    Raises:
        CheckpointError: If there is none; lists what is shipped.
    """
    if given.exists():
        return given
    package, there = _of_package(family)
    if str(given) == REFERENCE:
        return reference(family)
    if str(given) not in there:
        ships = (
            f", or what {package} ships: {REFERENCE}, {', '.join(sorted(there))}" if there else ""
        )
        raise CheckpointError(f"no checkpoint {given}; expected a file or a run folder{ships}")
    return there[str(given)]


def shipped(family: str, name: str) -> Path:
    """Find a checkpoint that the package of a family ships.

    Args:
        family: Name of the family.
        name: Name of the file without its ending.
    Raises:
        CheckpointError: If the package ships none of that name; lists those it has.
    """
    package, there = _of_package(family)
    if name not in there:
        have = ", ".join(sorted(there)) or "none"
        raise CheckpointError(f"package {package} ships no checkpoint {name!r}; it has: {have}")
    return there[name]


def shipped_names(family: str) -> list[str]:
    """Name what the package of a family ships for it: files that begin with the family's own name."""
    short = split_name(family)[0].rpartition("/")[2]
    return sorted(name for name in _of_package(family)[1] if name.startswith(f"{short}-"))


def reference(family: str) -> Path:
    """Find a family's trained reference: a policy that sees the task, shipped with the family.

    Raises:
        CheckpointError: If there is none.
    """
    package, there = _of_package(family)
    short = split_name(family)[0].rpartition("/")[2]
    for method in _SEEING:
        if path := there.get(f"{short}-{method}"):
            return path
    raise CheckpointError(f"package {package} ships no trained reference for {family}")


def _of_package(family: str) -> tuple[str, dict[str, Path]]:
    """The package of a family, and its checkpoints by name."""
    package = family_class(family).__module__.partition(".")[0]
    if not hasattr(sys.modules[package], "__path__"):  # a single file ships nothing
        return package, {}
    folder = Path(str(files(package))) / "checkpoints"
    return package, {path.stem: path for path in folder.glob("*.safetensors")}
