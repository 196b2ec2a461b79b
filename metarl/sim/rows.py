"""The first rows of a batch, as if they were all of it."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from mujoco.batch import DATA_FIELDS, Batch


class Rows:
    """What of a `mujoco.batch.Batch` its first rows are, with the methods of the same names.

    A batch cannot change its size, and a new one costs as much as a thousand physics steps.
    So a model keeps a batch with rows to spare, and its worlds take the first of them.

    Args:
        whole: The batch.
        num_rows: How many of its rows are meant.
    """

    def __init__(self, whole: Batch, num_rows: int):
        self.whole = whole
        self.nsim = num_rows
        self.state = whole.state[:num_rows]
        self.warning = whole.warning[:num_rows]
        self._ids = np.arange(num_rows, dtype=np.int32)

    def __getattr__(self, name: str) -> np.ndarray:
        if name in DATA_FIELDS:
            return self.bind(name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def bind(self, name: str) -> np.ndarray:
        """A live field of the rows' data, (n, ...)."""
        return self.whole.bind(name)[: self.nsim]

    def expand(self, name: str) -> np.ndarray:
        """A model field with a value per row, (n, ...)."""
        return self.whole.expand(name)[: self.nsim]

    def expanded(self, name: str) -> np.ndarray | None:
        """Likewise, if it has been expanded."""
        found = self.whole.expanded(name)
        return None if found is None else found[: self.nsim]

    def step(self, ids: Any = None, nstep: int = 1, stage: int = 0) -> None:
        """Advance the rows; see `Batch.step`."""
        self.whole.step(self._own(ids), nstep, stage)

    def forward(self, ids: Any = None, stage: int = mujoco.mjtStage.mjSTAGE_ACC.value) -> None:
        """Compute the forward stages; see `Batch.forward`."""
        self.whole.forward(self._own(ids), stage)

    def reset(
        self, ids: Any = None, keyframe: int = -1, stage: int = mujoco.mjtStage.mjSTAGE_ACC.value
    ) -> None:
        """Reset to the model's defaults or a keyframe; see `Batch.reset`."""
        self.whole.reset(self._own(ids), keyframe, stage)

    def set_const(self, ids: Any = None) -> None:
        """Derive constants from the rows' model fields; see `Batch.set_const`."""
        self.whole.set_const(self._own(ids))

    def jac(self, body: Any, point: Any, ids: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Jacobians of points on a body; see `Batch.jac`."""
        return self.whole.jac(body, point, self._own(ids))

    def get_model(self, sim: int) -> mujoco.MjModel:
        """A row's model."""
        return self.whole.get_model(sim)

    def get_data(self, sim: int) -> mujoco.MjData:
        """A row's state."""
        return self.whole.get_data(sim)

    def _own(self, ids: Any) -> Any:
        return self._ids if ids is None else ids
