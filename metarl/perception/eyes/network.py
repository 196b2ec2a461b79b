"""From a picture to numbers: where each feature is, how much of it there is, and a head with doubts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from metarl.nn.initialise import linear
from metarl.nn.trunks import SmallCnn

LEAST_SPREAD = 1e-2  # of a number that hardly varies
LOG_SD_RANGE = (-5.0, 2.0)  # of what is answered, in spreads
_LOCATED = 3  # layers of the trunk whose features have a place: the last has 6 x 6 of them
_SHARPNESS = 4.0  # of a fresh softmax over the picture


class Answer(NamedTuple):
    """What is answered.

    Args:
        mean: Shape (N, O).
        sd: How far off it may be, a standard deviation, shape (N, O).
    """

    mean: Tensor
    sd: Tensor


class Places(nn.Module):
    """Turn pictures into averages of every layer's features, and the places of the first layers'.

    Args:
        eye: The layers; a trained classifier's, where it has seen before.
    Source: Levine et al. 2016, arXiv:1504.00702, section 6.1 (spatial softmax); Finn et al. 2016,
        arXiv:1509.06113.
    Deviation: The softmax is taken of several layers, and averages stand beside.
    """

    def __init__(self, eye: SmallCnn):
        super().__init__()
        self.eye = eye
        widths = [layer.out_channels for layer in eye.modules() if isinstance(layer, nn.Conv2d)]
        self.log_sharpness = nn.Parameter(torch.zeros(sum(widths[:_LOCATED])))
        self.num_features = sum(widths) + 2 * sum(widths[:_LOCATED])

    def forward(self, pictures: Tensor) -> Tensor:
        """Compute features, (N, 3, H, W) in [0, 1] -> (N, num_features); places are in [-1, 1]."""
        x = (pictures - 0.5).contiguous(memory_format=torch.channels_last)
        sharpness = _SHARPNESS * self.log_sharpness.exp()
        found, first = [], 0
        for number, layer in enumerate(self.eye.layers):
            x = layer(x)
            found.append(x.mean(dim=(-2, -1)))
            if number < _LOCATED:
                sharp = sharpness[first : first + x.shape[1], None, None]
                found += _places((x * sharp).flatten(2).softmax(-1).reshape(x.shape))
                first += x.shape[1]
        return torch.cat(found, dim=-1)


def _places(weights: Tensor) -> list[Tensor]:
    """Where weights (N, C, H, W) lie on average: across and down, each (N, C)."""
    down, across = (torch.linspace(-1.0, 1.0, n, device=weights.device) for n in weights.shape[2:])
    return [(weights.sum(2) * across).sum(-1), (weights.sum(3) * down).sum(-1)]


class Eyes(nn.Module):
    """Answer from a picture, and from numbers beside it.

    Args:
        eye: The picture network's layers.
        num_beside: B, numbers beside a picture.
        num_answers: O.
        hidden: Widths of the head's layers.
        generator: Draws the head.
    Attributes:
        has_units: Whether the units of what is answered are known already.
    """

    def __init__(
        self,
        eye: SmallCnn,
        num_beside: int,
        num_answers: int,
        hidden: Sequence[int],
        generator: torch.Generator,
    ):
        super().__init__()
        self.trunk = Places(eye)
        widths = (self.trunk.num_features + num_beside, *hidden)
        layers: list[nn.Module] = []
        for fan_in, fan_out in itertools.pairwise(widths):
            layers += [linear(fan_in, fan_out, generator), nn.ReLU()]
        self.head = nn.Sequential(*layers, linear(widths[-1], 2 * num_answers, generator, gain=0.1))
        for name, width in (("beside", num_beside), ("answer", num_answers)):
            self.register_buffer(f"{name}_mean", torch.zeros(width))
            self.register_buffer(f"{name}_spread", torch.ones(width))
        self.has_units = False

    beside_mean: Tensor
    beside_spread: Tensor
    answer_mean: Tensor
    answer_spread: Tensor

    @torch.no_grad()
    def standardise(self, beside: Tensor, answer: Tensor) -> None:
        """Fix the units of both from the first pictures, (M, B) and (M, O), unless they are known."""
        if self.has_units:
            return
        for name, values in (("beside", beside), ("answer", answer)):
            getattr(self, f"{name}_mean").copy_(values.mean(0))
            spread = values.std(0, correction=0).clamp_min(LEAST_SPREAD)
            getattr(self, f"{name}_spread").copy_(spread)

    def in_spreads(self, answer: Tensor) -> Tensor:
        """Measure answers (M, O) from their mean, in spreads."""
        return (answer - self.answer_mean) / self.answer_spread

    def doubt(self, pictures: Tensor, beside: Tensor) -> tuple[Tensor, Tensor]:
        """Answer in spreads: means and log standard deviations, each (N, O).

        Args:
            pictures: Shape (N, 3, H, W), uint8.
            beside: Shape (N, B), float32.
        """
        known = (beside - self.beside_mean) / self.beside_spread
        features = self.trunk(pictures.float() / 255.0)
        mean, log_sd = self.head(torch.cat([features, known], dim=-1)).chunk(2, dim=-1)
        return mean, log_sd.clamp(*LOG_SD_RANGE)

    def forward(self, pictures: Tensor, beside: Tensor) -> Answer:
        """Answer; shapes as of `doubt`."""
        mean, log_sd = self.doubt(pictures, beside)
        return Answer(
            self.answer_mean + self.answer_spread * mean, self.answer_spread * log_sd.exp()
        )


def doubtful_loss(mean: Tensor, log_sd: Tensor, wanted: Tensor) -> Tensor:
    """Compute how unlikely what is wanted is, weighted by the standard deviation, ().

    Args:
        mean: Shape (N, O).
        log_sd: Likewise.
        wanted: Likewise.
    Source: Seitzer et al. 2022, arXiv:2203.09168, with beta 1/2: weighted, what is hard to tell is not
        given up.
    """
    unlikely = 0.5 * (wanted - mean).square() * (-2.0 * log_sd).exp() + log_sd
    return (unlikely * log_sd.detach().exp()).mean()
