"""Frozen dataclasses that every room shares.

Axis letters: T time, N worlds, K tasks, B episodes a task, D features, A actions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from metarl.errors import ConfigError, ShapeError

Split = Literal["train", "test", "far"]
Act = Callable[[np.ndarray], np.ndarray]  # observations (N, D) -> actions (N, A)
SPLITS: tuple[Split, ...] = ("train", "test", "far")


@dataclasses.dataclass(frozen=True)
class Variation:
    """What one task field varies.

    Args:
        unit: Its unit, for example ``"m"``; ``"1"`` for a pure number.
        low: Lower bound over every split, a number or one per column.
        high: Upper bound, likewise.
        hidden: Whether a policy must infer it.
        doc: One line.
    """

    unit: str
    low: float | tuple[float, ...]
    high: float | tuple[float, ...]
    hidden: bool
    doc: str = ""


def varies(
    unit: str,
    low: float | tuple[float, ...],
    high: float | tuple[float, ...],
    *,
    hidden: bool,
    doc: str = "",
) -> Any:
    """Declare a field of a task dataclass; see `Variation`."""
    return dataclasses.field(metadata={"variation": Variation(unit, low, high, hidden, doc)})


def label(doc: str = "") -> Any:
    """Declare a field that tells tasks apart and is shown to no policy, one integer a row.

    The field ``model`` picks the model of a task; others are for the family to use.
    """
    return dataclasses.field(metadata={"label": doc})


def variations(task_type: type) -> dict[str, Variation]:
    """Read the declared variations of a task dataclass, in order of declaration."""
    fields = dataclasses.fields(task_type)
    missing = [f.name for f in fields if not {"variation", "label"} & f.metadata.keys()]
    if missing:
        raise ConfigError(
            f"{task_type.__name__} declares {', '.join(missing)} without unit, range and"
            " visibility; write: name: np.ndarray = varies(unit, low, high, hidden=...), or"
            " name: np.ndarray = label(doc) for an integer that no policy sees"
        )
    return {f.name: f.metadata["variation"] for f in fields if "variation" in f.metadata}


def num_tasks(task: Any) -> int:
    """Count the rows of a task dataclass."""
    return len(getattr(task, dataclasses.fields(task)[0].name))


def take(task: Any, ids: np.ndarray | slice) -> Any:
    """Select rows of a task dataclass; the answer shares no memory with it."""
    rows = {f.name: np.array(getattr(task, f.name)[ids]) for f in dataclasses.fields(task)}
    return type(task)(**rows)


def put(task: Any, ids: np.ndarray, rows: Any) -> Any:
    """Replace rows of a task dataclass; returns a new one."""
    fields = {}
    for f in dataclasses.fields(task):
        values = np.array(getattr(task, f.name))
        values[ids] = getattr(rows, f.name)
        fields[f.name] = values
    return type(task)(**fields)


def repeat(task: Any, times: int) -> Any:
    """Repeat every row: task k becomes rows k*times ... k*times + times - 1."""
    return take(task, np.repeat(np.arange(num_tasks(task)), times))


def concatenate(tasks: list[Any]) -> Any:
    """Join task dataclasses of one type row by row."""
    if not tasks:
        raise ShapeError("concatenate needs at least one task dataclass, got none")
    names = [f.name for f in dataclasses.fields(tasks[0])]
    return type(tasks[0])(**{n: np.concatenate([getattr(t, n) for t in tasks]) for n in names})


@dataclasses.dataclass(frozen=True)
class Spec:
    """The interface of a family's worlds.

    Args:
        blocks: Width of each observation block, in the order in which they are stacked;
            the last one, ``task``, is the library's.
        action_dim: Number of actions, each in [-1, 1].
        horizon: Control steps in an episode.
        control_dt_s: Control period [s].
        task_fields: Columns of the ``task`` block as (field name, width, hidden).
        columns: Names of the columns of those blocks whose family names them.
    """

    blocks: Mapping[str, int]
    action_dim: int
    horizon: int
    control_dt_s: float
    task_fields: tuple[tuple[str, int, bool], ...]
    columns: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    @property
    def obs_dim(self) -> int:
        """Width of the stacked observation."""
        return sum(self.blocks.values())

    @property
    def task_dim(self) -> int:
        """Width of the ``task`` block, the last columns of an observation."""
        return self.blocks["task"]

    @property
    def hidden(self) -> tuple[bool, ...]:
        """Whether each column of the ``task`` block is hidden."""
        return tuple(hidden for _, width, hidden in self.task_fields for _ in range(width))

    def slice(self, block: str) -> slice:
        """The columns of one block."""
        start = 0
        for name, width in self.blocks.items():
            if name == block:
                return slice(start, start + width)
            start += width
        raise ConfigError(f"unknown block {block!r}; valid: {', '.join(self.blocks)}")


@dataclasses.dataclass(frozen=True)
class Step:
    """What one control step of N worlds gave.

    Args:
        obs: Observations after the step, shape (N, D), float32. Where an episode ended
            this is its final observation: `Worlds` never resets by itself.
        reward: Summed weighted terms, shape (N,), float32.
        terminated: The family said failure, shape (N,), bool.
        truncated: The time limit was reached or the world diverged, shape (N,), bool.
        success: Judged now; it counts at an episode's last step, shape (N,), bool.
        diverged: Physics left the finite numbers in this step, shape (N,), bool.
        terms: Each weighted reward term, shape (N,).
        score: Graded outcome in [0, 1], shape (N,).
    """

    obs: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    success: np.ndarray
    diverged: np.ndarray
    terms: Mapping[str, np.ndarray]
    score: np.ndarray
