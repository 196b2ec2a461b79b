"""Networks with a memory: what was seen of a task becomes a context for the policy."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from metarl.errors import ConfigError
from metarl.nn.initialise import GRU, initialise, orthogonal
from metarl.nn.network import Network
from metarl.nn.policy import GaussianPolicy
from metarl.nn.trunks import Mlp


class Recurrent(nn.Module):
    """A trunk that remembers: an `Mlp` for each input, then a gated recurrent unit.

    Args:
        in_features: Width of the input.
        hidden: Widths of the layers before the recurrent one; none if empty.
        num_features: H, width of the memory, which is also what comes out.
        generator: Draws the orthogonal weights (gain 1 for each gate).
        keep: First bias of the gate that keeps the memory as it is: at 2 an input replaces
            about an eighth of it.
    Raises:
        ConfigError: If a width is below 1.
    Source: Cho et al. 2014, arXiv:1406.1078; the bias: Tallec, Ollivier 2018, arXiv:1804.11188.
    Deviation: One bias for all units instead of a range of time scales.
    """

    num_features: int

    def __init__(
        self,
        in_features: int,
        hidden: Sequence[int],
        num_features: int,
        *,
        generator: torch.Generator,
        keep: float = 2.0,
    ):
        super().__init__()
        if min(in_features, num_features) < 1:
            widths = (in_features, num_features)
            raise ConfigError(f"Recurrent widths are {widths}; expected every width >= 1")
        self.num_features, self.keep = num_features, keep
        self.embed = Mlp(in_features, hidden, generator=generator) if hidden else nn.Identity()
        self.gru = GRU(hidden[-1] if hidden else in_features, num_features, device="cpu")
        self._draw(generator)

    def reinitialise(self, generator: torch.Generator) -> None:
        """Draw every weight afresh, in place."""
        initialise(self.embed, generator)
        self._draw(generator)

    @torch.no_grad()
    def _draw(self, generator: torch.Generator) -> None:
        for name, p in self.gru.named_parameters():
            if name.startswith("bias"):
                p.zero_()
            else:
                for gate in p.chunk(3):
                    gate.copy_(orthogonal(gate, generator, 1.0))
        of_input = self.gru.get_parameter("bias_ih_l0")
        of_input.chunk(3)[1].fill_(self.keep)

    def forward(self, inputs: Tensor, memory: Tensor) -> Tensor:
        """Remember a sequence.

        Args:
            inputs: Shape (T, N, in_features).
            memory: Before the first of them, shape (N, H).
        Returns:
            The memory after each input, shape (T, N, H).
        """
        return self.gru(self.embed(inputs), memory[None])[0]


class TaskMemory(Network):
    """Reads the steps of a task as they happen, and writes what it takes the task for.

    It writes an offset of the hidden columns of the ``task`` block, as `GaussianPolicy`'s
    context is one: a policy that was trained with the task in view understands it at once.
    A fresh memory writes 0.

    Args:
        in_features: Width of what it reads of a step.
        hidden: Which columns of the ``task`` block are hidden.
        generator: Draws the first weights.
        embed: Widths of the layers before the recurrent one.
        width: H, of the memory.
    """

    trunk: Recurrent
    columns: Tensor  # (C,), 1 where hidden
    shift: Tensor  # (I,), of what is read
    scale: Tensor  # (I,)

    def __init__(
        self,
        in_features: int,
        hidden: Sequence[bool],
        generator: torch.Generator,
        *,
        embed: Sequence[int],
        width: int,
    ):
        trunk = Recurrent(in_features, embed, width, generator=generator)
        super().__init__(trunk, len(hidden), generator, head_gain=0.0)
        self.register_buffer("columns", torch.tensor(hidden, dtype=torch.float32))
        self.register_buffer("shift", torch.zeros(in_features))
        self.register_buffer("scale", torch.ones(in_features))

    def start(self, num_worlds: int) -> Tensor:
        """The memory of nothing, shape (N, H)."""
        return self.head.weight.new_zeros(num_worlds, self.num_features)

    def remember(self, inputs: Tensor, memory: Tensor) -> Tensor:
        """Read a sequence (T, N, I); see `Recurrent.forward`."""
        return self.trunk((inputs - self.shift) / self.scale, memory)

    def forward_head(self, features: Tensor) -> Tensor:
        """Write contexts from memories, (..., H) -> (..., C); 0 in the columns that are seen."""
        return self.head(features) * self.columns


class RecurrentPolicy(nn.Module):
    """A `GaussianPolicy` whose task context is what a memory writes.

    Args:
        policy: The policy; its last C columns are the ``task`` block.
        memory: Writes the block's offset.
    """

    def __init__(self, policy: GaussianPolicy, memory: TaskMemory):
        super().__init__()
        self.policy, self.memory = policy, memory

    def forward(self, obs: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Act on observations (..., D) and memories (..., H): mean (..., A), log std (A,)."""
        context = self.memory.forward_head(memory)
        split = obs.shape[-1] - context.shape[-1]
        return self.policy(torch.cat([obs[..., :split], obs[..., split:] + context], dim=-1))
