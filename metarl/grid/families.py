"""Whether families are still what a benchmark's finished cells met."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from metarl.errors import ConfigError
from metarl.registry import make_family
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.config import read_json
from metarl.runs.fingerprint import FINGERPRINT, family_differences, fingerprint
from metarl.runs.run import write_json

FAMILIES_FILE = "families.json"
_TOLD = 3  # changes in a line


def require_same_families(names: Sequence[str], folder: Path) -> None:
    """Check that families are what they were when cells of them were run; note those that are new.

    Args:
        names: The families.
        folder: The benchmark's.
    Raises:
        ConfigError: If one has changed; the message says how.
    """
    path = folder / FAMILIES_FILE
    known = read_json(path) if path.exists() else {}
    for name in dict.fromkeys(names):
        family = make_family(name)
        if name not in known:
            known[name] = fingerprint(family)
            continue
        was = Checkpoint({}, {"family": family.id, FINGERPRINT: known[name]})
        if lines := family_differences(was, family):
            raise ConfigError(
                f"{name} has changed since cells of it were run in {folder}:"
                f" {'; '.join(lines[:_TOLD])}; give another --out"
            )
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, known)
