"""`metarl transfer-matrix`: names are checked before anything slow is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metarl.commands.matrices import (
    require_families,
    run_group,
    settings_of,
    write_and_tell,
)
from metarl.commands.workers import workers_of
from metarl.errors import ConfigError
from metarl.names import full_name, split_name
from metarl.registry import robot_class
from metarl.runs.shipped import find_checkpoint


def transfer_matrix(
    families: Sequence[str],
    *,
    robots: Sequence[str],
    sources: Sequence[Path],
    strategies: Sequence[str],
    explorations: Sequence[Any],
    seeds: int,
    iterations: int,
    source_iterations: int,
    adapt: int,
    set: tuple[str, ...],
    jobs: int | None,
    ray: str | None,
    out: Path,
    again: bool,
    only_report: bool,
) -> int:
    """Train every source to every target, and say where it helps and where it harms.

    Returns:
        The exit status: 1 if cells failed.
    Raises:
        MetaRLError: If a name is unknown, a value out of range, or the folder cannot be used.
    """
    if only_report:
        if families:
            raise ConfigError("--only-report takes no FAMILY: the folder says which they are")
        write_and_tell(out, anew=True)
        return 0
    names = with_robots(families, robots)
    if not names:
        raise ConfigError("metarl transfer-matrix lacks FAMILY; see metarl transfer-matrix --help")
    require_families(names)
    settings = settings_of(set)
    checkpoints = [find_checkpoint(path, names[0]) for path in sources]
    return run_group(
        "matrix", names, names, out, checkpoints=checkpoints, strategies=strategies,
        explorations=explorations, seeds=seeds, iterations=iterations,
        source_iterations=source_iterations, settings=settings, adapt=adapt, workers=workers_of(ray, jobs), again=again,
    )  # fmt: skip


def with_robots(families: Sequence[str], robots: Sequence[str]) -> list[str]:
    """Name every family with every robot: ``kitchen/add`` and ``panda`` give
    ``kitchen/add@robot=panda``.

    Raises:
        UnknownNameError: If a robot is unknown.
        ConfigError: If a family names its robot already.
    """
    if not robots:
        return list(families)
    for robot in robots:
        robot_class(robot)
    found = []
    for family in families:
        base, options = split_name(family)
        if "robot" in options:
            raise ConfigError(f"{family} names its robot already; leave out --robots, or that")
        found += [full_name(base, {"robot": robot, **options}) for robot in robots]
    return found
