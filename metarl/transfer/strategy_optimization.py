"""Strategy optimization: a policy that knows many tasks is asked which of them this one is like."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from metarl.adapt.adaptation import ByContext, State, require_hidden
from metarl.adapt.meeting import Meeting
from metarl.errors import TrainingError
from metarl.learn.rollout import Trajectories
from metarl.methods import Adapting, Method
from metarl.nn.policy import GaussianPolicy
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.policies import load_policy_for
from metarl.sim.worlds import Worlds
from metarl.transfer.config import StrategyOptimization

_LEAST_STD = 0.05


class BySearch(ByContext):
    """A policy whose best guess of each hidden task is all that changes; no gradient is taken.

    Before each update every episode tries a guess of its own, with mean actions; then the guess
    becomes the mean of those that brought the highest returns (cross-entropy method).

    Args:
        worlds: As for `Adaptation`.
        policy: One that was trained with its task in view.
        how: Of the search.
        num_tasks: K.
        generator: Draws the guesses.
    Raises:
        ConfigError: If the family's tasks hide nothing.
    Source: Yu et al. 2019, arXiv:1810.05751 (the search among a policy's strategies); Hansen 2016,
        arXiv:1604.00772 (spreads measured from the last mean).
    Deviation: The cross-entropy method, every hidden number by itself, instead of CMA-ES: a handful
        of generations is too few for paths and a whole covariance.
    """

    bound = math.inf  # what serves best need not be so, nor within the declared ranges

    def __init__(
        self,
        worlds: Worlds,
        policy: GaussianPolicy,
        how: StrategyOptimization,
        *,
        num_tasks: int,
        generator: torch.Generator,
    ):
        require_hidden(worlds)
        super().__init__(worlds, policy, num_tasks=num_tasks, generator=generator)
        self.how = how
        self.std = self._first_std().to(policy.context.device).repeat(num_tasks, 1)
        self.mean = torch.zeros_like(self.std)
        self._tried = self.mean.new_empty(num_tasks, 0, self.mean.shape[1])
        self._returns = self.mean.new_empty(num_tasks, 0)

    def _first_std(self) -> Tensor:
        """Standard deviation of every number that is searched for, (P,)."""
        return torch.full((sum(self.worlds.spec.hidden),), self.how.std)

    def _play(self, worlds: Worlds, guesses: Tensor) -> Trajectories:
        """Run an episode in every world, each by its own guess, (N, P), with mean actions."""
        return self._act_as_if(worlds, guesses, deterministic=True)

    @torch.no_grad()
    def update(self) -> None:
        """As for `Adaptation`.

        Raises:
            TrainingError: If a return is not finite; names the tasks.
        """
        each = self.worlds.num_worlds // self.num_tasks
        guesses = around(self.mean, self.std, each, self.generator)
        episodes = self._play(self.worlds, guesses.flatten(0, 1))
        self.num_steps += episodes.num_steps
        returns = returns_of(episodes, self.mean, each)
        self._tried = torch.cat([self._tried, guesses], 1)[:, -max(self.how.memory, each) :]
        self._returns = torch.cat([self._returns, returns], 1)[:, -max(self.how.memory, each) :]
        self.mean, self.std = refit(self.mean, self.std, self._tried, self._returns, self.how)

    def state(self) -> State:
        """Mean and standard deviation of the next guesses, (K, H) each."""
        return {"mean": self.mean.clone(), "std": self.std.clone()}


def returns_of(episodes: Trajectories, like: Tensor, each: int) -> Tensor:
    """Read what each episode of each task brought, (K, each), as another tensor is.

    Raises:
        TrainingError: If a return is not finite; names the tasks.
    """
    returns = torch.from_numpy(episodes.returns).to(like).unflatten(0, (-1, each))
    finite = torch.isfinite(returns).all(1)
    if not finite.all():
        bad = (~finite).nonzero()[:, 0].tolist()[:10]
        raise TrainingError(f"returns are not finite in tasks {bad}; update refused")
    return returns


def around(mean: Tensor, std: Tensor, num: int, generator: torch.Generator) -> Tensor:
    """Draw guesses, normal around a mean, (K, P) and (K, P) -> (K, num, P)."""
    shape = (len(mean), num, mean.shape[1])
    noise = torch.randn(shape, generator=generator, device=generator.device)
    return mean[:, None] + std[:, None] * noise.to(mean)


def refit(
    mean: Tensor, std: Tensor, guesses: Tensor, returns: Tensor, how: StrategyOptimization
) -> tuple[Tensor, Tensor]:
    """Move to the best guesses of P numbers; where all brought the same, they say nothing, and all stays.

    Args:
        mean: Of the last guesses, (K, P).
        std: Of the last guesses, (K, P).
        guesses: Those that are remembered, (K, M, P).
        returns: What they brought, (K, M).
        how: Of the search.
    Returns:
        Mean and standard deviation of the next guesses, (K, P) each.
    """
    elites = best(guesses, returns, how.elites)
    away = (elites - mean[:, None]).square().mean(1).sqrt().clamp(min=_LEAST_STD)
    next_std = how.decay * std if how.decay is not None else away
    says = (returns.amax(1) > returns.amin(1))[:, None]
    return torch.where(says, elites.mean(1), mean), torch.where(says, next_std, std)


def best(guesses: Tensor, returns: Tensor, share: float) -> Tensor:
    """Choose the guesses that brought the highest returns.

    Args:
        guesses: Shape (K, M, P).
        returns: Shape (K, M).
        share: How many of them count, of M; always two or more, where there are two.
    Returns:
        Shape (K, E, P), the best first.
    """
    many = returns.shape[1]
    count = min(max(2, round(share * many)), many)
    rows = returns.topk(count, 1).indices
    return guesses.gather(1, rows[..., None].expand(-1, -1, guesses.shape[-1]))


def by_search(checkpoint: Checkpoint, meeting: Meeting, how: StrategyOptimization) -> BySearch:
    """Meet new tasks by guessing, with a policy that was trained with its task in view."""
    worlds = meeting.worlds()
    return BySearch(
        worlds, load_policy_for(checkpoint, worlds), how,
        num_tasks=meeting.num_tasks, generator=meeting.generator,
    )  # fmt: skip


METHOD = Method(
    "which task that the policy knows is this one most like? No gradient",
    adapting=Adapting(by_search, StrategyOptimization, needs="a policy that saw its task"),
    source="Yu et al. 2019, arXiv:1810.05751",
)
