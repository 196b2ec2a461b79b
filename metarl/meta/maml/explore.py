"""Exploration in the task context: an episode tries one guess of what is hidden.

Noise on actions finds out which action is better at once. Where only the end of an episode
tells (food dropped beside a pan that was somewhere else), trying another guess of the task
for a whole episode says far more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from metarl.learn.rollout import Memoryless, Trajectories, playing
from metarl.learn.share import Pace, Share, alone, randn
from metarl.meta.baseline import make_batch
from metarl.meta.maml.inner import Batch, Guesses
from metarl.sim.worlds import Worlds


@dataclass(frozen=True)
class ContextNoise:
    """Gaussian noise on the hidden columns of the task context, drawn once an episode.

    Args:
        std: Before the first update, in units of the task block (a field's range spans 2).
        decay: Factor from one update to the next.
        hidden: Which columns are hidden, and hence guessed.
    Source: Gupta et al. 2018, arXiv:1802.07245, section 4.
    Deviation: The standard deviation follows a schedule and is not learned.
    """

    std: float
    decay: float
    hidden: tuple[bool, ...]

    def at(self, update: int) -> float:
        """The standard deviation before update number `update`, counted from 0."""
        return self.std * self.decay**update

    def draw(
        self,
        update: int,
        num_worlds: int,
        generator: torch.Generator,
        share: Share | None = None,
    ) -> Tensor:
        """Draw every episode's offset from the context, shape (N, C), as `randn` does."""
        noise = randn((num_worlds, len(self.hidden)), 0, generator, share)
        return self.at(update) * noise * torch.tensor(self.hidden, device=generator.device)


class Exploration(NamedTuple):
    """What was collected before an update.

    Args:
        episodes: B of each task.
        batch: What the update learns from.
    """

    episodes: Trajectories
    batch: Batch


def explore(
    worlds: Worlds,
    policy: nn.Module,
    params: Mapping[str, Tensor],
    *,
    num_tasks: int,
    generator: torch.Generator,
    gamma: float,
    lam: float,
    update: int,
    noise: ContextNoise | None = None,
) -> Exploration:
    """Collect episodes for an update, and work out what they say.

    Args:
        worlds: N = K * B worlds; those of task k are rows k*B ... k*B + B - 1.
        policy: The policy.
        params: Its parameters, each (K, ...).
        num_tasks: K.
        generator: Draws the noise of actions and contexts.
        gamma: Discount per control step.
        lam: Of the generalised advantage estimate.
        update: Number of the update that will learn from them, counted from 0.
        noise: On the context; None: none.
    """
    return alone(
        exploring(
            worlds, policy, params, num_tasks=num_tasks, generator=generator,
            gamma=gamma, lam=lam, update=update, noise=noise,
        )
    )  # fmt: skip


def exploring(
    worlds: Worlds,
    policy: nn.Module,
    params: Mapping[str, Tensor],
    *,
    num_tasks: int,
    generator: torch.Generator,
    gamma: float,
    lam: float,
    update: int,
    noise: ContextNoise | None = None,
    share: Share | None = None,
) -> Pace[Exploration]:
    """Explore in worlds that may be a part of a batch.

    Args:
        share: Which part; None: all of it. The others are as for `explore`.
    Yields:
        As `metarl.learn.rollout.playing`.
    """
    offset = None if noise is None else noise.draw(update, worlds.num_worlds, generator, share)
    actor = Memoryless(policy, params, num_tasks)
    episodes = yield from playing(
        worlds, actor, num_tasks=num_tasks, generator=generator, offset=offset, share=share
    )
    batch = make_batch(episodes, gamma, lam)
    if noise is None or offset is None:
        return Exploration(episodes, batch)
    own = offset.to(batch.obs).unflatten(0, (num_tasks, -1))  # (K, B, C)
    returns = torch.from_numpy(episodes.returns).to(batch.obs).unflatten(0, (num_tasks, -1))
    gain = returns - returns.mean(1, keepdim=True)
    gain = gain / (gain.square().mean(1, keepdim=True).sqrt() + 1e-8)
    hidden = torch.tensor(noise.hidden, device=own.device).to(own)
    std = torch.full((num_tasks, 1), noise.at(update)).to(own)
    value = params["context"].detach()[:, None] + own
    return Exploration(episodes, batch._replace(guesses=Guesses(value, own, gain, hidden, std)))
