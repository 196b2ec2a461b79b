"""Pictures and targets as arrays that a user may bring: checked, and nothing is scaled twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from metarl.errors import ShapeError

_LAYOUT = "pictures must have shape (n, H, W, 3), channels last"


def to_tensor(pixels: np.ndarray) -> Tensor:
    """Turn pictures into a network's input.

    Args:
        pixels: Shape (n, H, W, 3): uint8, or floating-point numbers that lie in [0, 1] already.
    Returns:
        Shape (n, 3, H, W), float32 in [0, 1].
    Raises:
        ShapeError: If they are no pictures: another layout or type, numbers out of [0, 1].
    """
    if not isinstance(pixels, np.ndarray):
        raise ShapeError(f"{_LAYOUT}, as a NumPy array; got {type(pixels).__name__}")
    if pixels.ndim != 4 or pixels.shape[3] != 3 or 0 in pixels.shape:
        hint = ""
        if pixels.ndim == 4 and pixels.shape[1] == 3:
            hint = "; transpose(0, 2, 3, 1) turns yours round"
        elif pixels.ndim == 3:
            hint = "; pixels[None] makes a single picture one of n"
        raise ShapeError(f"{_LAYOUT}; got {pixels.shape}{hint}")
    if pixels.dtype.kind == "f":
        _require_unit(pixels.min(), pixels.max(), "pictures of floating-point numbers")
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().float()
    if pixels.dtype != np.uint8:
        raise ShapeError(f"pictures must be uint8, or floats in [0, 1]; got {pixels.dtype}")
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().float() / 255.0


def require_pictures(inputs: Any) -> None:
    """Check a picture network's input.

    Args:
        inputs: Shape (n, 3, H, W), float32 in [0, 1], as of `to_tensor`.
    Raises:
        ShapeError: If it is another tensor, or none.
    """
    expected = "pictures must be a tensor of shape (n, 3, H, W), float32 in [0, 1], as of to_tensor"
    if not isinstance(inputs, Tensor):
        raise ShapeError(f"{expected}; got {type(inputs).__name__}")
    if inputs.ndim != 4 or inputs.shape[1] != 3 or not inputs.numel():
        raise ShapeError(f"{expected}; got {tuple(inputs.shape)}")
    if inputs.dtype != torch.float32:
        raise ShapeError(f"{expected}; got {inputs.dtype}")
    _require_unit(float(inputs.min()), float(inputs.max()), "pictures")


def require_target(target: Any, n: int) -> None:
    """Check what n pictures are to be answered with.

    Args:
        target: Shape (n,), floating-point numbers in [0, 1]: a regressor's answers are clipped
            to these when it is judged.
        n: How many pictures there are.
    Raises:
        ShapeError: If it is another tensor, or none.
    """
    if not isinstance(target, Tensor):
        raise ShapeError(
            f"the target must be a tensor of shape ({n},); got {type(target).__name__}"
        )
    if target.shape != (n,):
        raise ShapeError(
            f"the target must have shape ({n},), a number a picture; got {tuple(target.shape)}"
        )
    if target.dtype != torch.float32:
        raise ShapeError(f"the target must be float32; got {target.dtype}")
    _require_unit(float(target.min()), float(target.max()), "the target")


def _require_unit(low: float, high: float, what: str) -> None:
    if not (low >= 0.0 and high <= 1.0):  # so that NaN is told too
        raise ShapeError(
            f"{what} must lie in [0, 1]; got {low:g} to {high:g}; scale yours once, by hand"
        )
