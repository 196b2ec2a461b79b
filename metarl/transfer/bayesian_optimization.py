"""Bayesian optimization: a model of what each guess of the hidden task would bring chooses the next."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from metarl.adapt.adaptation import ByContext, State, hidden_of, require_hidden
from metarl.adapt.meeting import Meeting
from metarl.methods import Adapting, Method
from metarl.nn.policy import GaussianPolicy
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.policies import load_policy_for
from metarl.sim.worlds import Worlds
from metarl.streams import Streams
from metarl.transfer.config import BayesianOptimization
from metarl.transfer.gaussian_process import GaussianProcess, fit
from metarl.transfer.strategy_optimization import returns_of

_TOP = 0.2  # how far behind the best is near it, as a share of what is usual
_MIXED, _MOVED = 0.3, 0.5  # shares of a guess's numbers: from a known task; moved by a little
_STEPS = (0.02, 0.3)  # by how little: shares of a number's spread, from the smallest to the largest
_LEAST_SPREAD = 0.05


class ByBayesianOptimization(ByContext):
    """A policy whose best guess of each hidden task is all that changes; no gradient is taken.

    A Gaussian process for each task says what every guess would bring, and how sure that is. Before an
    update each episode tries the guess that would be best if one draw from it were true (Thompson
    sampling), with mean actions; then the guess becomes the tried one of which it expects most. Guesses
    are the hidden numbers of known tasks, the best one so far mixed with those, and what lies near it: so
    numbers that mean nothing here stay as the policy knows them.

    Args:
        worlds: As for `Adaptation`.
        policy: One that was trained with its task in view.
        how: Of the search.
        num_tasks: K.
        generator: Draws the guesses.
    Attributes:
        known: The hidden numbers of tasks of the train split, (P, H).
    Raises:
        ConfigError: If the family's tasks hide nothing.
    Source: Cully et al. 2015, arXiv:1407.3501 (what a repertoire can do, searched through by Bayesian
        optimization); Thompson 1933, Biometrika 25; Hvarfner et al. 2024, arXiv:2402.02229 (how far
        each number is expected to matter).
    Deviation: The repertoire is what a policy does as if it were in each train task, and nothing is known
        of that before the first episode. Returns are stretched at the top.
    """

    bound = math.inf  # what serves best need not be so, nor within the declared ranges

    def __init__(
        self,
        worlds: Worlds,
        policy: GaussianPolicy,
        how: BayesianOptimization,
        *,
        num_tasks: int,
        generator: torch.Generator,
    ):
        require_hidden(worlds)
        super().__init__(worlds, policy, num_tasks=num_tasks, generator=generator)
        self.how = how
        family, seed = worlds.family, int(torch.randint(2**31, (), generator=generator))
        known = family.sample(Streams.from_seed(seed, how.known), how.known, "train")
        self.known = hidden_of(known, family, worlds.spec).to(policy.context)
        self.mean = self.known.new_zeros(num_tasks, self.known.shape[1])
        self._tried = self.mean.new_empty(num_tasks, 0, self.known.shape[1])
        self._returns = self.mean.new_empty(num_tasks, 0)

    @torch.no_grad()
    def update(self) -> None:
        """As for `Adaptation`.

        Raises:
            TrainingError: If a return is not finite; names the tasks.
        """
        each = self.worlds.num_worlds // self.num_tasks
        guesses = self._choose(each)
        episodes = self._act_as_if(self.worlds, guesses.flatten(0, 1), deterministic=True)
        self.num_steps += episodes.num_steps
        returns = returns_of(episodes, self.mean, each)
        tried, brought = (
            torch.cat([self._tried, guesses], 1),
            torch.cat([self._returns, returns], 1),
        )
        kept = worth_keeping(brought, self.how.memory, each)
        self._tried, self._returns = rows(tried, kept), brought.gather(1, kept)
        self.mean = self._best()

    def state(self) -> State:
        """What is guessed of each task, (K, H)."""
        return {"mean": self.mean.clone()}

    def _choose(self, each: int) -> Tensor:
        """The next guesses of each task, (K, each, H)."""
        if not self._tried.shape[1]:
            return self._draw_known(each)
        candidates = self._candidates()
        draws = self._process().sample(candidates.double(), each, self.generator)
        return rows(candidates, draws.argmax(-1))

    def _best(self) -> Tensor:
        """The guess of which most is expected, among those that were tried, (K, H)."""
        expected, _ = self._process().predict(self._tried.double())
        says = self._returns.amax(1) > self._returns.amin(1)  # else all stays
        return torch.where(
            says[:, None], rows(self._tried, expected.argmax(1, True))[:, 0], self.mean
        )

    def _process(self) -> GaussianProcess:
        return fit(self._tried.double(), stretched(self._returns.double()))

    def _candidates(self) -> Tensor:
        """Known tasks, the best guess mixed with them, and guesses near it, (K, C, H)."""
        third = self.how.candidates // 3
        best = rows(self._tried, self._returns.argmax(1, True)).expand(-1, third, -1)
        mixed = torch.where(self._uniform(best) < _MIXED, self._draw_known(third), best)
        low, high = (math.log(step) for step in _STEPS)
        reach = torch.linspace(low, high, third).exp().to(best)[:, None]
        spread = self.known.std(0).clamp(min=_LEAST_SPREAD)
        noise = torch.randn(best.shape, generator=self.generator, device=self.generator.device)
        moved = reach * spread * noise.to(best) * (self._uniform(best) < _MOVED)
        return torch.cat([self._draw_known(third), mixed, best + moved], 1)

    def _draw_known(self, num: int) -> Tensor:
        """Draw known tasks for each, (K, num, H)."""
        which = torch.randint(
            len(self.known), (self.num_tasks, num), generator=self.generator,
            device=self.generator.device,
        )  # fmt: skip
        return self.known[which.to(self.known.device)]

    def _uniform(self, like: Tensor) -> Tensor:
        drawn = torch.rand(like.shape, generator=self.generator, device=self.generator.device)
        return drawn.to(like)


def rows(of: Tensor, which: Tensor) -> Tensor:
    """Take rows of each task, (K, N, H) and (K, M) -> (K, M, H)."""
    return of.gather(1, which[..., None].expand(-1, -1, of.shape[-1]))


def stretched(returns: Tensor) -> Tensor:
    """Stretch returns at the top, where it matters which is better, and press those below together.

    Args:
        returns: (K, M).
    Returns:
        Of mean 0 and variance 1 for each task; 0 where all are equal.
    """
    behind = returns.amax(1, keepdim=True) - returns
    usual = behind.median(1, keepdim=True).values.clamp(min=1e-9)
    values = -(behind / (_TOP * usual)).log1p()
    spread = values.std(1, keepdim=True, correction=0)
    return (values - values.mean(1, keepdim=True)) / spread.clamp(min=1e-9)


def worth_keeping(returns: Tensor, memory: int, latest: int) -> Tensor:
    """Choose which guesses are remembered: the latest, and the best of the others.

    Args:
        returns: Of all, the latest last, (K, N).
        memory: How many.
        latest: How many of the latest are kept in any case.
    Returns:
        Which, in their order, (K, M).
    """
    num = returns.shape[1]
    worth = returns.clone()
    worth[:, num - latest :] = math.inf
    return worth.topk(min(max(memory, latest), num), 1).indices.sort(1).values


def by_bayesian_optimization(
    checkpoint: Checkpoint, meeting: Meeting, how: BayesianOptimization
) -> ByBayesianOptimization:
    """Meet new tasks by guessing, with a policy that was trained with its task in view."""
    worlds = meeting.worlds()
    return ByBayesianOptimization(
        worlds, load_policy_for(checkpoint, worlds), how,
        num_tasks=meeting.num_tasks, generator=meeting.generator,
    )  # fmt: skip


METHOD = Method(
    "which known task is this one most like? A model of the returns chooses what to try",
    adapting=Adapting(
        by_bayesian_optimization, BayesianOptimization, needs="a policy that saw its task"
    ),
    source="Cully et al. 2015, arXiv:1407.3501",
)
