"""Residual search: strategy optimization that also adds to the motions that a policy knows."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from metarl.adapt.adaptation import State
from metarl.adapt.meeting import Meeting
from metarl.errors import TrainingError
from metarl.learn.rollout import Trajectories
from metarl.methods import Adapting, Method
from metarl.nn.policy import GaussianPolicy
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.policies import load_policy_for
from metarl.sim.worlds import Worlds
from metarl.transfer.config import ResidualSearch
from metarl.transfer.strategy_optimization import BySearch
from metarl.types import Act


class ByResidualSearch(BySearch):
    """A policy whose guess of each hidden task changes, and what is added to its actions.

    What is added depends on the time in the episode alone; the policy goes on seeing to the rest. So
    a skill that it has never learned begins as the one that is most like it, and is bent from there.

    Args:
        worlds: K * B / G worlds: an update is G generations of episodes in them.
        policy: As for `BySearch`.
        how: Of the search.
        num_tasks: K.
        generations: G.
        generator: Draws the guesses.
    Raises:
        ConfigError: If the family's tasks hide nothing.
    Source: Silver et al. 2018, arXiv:1812.06298 (a residual on a policy that is kept); Theodorou et
        al. 2010, JMLR 11 (motions by parameters over time, moved by the returns of whole episodes).
    Deviation: No network, no gradient: the residual of each action is a line through a few knots, and
        moves by the cross-entropy method, as the guess of the hidden task does.
    """

    how: ResidualSearch

    def __init__(
        self,
        worlds: Worlds,
        policy: GaussianPolicy,
        how: ResidualSearch,
        *,
        num_tasks: int,
        generations: int,
        generator: torch.Generator,
    ):
        super().__init__(worlds, policy, how, num_tasks=num_tasks, generator=generator)
        self.generations, self.num_updates = generations, 0

    def _first_std(self) -> Tensor:
        numbers = self.how.knots * self.worlds.spec.action_dim
        return torch.cat([super()._first_std(), torch.full((numbers,), self.how.residual_std)])

    def update(self) -> None:
        """As for `Adaptation`.

        Raises:
            TrainingError: As for `BySearch`; all generations of the update are taken back then.
        """
        before = self.mean, self.std, self._tried, self._returns
        try:
            for _ in range(self.generations):
                if self.num_updates < self.how.task_first:
                    self._split(self.std)[1].zero_()
                super().update()
        except TrainingError:
            self.mean, self.std, self._tried, self._returns = before
            raise
        self.num_updates += 1
        if self.num_updates == self.how.task_first:
            self._split(self.std)[1].fill_(self.how.residual_std)
            # What was tried without adding anything says nothing of what to add.
            self._tried, self._returns = self._tried[:, :0], self._returns[:, :0]

    def state(self) -> State:
        """What each task goes by.

        Returns:
            ``mean``, the guess of what is hidden, (K, H), and ``residual``, what is added to actions
            at each knot, (K, knots, A).
        """
        mean, residual = self._split(self.mean)
        return {"mean": mean.clone(), "residual": residual.clone()}

    def judge(self, worlds: Worlds) -> Trajectories:
        each = worlds.num_worlds // self.num_tasks
        return self._play(worlds, self.mean.repeat_interleave(each, 0))

    def act_in(self, worlds: Worlds, task: int, state: State) -> Act:
        act = super().act_in(worlds, task, state)
        residual = (
            lines(worlds.spec.horizon, self.how.knots) @ state["residual"][task].cpu()
        ).numpy()

        def act_with_residual(obs: np.ndarray) -> np.ndarray:
            return act(obs) + residual[np.minimum(worlds.elapsed, len(residual) - 1)]

        return act_with_residual

    def _play(self, worlds: Worlds, guesses: Tensor) -> Trajectories:
        hidden, residual = self._split(guesses)
        weights = lines(worlds.spec.horizon, self.how.knots).to(residual)
        return self._act_as_if(
            worlds, hidden, deterministic=True,
            residual=torch.einsum("tk,nka->tna", weights, residual),
        )  # fmt: skip

    def _split(self, guesses: Tensor) -> tuple[Tensor, Tensor]:
        """The hidden numbers of guesses (N, P), and their residuals at each knot (N, knots, A)."""
        num_hidden = sum(self.worlds.spec.hidden)
        return guesses[:, :num_hidden], guesses[:, num_hidden:].unflatten(1, (self.how.knots, -1))


def lines(horizon: int, knots: int) -> Tensor:
    """How much each of several knots counts at each step of an episode, (horizon, knots)."""
    at = torch.linspace(0.0, knots - 1.0, horizon)[:, None]
    return (1.0 - (at - torch.arange(knots)).abs()).clamp(min=0.0)


def by_residual_search(
    checkpoint: Checkpoint, meeting: Meeting, how: ResidualSearch
) -> ByResidualSearch:
    """Meet new tasks by guessing, and by adding to the actions of a policy that saw its task.

    Raises:
        ConfigError: If an update's episodes cannot be shared among the generations.
    """
    generations = how.generations(meeting.episodes)
    worlds = meeting.worlds(generations)
    return ByResidualSearch(
        worlds, load_policy_for(checkpoint, worlds), how, num_tasks=meeting.num_tasks,
        generations=generations, generator=meeting.generator,
    )  # fmt: skip


METHOD = Method(
    "which known task is this one most like, and what must be added to its motions?",
    adapting=Adapting(by_residual_search, ResidualSearch, needs="a policy that saw its task"),
    source="Silver et al. 2018, arXiv:1812.06298; Theodorou et al. 2010, JMLR 11",
)
