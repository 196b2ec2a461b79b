"""Trunks: from an observation or a picture to features."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from metarl.errors import ConfigError, UnknownNameError
from metarl.nn.initialise import Conv2d, initialise, linear

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "elu": nn.ELU}


class Mlp(nn.Module):
    """Stack linear layers, each followed by the activation.

    Args:
        in_features: Width of the input.
        hidden: Width of each layer; the last is ``num_features``.
        activation: One of ``tanh``, ``relu``, ``elu``.
        generator: Draws the orthogonal weights (gain sqrt 2).
        device: Where the weights live.
    Raises:
        UnknownNameError: If the activation is unknown.
        ConfigError: If a width is below 1.
    """

    num_features: int

    def __init__(
        self,
        in_features: int,
        hidden: Sequence[int],
        activation: str = "tanh",
        *,
        generator: torch.Generator,
        device: torch.device | str | None = None,
    ):
        super().__init__()
        if activation not in ACTIVATIONS:
            raise UnknownNameError("activation", activation, ACTIVATIONS)
        widths = (in_features, *hidden)
        if min(widths) < 1:
            raise ConfigError(f"Mlp widths are {widths}; expected every width >= 1")
        layers: list[nn.Module] = []
        for fan_in, fan_out in itertools.pairwise(widths):
            layers += [linear(fan_in, fan_out, generator, device=device), ACTIVATIONS[activation]()]
        self.layers = nn.Sequential(*layers)
        self.num_features = widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Compute features, (..., in_features) -> (..., num_features)."""
        return self.layers(x)


class SmallCnn(nn.Module):
    """See small pictures: four strided convolutions, each averaged over the picture.

    The features are the averages of all four layers. The last layer alone keeps what its own
    question needs and forgets the rest; the first ones still know colours and edges, and a
    new head may need those.

    Args:
        in_channels: Channels of the picture.
        width: Channels after the first convolution; they double twice. There are 11 times
            as many features.
        generator: Draws the orthogonal weights (gain sqrt 2).
        device: Where the weights live.
    Raises:
        ConfigError: If the width is not a positive multiple of 4.
    """

    num_features: int

    def __init__(
        self,
        in_channels: int = 3,
        width: int = 16,
        *,
        generator: torch.Generator,
        device: torch.device | str | None = None,
    ):
        super().__init__()
        if width < 4 or width % 4:
            raise ConfigError(f"SmallCnn width is {width}; expected a positive multiple of 4")
        channels = (in_channels, width, 2 * width, 4 * width, 4 * width)
        self.layers = nn.ModuleList()
        for fan_in, fan_out in itertools.pairwise(channels):
            conv = Conv2d(fan_in, fan_out, 3, stride=2, padding=1, device=device or "cpu")
            # GroupNorm, not BatchNorm: no running statistics, so it vmaps and freezes cleanly.
            norm = nn.GroupNorm(4, fan_out, device=device)
            self.layers.append(nn.Sequential(conv, norm, nn.ReLU()))
        self.num_features = sum(channels[1:])
        initialise(self.layers, generator)

    def forward(self, pictures: Tensor) -> Tensor:
        """Compute features.

        Args:
            pictures: Shape (N, in_channels, H, W), float32 in [0, 1].
        Returns:
            Features, shape (N, num_features).
        """
        x = pictures - 0.5
        features = []
        for layer in self.layers:
            x = layer(x)
            features.append(x.mean(dim=(-2, -1)))
        return torch.cat(features, dim=-1)
