"""What is given from outside, checked before any world moves: actions, worlds' ids, tasks."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from metarl.errors import CheckpointError, ShapeError, TaskError
from metarl.family import TaskFamily, broken
from metarl.types import Split, Variation, variations

_SLACK = 1e-6  # by how much of its range a field may leave it: single precision rounds


def as_array(values: Any, what: str) -> np.ndarray:
    """Turn what a user gives into an array.

    Args:
        values: Anything.
        what: What it should be, for the message.
    Raises:
        ShapeError: If that cannot be done: rows of different lengths, a tensor on a GPU.
    """
    try:
        return np.asarray(values)
    except Exception as error:  # whatever somebody's __array__ raises
        said = " ".join(str(error).split())
        raise ShapeError(f"{what}, got {type(values).__name__} that is no array: {said}") from error


def checked_saved(saved: Any, now: np.ndarray, name: str) -> np.ndarray:
    """Check an array of a saved state; nothing is stretched to fit.

    Args:
        saved: What the state holds.
        now: What it replaces.
        name: What it is.
    Returns:
        A copy.
    Raises:
        CheckpointError: If its shape or type is another.
    """
    array = np.array(saved)
    if array.shape != now.shape or array.dtype != now.dtype:
        raise CheckpointError(
            f"{name} of this state has shape {array.shape} and type {array.dtype};"
            f" expected {now.shape} and {now.dtype}"
        )
    return array


def checked_action(action: Any, shape: tuple[int, int]) -> np.ndarray:
    """Check actions, (N, A).

    Raises:
        ShapeError: If they are no finite numbers of the shape; names the worlds.
    """
    expected = f"actions must be numbers of shape {shape}"
    action = as_array(action, expected)
    if action.dtype.kind not in "fiu":
        raise ShapeError(f"{expected}, got dtype {action.dtype}")
    if action.shape != shape:
        raise ShapeError(f"actions must have shape {shape}, got {action.shape}")
    if not np.isfinite(action).all():
        bad = np.flatnonzero(~np.isfinite(action).all(axis=1))
        raise ShapeError(f"actions are not finite in worlds {bad.tolist()[:10]}; no world moved")
    return action


def checked_ids(ids: Any, num_worlds: int) -> np.ndarray:
    """Check which worlds are meant: sorted integers, (n,), or a mask, (num_worlds,).

    Raises:
        ShapeError: If they are neither, or there is no such world.
    """
    expected = f"world ids must be integers of shape (n,) or a mask of shape ({num_worlds},)"
    ids = as_array(ids, expected)
    if ids.dtype == bool and ids.shape == (num_worlds,):
        ids = np.flatnonzero(ids)
    if ids.size == 0:
        ids = np.zeros(0, int)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise ShapeError(f"{expected}, got {ids.dtype} {ids.shape}")
    if ids.size and (ids.min() < 0 or ids.max() >= num_worlds or (np.diff(ids) <= 0).any()):
        raise ShapeError(f"world ids must be sorted, unique and in [0, {num_worlds}), got {ids}")
    return ids


class _Field:
    """What the values of a task's field must be.

    Args:
        name: The field.
        declared: Its unit and range; None for a label.
    """

    def __init__(self, name: str, declared: Variation | None):
        self.name, self.declared = name, declared
        self.kinds, self.wanted = ("iub", "integers") if declared is None else ("fiub", "numbers")
        self.trailing: tuple[int, ...] | None = None  # shape of a row, once it is known
        self.dtype: np.dtype[Any] | None = None  # likewise
        if declared is not None:
            low, high = np.asarray(declared.low, float), np.asarray(declared.high, float)
            slack = _SLACK * np.maximum(np.maximum(abs(low), abs(high)), 1e-3)
            self.low, self.high = low - slack, high + slack
            bounds = np.broadcast_shapes(low.shape, high.shape)
            self.trailing = bounds or None

    def fault(self, values: np.ndarray, n: int) -> str:
        """Say what is wrong with some values; empty if nothing is."""
        if values.dtype.kind not in self.kinds:
            return f"{self.name} has dtype {values.dtype}; expected {self.wanted}"
        if values.ndim and len(values) != n:
            rows = "one row" if n == 1 else f"{n} rows"
            return f"{self.name} has {len(values)} rows; expected {rows}"
        row = values.shape[1:2] if self.trailing is None else self.trailing
        if values.shape != (n, *row):
            return f"{self.name} has shape {values.shape}; expected {(n, *row)}"
        if self.declared is None:
            return ""
        good = (values >= self.low) & (values <= self.high)
        if good.all():
            return ""
        at = np.argwhere(~good)[0].tolist()
        span = f"[{self.declared.low}, {self.declared.high}] {self.declared.unit}"
        return f"{self.name}{at} is {values[tuple(at)]:g}; expected numbers in {span}"


class TaskCheck:
    """Tells tasks that a family can be given from others.

    Args:
        family: The family.
        models: The names of its models.
    """

    def __init__(self, family: TaskFamily[Any], models: list[str]):
        self.family, self.models = family, models
        declared = variations(family.task_type)
        self._fields = [
            _Field(f.name, declared.get(f.name)) for f in dataclasses.fields(family.task_type)
        ]

    def sampled(self, task: Any, n: int, split: Split) -> Any:
        """Check tasks that the family drew; the first ones fix the width of each field.

        Raises:
            FamilyError: If they are none of its own, or leave what the family declared.
        """
        task, fault = self._read(task, n)
        if fault:
            raise broken(self.family, "sample", f"({split}) gave bad tasks: {fault}")
        for field in self._fields:
            values = getattr(task, field.name)
            field.trailing, field.dtype = values.shape[1:], field.dtype or values.dtype
        return task

    def given(self, task: Any, n: int, who: str) -> Any:
        """Check tasks from outside.

        Args:
            task: A task dataclass of the family's.
            n: How many rows it must have.
            who: Which method was given it.
        Returns:
            The same, its fields as arrays.
        Raises:
            TaskError: If it is another type, or a field has another number of rows or columns,
                is not finite or out of its declared range; the message names it.
        """
        task, fault = self._read(task, n)
        if fault:
            raise TaskError(f"{who}: {fault}")
        return task

    def _read(self, task: Any, n: int) -> tuple[Any, str]:
        """The task with arrays as fields, and what is wrong with it."""
        own = self.family.task_type
        if not isinstance(task, own):
            return task, f"the task is a {type(task).__name__}; expected {own.__name__}"
        arrays, same = {}, True
        for field in self._fields:
            given = getattr(task, field.name)
            try:
                values = as_array(given, field.name)
            except ShapeError as error:
                return task, str(error)
            if fault := field.fault(values, n):
                return task, fault
            if field.dtype is not None and field.dtype.kind == "f" != values.dtype.kind:
                values = values.astype(field.dtype)
            arrays[field.name], same = values, same and values is given
        model = arrays.get("model", np.zeros(0, int))
        if model.size and (model.min() < 0 or model.max() >= len(self.models)):
            known = f"models() has {len(self.models)}: {', '.join(self.models)}"
            return task, f"models are {np.unique(model).tolist()}; {known}"
        return (task if same else own(**arrays)), ""
