"""Which worlds a family has: this is the one place that asks."""

from __future__ import annotations

from typing import Any

from metarl.family import TaskFamily
from metarl.sim.worlds import Worlds
from metarl.types import Split


def kind_of(family: TaskFamily[Any]) -> type[Worlds]:
    """Say of which kind a family's worlds are."""
    from metarl.sim.outside.family import OutsideFamily

    if not isinstance(family, OutsideFamily):
        return Worlds
    from metarl.sim.outside.worlds import OutsideWorlds

    return OutsideWorlds


def make_worlds(
    family: TaskFamily[Any],
    num_worlds: int,
    *,
    seed: int = 0,
    task_visible: bool = False,
    num_threads: int = 0,
    split: Split = "train",
    first_stream: int = 0,
    held_out: bool = False,
    physics: str | None = None,
) -> Worlds:
    """Make N worlds of a family: on MuJoCo, or environments of others.

    Args:
        family: The family.
        num_worlds: N.
        seed: As for `Worlds`, like all others.
    """
    return kind_of(family)(
        family, num_worlds, seed=seed, task_visible=task_visible, num_threads=num_threads,
        split=split, first_stream=first_stream, held_out=held_out, physics=physics,
    )  # fmt: skip
