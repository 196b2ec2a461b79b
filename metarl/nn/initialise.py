"""Weights from an explicit generator; the global random state is never drawn from."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from metarl.errors import ConfigError

TRUNK_GAIN = math.sqrt(2.0)


class Undrawn:
    """A layer of torch's whose weights are drawn later, from a generator that is given.

    Its constructor draws nothing from the global generator. `torch.nn.utils.skip_init` promises
    the same, by way of device ``meta``, and imports sympy for it.
    """

    def reset_parameters(self) -> None:
        """Draw nothing."""


class Linear(Undrawn, nn.Linear):
    """`torch.nn.Linear`, its weights not drawn yet."""


class Conv2d(Undrawn, nn.Conv2d):
    """`torch.nn.Conv2d`, its weights not drawn yet."""


class GRU(Undrawn, nn.GRU):
    """`torch.nn.GRU`, its weights not drawn yet."""


class LSTM(Undrawn, nn.LSTM):
    """`torch.nn.LSTM`, its weights not drawn yet."""


def linear(
    in_features: int,
    out_features: int,
    generator: torch.Generator,
    *,
    gain: float = TRUNK_GAIN,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> nn.Linear:
    """Build a linear layer with orthogonal weights and zero bias.

    Args:
        in_features: Width of the input.
        out_features: Width of the output.
        generator: The only source of randomness.
        gain: Scale of the orthogonal weights, unitless.
        device: Where the layer lives; the weights are the same on every device.
        dtype: Type of the weights; None means torch's default.
    Returns:
        The layer.
    """
    layer = Linear(in_features, out_features, device=device or "cpu", dtype=dtype)
    initialise(layer, generator, gain=gain)
    return layer


def initialise(module: nn.Module, generator: torch.Generator, *, gain: float = TRUNK_GAIN) -> None:
    """Draw fresh weights in place: orthogonal, zero biases, unit norms.

    A submodule with a method ``reinitialise(generator)`` looks after itself.

    Args:
        module: The module, with everything inside it.
        generator: The only source of randomness.
        gain: Scale of the orthogonal weights, unitless.
    Raises:
        ConfigError: If a layer that owns parameters is of a type not known here.
    Source: Saxe et al. 2014, arXiv:1312.6120.
    """
    own = getattr(module, "reinitialise", None)
    if own is not None:
        own(generator)
        return
    initialise_layer(module, generator, gain)
    for child in module.children():
        initialise(child, generator, gain=gain)


@torch.no_grad()
def initialise_layer(layer: nn.Module, generator: torch.Generator, gain: float) -> None:
    """Draw the parameters that a layer owns itself, its children aside.

    Args:
        layer: The layer.
        generator: The only source of randomness.
        gain: Scale of the orthogonal weights, unitless.
    Raises:
        ConfigError: If the layer owns parameters and is of a type not known here.
    """
    if isinstance(layer, nn.Linear | _ConvNd):
        layer.weight.copy_(orthogonal(layer.weight, generator, gain))
        if layer.bias is not None:
            layer.bias.zero_()
    elif isinstance(layer, nn.GroupNorm | nn.LayerNorm | _BatchNorm):
        layer.reset_parameters()  # constants: ones and zeros
    elif next(layer.parameters(recurse=False), None) is not None:
        raise ConfigError(
            f"cannot draw weights for {type(layer).__name__}; give it a method "
            "reinitialise(generator); known: Linear, convolutions, GroupNorm, LayerNorm, BatchNorm"
        )


def orthogonal(like: Tensor, generator: torch.Generator, gain: float) -> Tensor:
    """Draw an orthogonal tensor on the generator's device.

    Args:
        like: A tensor of the wanted shape and type; it may live on device ``meta``.
        generator: The only source of randomness.
        gain: Scale, unitless.
    Returns:
        A tensor shaped like ``like``, on the generator's device.
    """
    drawn = torch.empty(like.shape, dtype=like.dtype, device=generator.device)
    return nn.init.orthogonal_(drawn, gain, generator=generator)
