"""Backbones by name: what a picture network is made of, and where its weights are from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from metarl.errors import CheckpointError, MissingDependencyError, UnknownNameError
from metarl.nn.network import Network, PartialLoad, load_partial
from metarl.nn.trunks import SmallCnn
from metarl.perception.given import SMALL_CNN
from metarl.perception.trunks import PictureTrunk, mobilenet_trunk, require_timm, timm_trunk
from metarl.perception.weights import WHEELS, read_weights, wheel_weights
from metarl.runs.shipped import shipped
from metarl.transfer.strategy import TRUNK

MOBILENET = "mobilenet_v2"
# Those that bring trained weights; any model of timm is a backbone, too.
BACKBONES = (SMALL_CNN, *WHEELS)
_SHIPPED = ("kitchen/add", "ingredients")  # whose package has the small CNN's checkpoint; its name


@dataclass(frozen=True)
class Origin:
    """Where a trunk's weights are from.

    Attributes:
        words: In a few words.
        loaded: What became of every tensor of a file; None where all were drawn.
    """

    words: str
    loaded: PartialLoad | None = None

    def said(self) -> str:
        """Say it in one line, with how many tensors fit where not all did."""
        found = self.loaded
        if found is None or not (found.missing or found.mismatched):
            return self.words
        drawn = len(found.missing) + len(found.mismatched)
        return (
            f"{self.words}: {len(found.loaded)} tensors fit, {drawn} of the trunk's were drawn"
            f" from the seed, {len(found.unexpected)} of the file's are not used"
        )


def build_backbone(name: str, out_features: int, generator: torch.Generator) -> Network:
    """Build a picture network by name; every weight is drawn.

    Args:
        name: One of `BACKBONES`, or a model of timm.
        out_features: Width of the head's output.
        generator: Draws every weight.
    Returns:
        The network.
    Raises:
        UnknownNameError: If there is no such backbone; the message lists valid names.
        MissingDependencyError: If it needs what is not installed; the message says how to.
    """
    return Network(_trunk(name, generator), out_features, generator)


def trained_backbone(
    name: str, out_features: int, generator: torch.Generator, *, weights: Path | str | None = None
) -> tuple[Network, Origin]:
    """Build a picture network whose trunk knows something, with a head that is drawn.

    Args:
        name: One of `BACKBONES`, which bring their weights, or a model of timm.
        out_features: Width of the head's output.
        generator: Draws whatever is in no file.
        weights: A file of the trunk's: of a checkpoint or run of metarl's, safetensors, or a
            state_dict; None: what the backbone brings.
    Returns:
        The network; where its trunk is from. A model of timm without a file is drawn, and says so.
    Raises:
        UnknownNameError: If there is no such backbone; the message lists valid names.
        MissingDependencyError: If it needs what is not installed; the message says how to.
        CheckpointError: If the file cannot be read, or nothing in it fits.
    """
    weights = None if weights is None else Path(weights)
    network = build_backbone(name, out_features, generator)
    if weights is not None:
        tensors, words = read_weights(weights), str(weights)
    elif name == SMALL_CNN:
        tensors, words = read_weights(shipped(*_SHIPPED)), "the kitchen's classifier, shipped"
    elif name in WHEELS:
        tensors, words = wheel_weights(name)
    else:
        return network, Origin(f"{name} brings no weights: drawn from the seed")
    loaded = load_partial(network.trunk, _of_trunk(tensors, network.trunk))
    if not loaded.loaded:
        raise CheckpointError(
            f"nothing in {words} fits {name}: it holds {', '.join(list(tensors)[:3])}, ...;"
            f" expected {', '.join(loaded.missing[:3])}, ..."
        )
    return network, Origin(words, loaded)


def is_backbone(name: object) -> bool:
    """Whether a name, which may be from a file, is that of a backbone that can be built here."""
    if not isinstance(name, str):
        return False
    if name in BACKBONES:
        return True
    try:
        require_timm(name)
    except (UnknownNameError, MissingDependencyError):
        return False
    return True


def _trunk(name: str, generator: torch.Generator) -> nn.Module:
    if name == SMALL_CNN:
        return SmallCnn(generator=generator)
    if name == MOBILENET:
        return mobilenet_trunk(generator)
    return timm_trunk(name, generator)


def _of_trunk(tensors: Mapping[str, Tensor], trunk: nn.Module) -> dict[str, Tensor]:
    """Name a file's tensors as the trunk does: those of a whole network of ours, or of a model."""
    if any(name.startswith(TRUNK) for name in tensors):
        return {n.removeprefix(TRUNK): t for n, t in tensors.items() if n.startswith(TRUNK)}
    inside = "model." if isinstance(trunk, PictureTrunk) else ""
    return {f"{inside}{name}": tensor for name, tensor in tensors.items()}
