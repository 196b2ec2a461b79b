"""Observation blocks: stacked by the library, the task's own block last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from metarl.errors import FamilyError
from metarl.family import TaskFamily, broken
from metarl.sim.scene import Scene
from metarl.types import Spec, num_tasks, variations

OBS_BOUND = 10.0  # observations are clipped to [-OBS_BOUND, OBS_BOUND]
_NUMBERS = "fiub"  # kinds of dtypes that are numbers
_LOW, _HIGH = np.array([-OBS_BOUND]), np.array([OBS_BOUND])  # arrays: cheaper than np.clip


def make_spec(family: TaskFamily[Any], scene: Scene, task: Any) -> Spec:
    """Derive a family's interface from its first observation.

    Raises:
        FamilyError: If `observe` breaks the contract; names the family and the method.
    """
    blocks = family.observe(scene, task)
    if not isinstance(blocks, Mapping):
        raise broken(family, "observe", f"gave {type(blocks).__name__}; expected a mapping")
    if "task" in blocks:
        raise broken(family, "observe", "may not name a block 'task'; the library owns it")
    widths = {
        name: _width(family, name, values, scene.num_worlds) for name, values in blocks.items()
    }
    action_dim = family.action_dim(scene.num_actuators)
    if not isinstance(action_dim, int | np.integer) or action_dim < 1:
        raise broken(
            family, "action_dim",
            f"gave {action_dim!r} for a model with {scene.num_actuators} actuators; a policy needs one"
            " action at least: add an <actuator> to the MJCF, or let action_dim() say how many"
            " numbers act() takes",
        )  # fmt: skip
    fields = [
        (name, _columns(task, name), v.hidden) for name, v in variations(family.task_type).items()
    ]
    return Spec(
        blocks={**widths, "task": sum(width for _, width, _ in fields)},
        action_dim=int(action_dim),
        horizon=family.horizon,
        control_dt_s=family.control_dt_s,
        task_fields=tuple(fields),
        columns=_names(family, widths),
    )


def _names(family: TaskFamily[Any], widths: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """The names of blocks' columns, as the family gives them."""
    given = family.columns()
    if not isinstance(given, Mapping):
        raise broken(family, "columns", f"gave {type(given).__name__}; expected a mapping")
    found = dict[str, tuple[str, ...]]()
    for block, names in given.items():
        if block not in widths:
            raise broken(family, "columns", f"names block {block!r}; observe() gives {[*widths]}")
        texts = isinstance(names, (tuple, list)) and all(isinstance(x, str) for x in names)
        if not texts or len({*names}) != len(names) or len(names) != widths[block]:
            raise broken(
                family, "columns",
                f"gave {names!r} for block {block!r}; expected {widths[block]} different texts",
            )  # fmt: skip
        found[block] = tuple(names)
    return found


def _columns(task: Any, name: str) -> int:
    values = np.asarray(getattr(task, name))
    return 1 if values.ndim == 1 else values.shape[1]


def _width(family: TaskFamily[Any], name: object, values: Any, num_worlds: int) -> int:
    expected = f"expected numbers of shape ({num_worlds}, D)"
    if not isinstance(name, str):
        raise broken(family, "observe", f"gave a block named {name!r}; expected a text")
    if not isinstance(values, np.ndarray) or values.dtype.kind not in _NUMBERS:
        said = getattr(values, "dtype", type(values).__name__)
        raise broken(family, "observe", f"gave {said} as block {name!r}; {expected}")
    if values.ndim != 2 or values.shape[0] != num_worlds:
        raise broken(family, "observe", f"gave block {name!r} of shape {values.shape}; {expected}")
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
            parts.append(scaled.clip(-OBS_BOUND, OBS_BOUND) * (task_visible or not hidden))
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
        n = len(obs) if isinstance(rows, slice) else len(rows)
        for name, values in self.clipped(blocks, family, n).items():
            obs[rows, self.slices[name]] = values

    def clipped(
        self, blocks: Mapping[str, np.ndarray], family: TaskFamily[Any], n: int = 1
    ) -> dict[str, np.ndarray]:
        """A family's blocks within the declared bounds, (n, D_i) each.

        Raises:
            FamilyError: If they are not those of the first observation, or as wide.
        """
        if not isinstance(blocks, Mapping) or blocks.keys() != self._widths.keys():
            raise self._changed(blocks, family)
        for name, values in blocks.items():
            if (
                not isinstance(values, np.ndarray)
                or values.shape != (n, self._widths[name])
                or values.dtype.kind not in _NUMBERS
            ):
                raise self._changed(blocks, family)
        return {
            name: np.maximum(np.minimum(values, _HIGH), _LOW) for name, values in blocks.items()
        }

    def _changed(self, blocks: Any, family: TaskFamily[Any]) -> FamilyError:
        if not isinstance(blocks, Mapping):
            return broken(family, "observe", f"gave {type(blocks).__name__}; expected a mapping")
        given = {
            name: f"{x.dtype} {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__
            for name, x in blocks.items()
        }
        return broken(
            family, "observe", f"gave blocks of widths {given}; at first it gave {self._widths}"
        )

    def require_numbers(self, obs: np.ndarray, family: TaskFamily[Any]) -> None:
        """Check stacked observations, (N, D).

        Raises:
            FamilyError: If one is NaN; names the blocks and the worlds.
        """
        nan = np.isnan(obs)
        if np.count_nonzero(nan):
            names = [n for n, columns in self.slices.items() if nan[:, columns].any()]
            bad = np.flatnonzero(nan.any(axis=1)).tolist()
            said = f"gave NaN in block {', '.join(map(repr, names))} of worlds {bad[:10]}"
            raise broken(family, "observe", said)
