"""Observation blocks: stacked by the library, the task's own block last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from metarl.errors import FamilyError
from metarl.family import TaskFamily
from metarl.sim.scene import Scene
from metarl.types import Spec, num_tasks, variations

OBS_BOUND = 10.0  # observations are clipped to [-OBS_BOUND, OBS_BOUND]
_LOW, _HIGH = np.array([-OBS_BOUND]), np.array([OBS_BOUND])  # arrays: cheaper than np.clip


def make_spec(family: TaskFamily[Any], scene: Scene, task: Any) -> Spec:
    """Derive a family's interface from its first observation.

    Raises:
        FamilyError: If `observe` breaks the contract; names the family and the method.
    """
    blocks = family.observe(scene, task)
    if "task" in blocks:
        raise FamilyError(
            f"{family.id}: observe() may not name a block 'task'; the library owns it"
        )
    widths = {
        name: _width(family, name, values, scene.num_worlds) for name, values in blocks.items()
    }
    columns = [
        (name, _columns(task, name), v.hidden) for name, v in variations(family.task_type).items()
    ]
    return Spec(
        blocks={**widths, "task": sum(width for _, width, _ in columns)},
        action_dim=family.action_dim(scene.model.nu),
        horizon=family.horizon,
        control_dt_s=family.control_dt_s,
        task_fields=tuple(columns),
    )


def _columns(task: Any, name: str) -> int:
    values = np.asarray(getattr(task, name))
    return 1 if values.ndim == 1 else values.shape[1]


def _width(family: TaskFamily[Any], name: str, values: np.ndarray, num_worlds: int) -> int:
    values = np.asarray(values)
    if values.ndim != 2 or values.shape[0] != num_worlds:
        raise FamilyError(
            f"{family.id}: observe() block {name!r} must have shape ({num_worlds}, D), got"
            f" {values.shape}"
        )
    return values.shape[1]


class ObservationStack:
    """Writes named blocks and the task block into one float32 array.

    Args:
        spec: The family's interface.
        task_type: The task dataclass.
    """

    def __init__(self, spec: Spec, task_type: type):
        self.spec = spec
        self.variations = variations(task_type)
        self.slices = {name: spec.slice(name) for name in spec.blocks}
        self._widths = {name: width for name, width in spec.blocks.items() if name != "task"}
        self._blank = np.zeros((0, spec.obs_dim), np.float32)

    def show(self, task: Any, task_visible: bool) -> None:
        """Fix the task block: fields scaled to [-1, 1], hidden ones zero unless visible."""
        parts = []
        for (name, width, hidden), v in zip(self.spec.task_fields, self.variations.values()):
            values = np.asarray(getattr(task, name), float).reshape(-1, width)
            low, high = np.asarray(v.low, float), np.asarray(v.high, float)
            scaled = 2.0 * (values - low) / np.where(high > low, high - low, 1.0) - 1.0
            parts.append(scaled * (task_visible or not hidden))
        self._blank = np.zeros((num_tasks(task), self.spec.obs_dim), np.float32)
        self._blank[:, self.slices["task"]] = np.concatenate(parts, axis=1)

    def blank(self) -> np.ndarray:
        """A new (N, D) float32 array with the task block filled in."""
        return self._blank.copy()

    def write(
        self,
        obs: np.ndarray,
        rows: np.ndarray | slice,
        blocks: Mapping[str, np.ndarray],
        family: TaskFamily[Any],
    ) -> None:
        """Write a family's blocks into their columns, clipped to the declared bounds."""
        for name, values in self.clipped(blocks, family).items():
            obs[rows, self.slices[name]] = values

    def clipped(
        self, blocks: Mapping[str, np.ndarray], family: TaskFamily[Any]
    ) -> dict[str, np.ndarray]:
        """A family's blocks within the declared bounds, (n, D_i) each.

        Raises:
            FamilyError: If they are not those of the first observation, or as wide.
        """
        if blocks.keys() != self._widths.keys():
            raise self._changed(blocks, family)
        for name, values in blocks.items():
            if np.shape(values)[-1] != self._widths[name]:
                raise self._changed(blocks, family)
        return {
            name: np.maximum(np.minimum(values, _HIGH), _LOW) for name, values in blocks.items()
        }

    def _changed(self, blocks: Mapping[str, np.ndarray], family: TaskFamily[Any]) -> FamilyError:
        widths = {name: np.shape(values)[-1] for name, values in blocks.items()}
        return FamilyError(
            f"{family.id}: observe() gave blocks of widths {widths}; at first it gave"
            f" {dict(self.spec.blocks)}"
        )
