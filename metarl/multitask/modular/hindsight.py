"""Commands mean what comes of them: decoders learn from hindsight, and cores are drawn to its code."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from metarl.errors import ConfigError
from metarl.multitask.learners import ByExpert, Samples, squares
from metarl.multitask.modular.config import ModularConfig
from metarl.multitask.modular.pairs import Pairs
from metarl.nn.trunks import ACTIVATIONS
from metarl.rl.lesson import Lesson

_SMALL = 1e-6


class HindsightCode(nn.Module):
    """The command that stands for what came of an action, the same for all robots and skills.

    One layer sees how the columns that every robot has changed within some steps, in units that the first
    iteration fixes, and the actions that mean the same in every robot.

    Args:
        pairs: Of robots and skills.
        config: With ``command``, ``alike`` and ``activation``.
        draw: Makes a layer of so many inputs and outputs.
    Attributes:
        unit: What changes are divided by, (C,); 0 until the first iteration.
    Raises:
        ConfigError: If robots have no column in common, or fewer actions than are said to be alike.
    """

    unit: Tensor

    def __init__(self, pairs: Pairs, config: ModularConfig, draw: Callable[[int, int], nn.Linear]):
        super().__init__()
        fewest = min(pairs.actions.values())
        if config.alike > fewest:
            raise ConfigError(
                f"alike={config.alike}, but some robot has {fewest} actions; expected at most as many"
            )
        named = pairs.named
        self.alike, self._act = config.alike, ACTIVATIONS[config.activation]()
        self.layer = draw(len(named) + config.alike, config.command)
        self.register_buffer("unit", torch.zeros(len(named)))
        self._places = [pairs.places(pair, named) for pair in pairs.trained]

    def change(self, k: int, some: Samples) -> Tensor:
        """How the common columns of a trained pair changed, (M, C), as observed."""
        there, own = self._places[k]
        moved = (some["later"] - some["obs"])[:, list(own)]
        return moved.new_zeros(len(moved), len(self.unit)).index_copy(
            1, torch.tensor(there, device=moved.device), moved
        )

    def fix_unit(self, samples: Sequence[Samples]) -> None:
        """Fix the unit of each column's change by all pairs' samples, once."""
        if (self.unit > 0.0).any():
            return
        changes = torch.cat([self.change(k, each) for k, each in enumerate(samples)])
        size = changes.square().mean(0).sqrt()
        self.unit.copy_(torch.where(size > _SMALL, size, torch.ones_like(size)))

    def forward(self, k: int, some: Samples) -> Tensor:
        """The command that stands for what came of a trained pair's actions, (M, command)."""
        alike = some["acted"][:, some["acted"].shape[1] - self.alike :]
        return self._act(self.layer(torch.cat([self.change(k, some) / self.unit, alike], dim=1)))


class ByHindsight(ByExpert):
    """Imitation, in which decoders learn also what led to what, and cores command what came of the expert.

    Source: Lynch et al. 2019, arXiv:1903.01973 (plans and what was reached in one latent space, by hindsight).
    Deviation: One layer codes what came of an action, and there is no distribution of plans. Cores are drawn
        to it only where whoever acted did about what the expert would have done.
    """

    config: ModularConfig

    @property
    def horizon(self) -> int:  # type: ignore[override]
        """Control steps after which it looks."""
        return self.config.horizon

    def taught(self, lesson: Lesson) -> dict[str, np.ndarray]:
        """As of its base, and what was done, what came of it, and whether it was the expert's way."""
        assert lesson.hindsight is not None  # its horizon is above 0
        acted, later, as_wanted = lesson.hindsight
        more = {"acted": acted, "later": later, "as_wanted": as_wanted.astype(np.float32)}
        return {**super().taught(lesson), **more}

    def prepare(self, samples: Sequence[Samples]) -> None:
        """Fix units, if nobody has."""
        self.actor.shared.hindsight.fix_unit(samples)

    def loss(self, k: int, some: Samples) -> Tensor:
        """As of its base, hindsight included."""
        return self._losses([some], [k])[0]

    def losses(self, some: Sequence[Samples]) -> Tensor:
        """As of its base, hindsight included."""
        return self._losses(some, range(len(some)))

    def _losses(self, some: Sequence[Samples], which: Sequence[int]) -> Tensor:
        shared = self.actor.shared
        command, standing = shared.commands([each["obs"] for each in some], which)
        came = [shared.hindsight(k, each) for k, each in zip(which, some)]
        losses = squares(self._means(command, standing, which), [x["wanted"] for x in some])
        losses = losses + squares(self._means(came, standing, which), [x["acted"] for x in some])
        apart = [(x - y).square().mean(1) for x, y in zip(command, came)]
        drawn = [(x * each["as_wanted"]).mean() for x, each in zip(apart, some)]
        return losses + self.config.hindsight * torch.stack(drawn)

    def _means(
        self, command: Sequence[Tensor], standing: Sequence[Tensor], which: Sequence[int]
    ) -> list[Tensor]:
        raw = self.actor.shared.decode(command, standing, which)
        return [self.actor.answer(k, x)[0] for k, x in zip(which, raw)]
