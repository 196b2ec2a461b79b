"""Low rank: each layer's weights change by a product of two thin matrices alone."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from metarl.methods import Method
from metarl.nn.functional import Params
from metarl.transfer.config import Adapters
from metarl.transfer.imitation import taught
from metarl.transfer.reward import by_reward
from metarl.transfer.strategy import HEAD, TRUNK, Strategy

DOWN, UP = ".down", ".up"


class LowRank(Strategy):
    """Keep every layer, learn adapters beside them; what is handed out is plain weights.

    A weight of any shape (out, ...) counts as a matrix (out, in). Biases and norms stay. A head that
    is new learns whole, since there is nothing to adapt; the task context and the standard deviation
    of actions learn as ever.
    """

    name = "low-rank"
    doc = "keep everything, learn an adapter of low rank for each layer"
    config = Adapters

    def leaves(
        self, params: Mapping[str, Tensor], new: Collection[str], generator: torch.Generator
    ) -> Params:
        leaves: Params = {}
        for name, p in params.items():
            if name in new or not name.startswith((TRUNK, HEAD)):
                leaves[name] = p
            elif p.dim() >= 2:
                leaves[name + DOWN], leaves[name + UP] = self._adapter(p, generator)
        return leaves

    def _adapter(self, weight: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw (r, in), normal, and (out, r), zeros: at first nothing is added."""
        outputs, inputs = weight.flatten(1).shape
        rank = min(self.settings.rank, outputs, inputs)
        down = torch.randn(rank, inputs, generator=generator, device=generator.device)
        return down.to(weight) / math.sqrt(inputs), weight.new_zeros(outputs, rank)

    def weights(self, leaves: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> Params:
        own = {n: t for n, t in leaves.items() if not n.endswith((DOWN, UP))}
        return {**own, **{name: self._with_adapter(name, leaves, p) for name, p in kept.items()}}

    def _with_adapter(self, name: str, leaves: Mapping[str, Tensor], weight: Tensor) -> Tensor:
        if name + UP not in leaves:
            return weight
        change = leaves[name + UP] @ leaves[name + DOWN]  # (..., out, in)
        return weight + self.settings.scale * change.reshape(weight.shape)


METHOD = Method(LowRank.doc, adapting=by_reward(LowRank), source="Hu et al. 2021, arXiv:2106.09685")
TAUGHT = taught(LowRank)
