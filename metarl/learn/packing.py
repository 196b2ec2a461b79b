"""Tensors on their way to another process: as arrays, which are copied fast and without torch's pickles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor


class _Packed(NamedTuple):
    """A tensor."""

    array: np.ndarray


def packed(tree: Any) -> Any:
    """Replace every tensor in nested dicts, lists and (named) tuples; what else is there stays."""
    if isinstance(tree, Tensor):
        return _Packed(tree.detach().cpu().numpy())
    return _mapped(packed, tree)


def unpacked(tree: Any) -> Any:
    """Undo `packed`; the tensors are copies."""
    if isinstance(tree, _Packed):
        return torch.tensor(tree.array)
    return _mapped(unpacked, tree)


def _mapped(do: Callable[[Any], Any], tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: do(child) for name, child in tree.items()}
    if isinstance(tree, list):
        return [do(child) for child in tree]
    if isinstance(tree, tuple):
        children = [do(child) for child in tree]
        return type(tree)(*children) if hasattr(tree, "_fields") else tuple(children)
    return tree
