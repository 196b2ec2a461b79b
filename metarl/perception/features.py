"""Features of a trunk that stands: computed once for the same pictures, and kept on disk."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from metarl.errors import DamagedError
from metarl.perception.fitting import look
from metarl.runs.checkpoint import SUFFIX, load_checkpoint, save_checkpoint

_log = logging.getLogger(__name__)


def trunk_hash(trunk: nn.Module) -> str:
    """The SHA-256 of a module's tensors, names and bytes."""
    digest = hashlib.sha256()
    for name, tensor in trunk.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
    return digest.hexdigest()


def pictures_hash(pixels: Tensor) -> str:
    """The SHA-256 of pictures, (n, 3, H, W) uint8, in their order."""
    digest = hashlib.sha256(f"{tuple(pixels.shape)};".encode())
    digest.update(pixels.contiguous().numpy().tobytes())
    return digest.hexdigest()


def cached_features(trunk: nn.Module, pixels: Tensor, folder: Path) -> Tensor:
    """Compute features, or read those that this trunk has made of these pictures before.

    Args:
        trunk: Maps (n, 3, H, W) to (n, F).
        pixels: Shape (n, 3, H, W), uint8.
        folder: Where they are kept, a file for each trunk and set of pictures.
    Returns:
        Shape (n, F), float32, on the CPU.
    """
    of = {"trunk": trunk_hash(trunk), "pictures": pictures_hash(pixels)}
    key = hashlib.sha256("".join(of.values()).encode()).hexdigest()
    path = folder / f"{key[:16]}{SUFFIX}"
    if path.exists():
        try:
            saved = load_checkpoint(path)
        except DamagedError as error:
            _log.warning("features are computed again: %s", error)
        else:
            kept = saved.tensors.get("features")
            if saved.meta == of and kept is not None and len(kept) == len(pixels):
                return kept
    features = look(trunk, pixels)
    save_checkpoint(path, {"features": features}, of)
    return features
