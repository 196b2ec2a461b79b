"""Imitation: a policy learns from what a family's expert does in a few episodes of each task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from metarl.adapt.adaptation import Adapted, ByParameters
from metarl.adapt.meeting import Meeting
from metarl.errors import ConfigError
from metarl.learn.rollout import Memoryless, play
from metarl.methods import Adapting, Method, get_adapting, strategy_names
from metarl.nn.functional import apply
from metarl.runs.checkpoint import Checkpoint
from metarl.sim.worlds import Worlds
from metarl.transfer.config import Imitation, joined
from metarl.transfer.start import student_of
from metarl.transfer.strategy import Strategy
from metarl.transfer.student import Student

EXPERT = "an expert"


def by_expert(strategy: type[Strategy]) -> Adapting:
    """Meet new tasks as a strategy says, taught by the family's expert."""

    def start(checkpoint: Checkpoint, meeting: Meeting, how: Any) -> ByParameters:
        worlds, student = student_of(
            checkpoint, meeting, strategy(how), log_std=how.log_std, rate=how.rate
        )
        if not worlds.family.has_expert():
            raise ConfigError(
                f"{worlds.family.id} has no expert that could teach; expected one of"
                f" {', '.join(by_reward_alone())}"
            )
        updates = imitate(
            worlds, student, how, updates=meeting.updates, generator=meeting.generator
        )
        return ByParameters(
            worlds, student.network, updates,
            num_tasks=meeting.num_tasks, generator=meeting.generator,
        )  # fmt: skip

    return Adapting(start, joined(Imitation, strategy.config), needs=EXPERT, strategy=strategy)


def taught(strategy: type[Strategy]) -> Method:
    """The method of a strategy whose teacher is the family's expert."""
    return Method(
        f"{strategy.doc}, taught by the family's expert",
        adapting=by_expert(strategy),
        source="Ross et al. 2011, arXiv:1011.0686",
    )


def by_reward_alone() -> list[str]:
    """List the strategies that need no expert."""
    return [name for name in strategy_names() if get_adapting(name).needs != EXPERT]


def imitate(
    worlds: Worlds, student: Student, how: Imitation, *, updates: int, generator: torch.Generator
) -> Iterator[Adapted]:
    """Adapt by imitation, every task on its own copy of the parameters.

    Before the first update the expert shows B episodes; before every further one the learner acts
    and the expert says what it would have done. Each update learns from all episodes so far.

    Args:
        worlds: As for `metarl.meta.maml.inner_loop.adapt_policy`; of a family with an expert.
        student: The policy, with K tasks.
        how: Steps and the rest; the rate is the student's.
        updates: How many updates, >= 1.
        generator: Draws the actions' noise and the minibatches.
    Yields:
        One `Adapted` an update; B episodes of each task are collected before it.
    Raises:
        TrainingError: If a policy is not finite any more.
    Source: Ross et al. 2011, arXiv:1011.0686.
    """
    num_tasks = student.num_tasks or 1
    seen: list[Lessons] = []
    for update in range(updates):
        now = {name: p.detach() for name, p in student.weights().items()}
        actor = _Pupil(worlds, student.network, now, num_tasks, shown=update == 0)
        episodes = play(
            worlds, actor, num_tasks=num_tasks, generator=generator, deterministic=actor.shown
        )
        rows = (episodes.obs, torch.stack(actor.answers), episodes.mask)
        seen.append(Lessons(*(episodes.by_task(x) for x in rows)))
        lessons = Lessons(*(torch.cat(x, 1) for x in zip(*seen)))
        learn(student, lessons, how, generator, (update / updates, (update + 1) / updates))
        student.require_finite()
        yield Adapted(student.finished(), episodes)


class Lessons(NamedTuple):
    """What an expert said about what a policy saw.

    Args:
        obs: Observations, (K, M, D).
        answer: The expert's actions, (K, M, A).
        mask: 1 where the step counts, (K, M).
    """

    obs: Tensor
    answer: Tensor
    mask: Tensor


def learn(
    student: Student,
    lessons: Lessons,
    how: Imitation,
    generator: torch.Generator,
    spent: tuple[float, float] = (0.0, 1.0),
) -> None:
    """Regress the mean action onto the expert's, in place.

    Args:
        student: The policy, with K tasks.
        lessons: What was seen and said.
        how: Steps and minibatch.
        generator: Draws the minibatches, on the CPU.
        spent: Shares of the budget that are spent before and after.
    """
    count, (begun, done) = lessons.obs.shape[1], spent
    for step in range(how.steps):
        share = min(1.0, 2.0 * (1.0 - step / how.steps))
        student.at(begun + (done - begun) * step / how.steps, share)
        rows = torch.randint(count, (how.minibatch,), generator=generator)
        loss = _loss(student, Lessons(*(x[:, rows.to(x.device)] for x in lessons)))
        student.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        student.optimizer.step()


def _loss(student: Student, lessons: Lessons) -> Tensor:
    obs, answer, mask = lessons
    mean, _ = apply(student.network, student.weights(), obs)
    error = ((mean - answer) ** 2).mean(-1)
    if student.teacher and student.teaching:
        error = error + student.teaching * ((mean - student.teach(obs)[0]) ** 2).mean(-1)
    pull = student.pull()
    # Summed over tasks: task k's gradient must not depend on how many there are.
    loss = ((error * mask).sum(1) / mask.sum(1).clamp(min=1.0)).sum()
    return loss if pull is None else loss + pull


class _Pupil(Memoryless):
    """Acts by the policy, or is shown by the expert, and notes what the expert says, (N, A) each."""

    def __init__(
        self,
        worlds: Worlds,
        policy: nn.Module,
        params: Mapping[str, Tensor],
        num_tasks: int,
        *,
        shown: bool,
    ):
        super().__init__(policy, params, num_tasks)
        self.worlds, self.shown = worlds, shown
        self.answers: list[Tensor] = []

    def act(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        said = np.clip(self.worlds.expert(), -1.0, 1.0).astype(np.float32)
        answer = torch.from_numpy(said).to(obs.device)
        self.answers.append(answer)
        mean, log_std = super().act(obs)
        return (answer if self.shown else mean), log_std
