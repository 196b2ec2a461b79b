"""Critics of many tasks: what an actor did in a task, embedded, and values given that."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from metarl.nn.initialise import LSTM, linear, orthogonal
from metarl.nn.trunks import Mlp

_CONSTANT = 1e-3  # a column that varies less than this is left as it is
_NARROW = 0.05  # and one that varies little is not blown up beyond this


def make_lstm(in_features: int, hidden: int, generator: torch.Generator) -> nn.LSTM:
    """Build an LSTM with orthogonal weights, and a forget gate that starts open."""
    lstm = LSTM(in_features, hidden, batch_first=True, device="cpu")
    with torch.no_grad():
        for name, p in lstm.named_parameters():
            if name.startswith("weight"):
                p.copy_(torch.cat([orthogonal(gate, generator, 1.0) for gate in p.chunk(4)]))
            else:
                p.zero_()
        lstm.get_parameter("bias_hh_l0")[hidden : 2 * hidden] = 1.0
    return lstm


class TaskActorEncoder(nn.Module):
    """Embed a task and its actor from transitions (s, a, r).

    Every episode's transitions go through an LSTM in their order, and what it says of each is
    averaged over the episodes.

    Args:
        in_features: F, the width of one transition.
        hidden: Width of every layer.
        num_features: Z, the width of the embedding.
        generator: Draws the first weights.
    Source: Sung et al. 2017, arXiv:1706.09529 (task-actor encoder network).
    Deviation: Layers before and behind the LSTM, and the average over episodes: worlds run in
        lockstep, so that recent transitions are many short pieces and not one long one.
    """

    def __init__(
        self, in_features: int, hidden: int, num_features: int, generator: torch.Generator
    ):
        super().__init__()
        self.num_features = num_features
        self.before = Mlp(in_features, (hidden, hidden), "elu", generator=generator)
        self.lstm = make_lstm(hidden, hidden, generator)
        self.behind = Mlp(hidden, (hidden,), "elu", generator=generator)
        self.out = linear(hidden, num_features, generator, gain=1.0)

    def forward(self, trace: Tensor) -> Tensor:
        """Map E episodes of k transitions each, (K, E, k, F), to embeddings (K, Z)."""
        said = self.lstm(self.before(trace).flatten(0, 1))[0][:, -1]  # (K * E, H)
        return self.out(self.behind(said.unflatten(0, trace.shape[:2]).mean(1)))


class MetaCritic(nn.Module):
    """An action-value function of any task and any actor of a family.

    Args:
        obs_dim: D.
        action_dim: A.
        task_dim: Width of what the embedding may be asked of the task, 0 for nothing.
        generator: Draws the first weights.
        hidden: Widths of the value network's layers.
        encoder_hidden: Width of the encoder's layers.
        num_features: Z, the width of the embedding.
    Attributes:
        scale: How steep values typically are along an actor's noise; set in training.
    Source: Sung et al. 2017, arXiv:1706.09529 (meta-value network).
    Deviation: It also sees the share of the episode that is over: episodes here end in time.
    """

    shift: Tensor
    spread: Tensor
    scale: Tensor

    def __init__(
        self,
        obs_dim: int,
        action_dim: int,
        task_dim: int,
        generator: torch.Generator,
        *,
        hidden: Sequence[int] = (96, 96),
        encoder_hidden: int = 48,
        num_features: int = 12,
    ):
        super().__init__()
        width = obs_dim + action_dim + 1
        self.encoder = TaskActorEncoder(width, encoder_hidden, num_features, generator)
        self.trunk = Mlp(width + num_features, hidden, "elu", generator=generator)
        self.head = linear(self.trunk.num_features, 1, generator, gain=0.1)
        self.asked = linear(num_features, task_dim, generator, gain=0.1) if task_dim else None
        self.register_buffer("shift", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))
        self.register_buffer("scale", torch.ones(()))

    @torch.no_grad()
    def standardise(self, trace: Tensor) -> None:
        """Take the mean and spread of transitions (..., F) for those of all inputs to come."""
        rows = trace.flatten(0, -2)
        std = rows.std(0)
        self.shift.copy_(rows.mean(0))
        self.spread.copy_(torch.where(std < _CONSTANT, 1.0, std.clamp(min=_NARROW)))

    def embed(self, trace: Tensor) -> Tensor:
        """Map transitions (K, E, k, D + A + 1), each (s, a, r), to embeddings (K, Z)."""
        return self.encoder((trace - self.shift) / self.spread)

    def forward(self, obs: Tensor, action: Tensor, time: Tensor, embedding: Tensor) -> Tensor:
        """Value actions.

        Args:
            obs: Shape (K, M, D).
            action: Shape (K, M, A).
            time: Share of the episode before the action, in [0, 1), shape (K, M).
            embedding: Of each task and its actor, shape (K, Z).
        Returns:
            Values, shape (K, M).
        """
        width = obs.shape[-1]
        seen = (obs - self.shift[:width]) / self.spread[:width]
        task = embedding[:, None].expand(-1, obs.shape[1], -1)
        x = torch.cat([seen, action, time[..., None], task], dim=-1)
        return self.head(self.trunk(x))[..., 0]

    def tell_task(self, embedding: Tensor) -> Tensor | None:
        """Guess the ``task`` block from embeddings (K, Z); None if it is not asked for."""
        return None if self.asked is None else self.asked(embedding)
