"""Who runs the cells of a benchmark: processes here, or Ray."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metarl.grid.workers import Workers


def workers_of(ray: str | None, jobs: int | None) -> Workers:
    """Make them; nothing is started yet.

    Args:
        ray: Where Ray is, as ``--ray`` takes it; None: without Ray.
        jobs: How many cells at once; None: one a core.
    Raises:
        MissingDependencyError: If Ray is asked for and not installed.
        ConfigError: If the address is none.
    """
    if ray is None:
        from metarl.grid.processes import LocalProcesses

        return LocalProcesses(jobs)
    from metarl.grid.on_ray import RayWorkers

    return RayWorkers(ray, jobs)
