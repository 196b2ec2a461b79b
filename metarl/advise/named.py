"""Sources as a user names them."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from pathlib import Path

from metarl.errors import ConfigError
from metarl.runs.shipped import find_checkpoint


def find_sources(names: Sequence[Path | str], target: str) -> dict[str, Path]:
    """Find what sources' names stand for, before anything slow starts.

    Args:
        names: Files, run folders, or names of checkpoints that the target's package ships.
        target: The target's name.
    Returns:
        Paths by the names that were given, in their order.
    Raises:
        ConfigError: If there is no source, or one stands there twice.
        CheckpointError: If there is nothing of that name; lists what is shipped.
    """
    if not names:
        raise ConfigError("there is no source; expected at least one checkpoint or run folder")
    found: dict[str, Path] = {}
    for name in map(str, names):
        path = find_checkpoint(Path(name), target)
        other = next((n for n, p in found.items() if p.resolve() == path.resolve()), None)
        if other is not None:
            also = "" if other == name else f", also as {other}"
            raise ConfigError(f"source {name} stands there twice{also}; expected it once")
        found[name] = path
    return found


def require_one(sources: Sized, *readings: object) -> None:
    """Refuse to read several sources in a way that is said of one.

    Raises:
        ConfigError: If a mapping, names or statistics are given, and several sources.
    """
    if len(sources) > 1 and any(readings):
        raise ConfigError(
            f"a mapping, names and statistics are of one source; {len(sources)} are given: ask for"
            " them one by one"
        )
