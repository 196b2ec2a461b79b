"""Statistics of observations, as `VecNormalize` gathers them: from arrays, never from its pickle."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metarl.errors import CheckpointError
from metarl.sources.archive import ZIP, Archive, read_bounded

_NAMES = ("mean", "var", "epsilon", "clip")


@dataclass(frozen=True)
class Statistics:
    """What `VecNormalize` knows of observations.

    Args:
        mean: Shape (D,), float64.
        var: Shape (D,), float64, >= 0.
        epsilon: Added to the variance, > 0.
        clip: Bound of what comes out, > 0.
    Raises:
        CheckpointError: If one is not so.
    """

    mean: np.ndarray
    var: np.ndarray
    epsilon: float
    clip: float

    def __post_init__(self) -> None:
        mean, var = self.mean, self.var
        plain = mean.ndim == 1 and mean.shape == var.shape and mean.size > 0
        if not plain or not np.isfinite([mean, var]).all() or (var < 0.0).any():
            raise CheckpointError(
                f"statistics of observations: mean of shape {mean.shape} and var of shape"
                f" {var.shape}; expected two rows of finite numbers, the variances >= 0"
            )
        if (
            not (math.isfinite(self.epsilon) and math.isfinite(self.clip))
            or min(self.epsilon, self.clip) <= 0
        ):
            raise CheckpointError(
                f"statistics of observations: epsilon {self.epsilon} and clip {self.clip};"
                " expected finite numbers > 0"
            )

    def tensors(self, num_columns: int) -> dict[str, Tensor]:
        """Give what a `metarl.nn.normaliser.Normaliser` holds, by name.

        Raises:
            CheckpointError: If the policy observes another number of columns.
        """
        if len(self.mean) != num_columns:
            raise CheckpointError(
                f"statistics of {len(self.mean)} numbers, and a policy that observes {num_columns}"
            )
        std = np.sqrt(self.var + self.epsilon)
        bound = np.full_like(self.mean, self.clip)
        rows = {"mean": self.mean, "std": std, "bound": bound}
        return {f"normaliser.{name}": torch.from_numpy(row.copy()) for name, row in rows.items()}


def read_statistics(path: Path) -> Statistics:
    """Read an ``.npz`` with the arrays mean and var, (D,), and the numbers epsilon and clip.

    Raises:
        CheckpointError: If it is a pickle (the message has the lines that turn it into an ``.npz``),
            lacks an array, or holds anything else.
    """
    data = read_bounded(path)
    if not data.startswith(ZIP):
        raise CheckpointError(
            f"{path} is no .npz; a pickle is not read here. If you trust it, in Python:\n"
            f"import numpy, pickle; v = pickle.load(open({str(path)!r}, 'rb'))\n"
            f"numpy.savez({str(path.with_suffix('.npz'))!r}, mean=v.obs_rms.mean,"
            " var=v.obs_rms.var, epsilon=v.epsilon, clip=v.clip_obs)"
        )
    valid = {f"{name}.npy" for name in _NAMES}
    archive = Archive(data, str(path), valid.__contains__)
    found = {
        name.removesuffix(".npy"): _array(archive.read(name), f"{path}: {name}")
        for name in archive.names
    }
    if missing := [name for name in _NAMES if name not in found]:
        raise CheckpointError(
            f"{path} lacks {', '.join(missing)}; expected mean, var, epsilon and clip"
        )
    numbers = (_number(found[name], name) for name in _NAMES[2:])
    return Statistics(found["mean"], found["var"], *numbers)


def statistics_of(normalise: Any) -> Statistics | None:
    """Take the statistics of a live `VecNormalize`; None if it leaves observations as they are."""
    if normalise is None or not normalise.norm_obs:
        return None
    mean, var = (np.array(x, np.float64) for x in (normalise.obs_rms.mean, normalise.obs_rms.var))
    return Statistics(
        mean.reshape(-1), var.reshape(-1), float(normalise.epsilon), float(normalise.clip_obs)
    )


def _array(data: bytes, name: str) -> np.ndarray:
    """Read an ``.npy`` whose header promises no more than there is."""
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
            version, np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(file)
        if dtype.kind not in "fiu" or math.prod(shape) * dtype.itemsize != len(data) - file.tell():
            raise ValueError(f"shape {shape} of {dtype} in {len(data)} bytes")
        file.seek(0)
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False), np.float64)
    except Exception as error:  # whatever a malformed header raises
        raise CheckpointError(f"{name} is no array of numbers: {error}") from error


def _number(array: np.ndarray, name: str) -> float:
    if array.size != 1:
        raise CheckpointError(f"statistics of observations: {name} of shape {array.shape}")
    return float(array.reshape(()))
