"""Every network is features + head, so that any head can be swapped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from metarl.errors import ConfigError
from metarl.nn.initialise import initialise, linear


class Network(nn.Module):
    """Compose a trunk that knows the input with a head that answers one question.

    Args:
        trunk: Maps (..., in) to (..., num_features); has the attribute ``num_features``.
        out_features: Width of the head's output.
        generator: Draws the head; the trunk is taken as it is.
        head_gain: Scale of the head's orthogonal weights, unitless.
    Source: the interface is timm's (forward_features, forward_head, reset_classifier).
    """

    trunk: nn.Module  # (..., in) -> (..., num_features)
    head: nn.Linear  # (..., num_features) -> (..., out)
    num_features: int

    def __init__(
        self,
        trunk: nn.Module,
        out_features: int,
        generator: torch.Generator,
        *,
        head_gain: float = 1.0,
    ):
        super().__init__()
        self.trunk = trunk
        self.num_features = num_features_of(trunk)
        self.head_gain = head_gain
        self.trunk_frozen = False
        weight = next(trunk.parameters(), torch.empty(0))
        self.head = linear(
            self.num_features,
            out_features,
            generator,
            gain=head_gain,
            device=weight.device,
            dtype=weight.dtype,
        )

    def forward_features(self, x: Tensor) -> Tensor:
        """Compute the features, (..., in) -> (..., num_features)."""
        return self.trunk(x)

    def forward_head(self, features: Tensor) -> Tensor:
        """Answer from features, (..., num_features) -> (..., out)."""
        return self.head(features)

    def forward(self, x: Tensor) -> Tensor:
        """Answer from the input, (..., in) -> (..., out)."""
        return self.forward_head(self.forward_features(x))

    def get_classifier(self) -> nn.Linear:
        """The head."""
        return self.head

    def reset_classifier(self, out_features: int, generator: torch.Generator) -> None:
        """Put a fresh head on the trunk; the trunk is not touched.

        Args:
            out_features: Width of the new head's output.
            generator: Draws the new head.
        """
        weight = self.head.weight
        self.head = linear(
            self.num_features,
            out_features,
            generator,
            gain=self.head_gain,
            device=weight.device,
            dtype=weight.dtype,
        ).train(self.training)

    def quiet_head(self) -> None:
        """Let the head answer 0, whatever it sees, until it learns; the trunk is not touched."""
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def reinitialise(self, generator: torch.Generator) -> None:
        """Draw every weight afresh, in place: the trunk, then the head.

        Args:
            generator: The only source of randomness.
        Raises:
            ConfigError: If the trunk has a layer whose weights cannot be drawn.
        """
        initialise(self.trunk, generator)
        initialise(self.head, generator, gain=self.head_gain)

    def freeze_trunk(self) -> None:
        """Keep the trunk as it is: no gradients, and evaluation mode for good."""
        self.trunk_frozen = True
        self.trunk.requires_grad_(False)
        self.trunk.zero_grad(set_to_none=True)
        self.trunk.eval()

    def unfreeze_trunk(self) -> None:
        """Let the trunk train again."""
        self.trunk_frozen = False
        self.trunk.requires_grad_(True)
        self.trunk.train(self.training)

    def train(self, mode: bool = True) -> Network:
        """Switch between training and evaluation; a frozen trunk stays in evaluation.

        Args:
            mode: Whether to train.
        Returns:
            The network itself.
        """
        super().train(mode)
        if self.trunk_frozen:  # else BatchNorm's running statistics would drift
            self.trunk.eval()
        return self


def num_features_of(trunk: nn.Module) -> int:
    """Read the width of a trunk's features.

    Args:
        trunk: Any module with an integer attribute ``num_features``.
    Returns:
        The width.
    Raises:
        ConfigError: If the trunk does not say how wide its features are.
    """
    width = getattr(trunk, "num_features", None)
    if not isinstance(width, int) or width < 1:
        raise ConfigError(
            f"trunk {type(trunk).__name__} has num_features={width!r}; expected an integer >= 1"
        )
    return width


@dataclass(frozen=True)
class PartialLoad:
    """What a partial load did, key by key.

    Attributes:
        loaded: Keys that were copied.
        missing: Keys of the network that were not given.
        unexpected: Keys that were given and that the network lacks.
        mismatched: Key, given shape, network's shape; these were not copied.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]

    def __str__(self) -> str:
        lines = [f"loaded {key}" for key in self.loaded]
        lines += [f"missing {key}" for key in self.missing]
        lines += [f"unexpected {key}" for key in self.unexpected]
        lines += [
            f"mismatched {key}: given {given}, network has {own}"
            for key, given, own in self.mismatched
        ]
        return "\n".join(lines)


@torch.no_grad()
def load_partial(network: nn.Module, tensors: Mapping[str, Tensor]) -> PartialLoad:
    """Copy the tensors whose name and shape fit, and say what became of every key.

    Args:
        network: Receives the tensors in place.
        tensors: Named tensors, as of ``state_dict()``.
    Returns:
        The loaded, missing, unexpected and mismatched keys.
    """
    own = network.state_dict()
    shared = [key for key in own if key in tensors]
    fits = [key for key in shared if own[key].shape == tensors[key].shape]
    for key in fits:
        own[key].copy_(tensors[key])
    return PartialLoad(
        loaded=tuple(fits),
        missing=tuple(key for key in own if key not in tensors),
        unexpected=tuple(key for key in tensors if key not in own),
        mismatched=tuple(
            (key, tuple(tensors[key].shape), tuple(own[key].shape))
            for key in shared
            if key not in fits
        ),
    )
