"""Networks rebuilt from files: what a file asks for is no larger than what it holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from metarl.errors import CheckpointError, MetaRLError
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.trained import part

_N = TypeVar("_N", bound=nn.Module)
_SCRATCH = 8  # times its own size that a network may take while it is built, for first weights
_EACH = 64  # elements that any tensor is taken to have at least
_MAKERS = {torch.empty, torch.zeros, torch.ones, torch.full, torch.randn, torch.rand, torch.eye}


def load_network(checkpoint: Checkpoint, name: str, make: Callable[[], _N]) -> _N:
    """Build a network and fill it with a checkpoint's tensors.

    Args:
        checkpoint: Its tensors ``NAME.*``.
        name: Which network.
        make: Builds it, in the widths that the checkpoint's config says.
    Raises:
        CheckpointError: If the checkpoint holds other tensors than the network has, numbers that
            are not finite, or asks for more than its tensors could fill.
    """
    tensors = part(name, checkpoint.tensors)
    called = name.replace("_", "-")
    try:
        with Within(tensors):
            network = make()
        network.load_state_dict(tensors)
    except MetaRLError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
        raise CheckpointError(f"this checkpoint holds no whole {called}: {error}") from error
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise CheckpointError(f"this checkpoint's {called} is not finite: {key}; use another")
    return network


class Within(TorchFunctionMode):
    """Refuse to make more tensors than a network of the given ones takes.

    Args:
        tensors: What the network will hold.
    """

    def __init__(self, tensors: Mapping[str, Tensor]):
        super().__init__()
        self._held = sum(tensor.numel() for tensor in tensors.values())
        self._left = _SCRATCH * (self._held + _EACH * (len(tensors) + 4))

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in _MAKERS:
            asked = _num_elements(args, kwargs or {})
            self._left -= max(asked, _EACH)
            if self._left < 0:
                raise CheckpointError(
                    f"this checkpoint holds {self._held} numbers of a network, and asks for one with"
                    f" a layer of {asked}; its config was changed: use another checkpoint"
                )
        return func(*args, **(kwargs or {}))


def _num_elements(args: Any, kwargs: Mapping[str, Any]) -> int:
    """How many elements a maker of tensors is asked for."""
    size = kwargs.get("size", args[0] if args and not isinstance(args[0], int) else args)
    return math.prod(int(n) for n in size if isinstance(n, int))
