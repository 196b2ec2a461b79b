"""Which numbers of an observation a picture shows, and which are told beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from metarl.errors import ConfigError, UnknownNameError
from metarl.family import TaskFamily
from metarl.types import Spec

TASK = "task"


class Columns(NamedTuple):
    """An observation's columns.

    Args:
        shown: Those that a picture is to show, shape (O,), int64.
        beside: The others, shape (B,), int64.
        stays: Which of those that are shown stay as they are for an episode, shape (O,), bool: the
            task's.
        names: Of those that are shown.
    """

    shown: np.ndarray
    beside: np.ndarray
    stays: np.ndarray
    names: tuple[str, ...]


def part_columns(family: TaskFamily[Any], spec: Spec, asks: Sequence[str] = ()) -> Columns:
    """Part an observation's columns.

    Told are the family's `beside_pictures` (the robot knows where it is) and what of a task is hidden:
    how much salt is wanted, no picture shows.

    Args:
        family: The family.
        spec: Of its worlds.
        asks: Hidden fields that pictures show, too.
    Raises:
        UnknownNameError: If the task has no such field.
        ConfigError: If a field is not hidden, and so asked for in any case, or nothing is shown.
    """
    hidden = {name: secret for name, _, secret in spec.task_fields}
    for name in asks:
        if name not in hidden:
            raise UnknownNameError("task field", name, list(hidden))
        if not hidden[name]:
            raise ConfigError(
                f"asks has {name!r}, which is not hidden: it is asked for in any case; leave it out"
            )
    shown, names = list[int](), list[str]()
    for block, width in spec.blocks.items():
        first = spec.slice(block).start
        if block == TASK:
            for name, count, secret in spec.task_fields:
                if not secret or name in asks:
                    shown += range(first, first + count)
                    names += _named(name, count)
                first += count
        elif block not in family.beside_pictures:
            shown += range(first, first + width)
            names += spec.columns.get(block) or _named(block, width)
    if not shown:
        raise ConfigError(
            f"{family.id} shows nothing that its policies are not told beside pictures"
        )
    beside = np.setdiff1d(np.arange(spec.obs_dim), shown)
    where = np.array(shown, np.int64)
    return Columns(where, beside, where >= spec.slice(TASK).start, tuple(names))


def _named(name: str, width: int) -> list[str]:
    return [name] if width == 1 else [f"{name} {i + 1}" for i in range(width)]
