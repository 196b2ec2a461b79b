"""`metarl compare`: sources and strategies on one target, on the same budget."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metarl.commands.matrices import require_families, run_group, settings_of
from metarl.commands.policies import require_source
from metarl.commands.workers import workers_of
from metarl.errors import UnknownNameError
from metarl.names import slug
from metarl.registry import family_class
from metarl.runs.shipped import find_checkpoint


def compare(
    sources: Sequence[Path],
    *,
    family: str,
    strategies: Sequence[str],
    explorations: Sequence[Any],
    seeds: int,
    iterations: int,
    source_iterations: int,
    map: tuple[str, ...],
    set: tuple[str, ...],
    jobs: int | None,
    out: Path | None,
    again: bool,
) -> int:
    """Learn one family from several sources by several strategies, and say which is best.

    Returns:
        The exit status: 1 if cells failed.
    Raises:
        MetaRLError: If a name is unknown, a value out of range, or the folder cannot be used.
    """
    require_families([family])
    settings = settings_of(set)
    trained = [str(source) for source in sources if _is_family(source)]
    require_families(trained)
    checkpoints = [find_checkpoint(s, family) for s in sources if not _is_family(s)]
    require_source(bool(checkpoints), "families alone", map, (), None)
    return run_group(
        "comparison", trained, [family], out or Path("comparisons") / slug(family),
        checkpoints=checkpoints, mapping=map, strategies=strategies, explorations=explorations,
        seeds=seeds, iterations=iterations, source_iterations=source_iterations,
        settings=settings, workers=workers_of(None, jobs), again=again,
    )  # fmt: skip


def _is_family(source: Path) -> bool:
    """Whether a word names a family; a file of that name goes first."""
    if source.exists():
        return False
    try:
        family_class(str(source))
    except UnknownNameError:
        return False
    return True
