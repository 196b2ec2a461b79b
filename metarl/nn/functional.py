"""Apply one network with parameters from outside, its own ones or one set a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call, vmap

Params = dict[str, Tensor]


def parameters_of(network: nn.Module) -> Params:
    """Name a network's parameters; the tensors are the network's own."""
    return dict(network.named_parameters())


def expand(params: Mapping[str, Tensor], num_tasks: int) -> Params:
    """Give every task the same parameters: (...) -> (K, ...), without a copy."""
    return {name: p.expand(num_tasks, *p.shape) for name, p in params.items()}


def is_batched(network: nn.Module, params: Mapping[str, Tensor]) -> bool:
    """Say whether parameters have a leading task axis that the network's own lack."""
    name, own = next(iter(network.named_parameters()))
    return params[name].dim() > own.dim()


def apply(network: nn.Module, params: Mapping[str, Tensor], x: Tensor) -> Any:
    """Apply a network to K tasks at once.

    Args:
        network: Any module; its own parameters are not used.
        params: By name, each (K, ...) for parameters of each task or (...) for shared ones.
        x: Inputs, shape (K, M, D).
    Returns:
        What the network returns, with a leading axis K in every tensor.
    """
    axis = 0 if is_batched(network, params) else None

    def one(p: Mapping[str, Tensor], x: Tensor) -> Any:
        return functional_call(network, dict(p), (x,))

    return vmap(one, in_dims=(axis, 0))(params, x)
