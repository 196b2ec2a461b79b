"""Backbones by name: what a picture network is made of."""

from __future__ import annotations

from collections.abc import Callable

import torch

from metarl.errors import UnknownNameError
from metarl.nn.network import Network
from metarl.nn.trunks import SmallCnn

Builder = Callable[[int, torch.Generator], Network]  # (outputs, generator) -> network


def small_cnn(out_features: int, generator: torch.Generator) -> Network:
    """Build four convolutions and a linear head, for pictures of about 64 pixels.

    Args:
        out_features: Width of the head's output.
        generator: Draws every weight.
    Returns:
        The network.
    """
    return Network(SmallCnn(generator=generator), out_features, generator)


BACKBONES: dict[str, Builder] = {"small-cnn": small_cnn}


def build_backbone(name: str, out_features: int, generator: torch.Generator) -> Network:
    """Build a picture network by name.

    Args:
        name: One of `BACKBONES`.
        out_features: Width of the head's output.
        generator: Draws every weight.
    Returns:
        The network.
    Raises:
        UnknownNameError: If there is no such backbone; the message lists the valid names.
    """
    if name not in BACKBONES:
        raise UnknownNameError("backbone", name, BACKBONES)
    return BACKBONES[name](out_features, generator)
