"""By reward: a policy goes on learning with an ordinary optimiser, in many tasks at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from metarl.adapt.adaptation import Adapted, ByParameters
from metarl.adapt.meeting import Meeting
from metarl.learn.losses import clipped_surrogate, gaussian_kl, masked_mean
from metarl.learn.rollout import collect
from metarl.meta.baseline import make_batch
from metarl.meta.maml.inner import Batch, log_prob_of
from metarl.methods import Adapting
from metarl.nn.functional import apply
from metarl.runs.checkpoint import Checkpoint
from metarl.sim.worlds import Worlds
from metarl.transfer.config import FineTuning, joined
from metarl.transfer.start import student_of
from metarl.transfer.strategy import Strategy
from metarl.transfer.student import Student


def by_reward(strategy: type[Strategy]) -> Adapting:
    """Meet new tasks as a strategy says, learning from reward."""

    def start(checkpoint: Checkpoint, meeting: Meeting, how: Any) -> ByParameters:
        worlds, student = student_of(
            checkpoint, meeting, strategy(how), log_std=how.log_std, rate=how.rate
        )
        updates = fine_tune(
            worlds, student, how, updates=meeting.updates, generator=meeting.generator
        )
        return ByParameters(
            worlds, student.network, updates,
            num_tasks=meeting.num_tasks, generator=meeting.generator,
        )  # fmt: skip

    return Adapting(start, joined(FineTuning, strategy.config), strategy=strategy)


def fine_tune(
    worlds: Worlds, student: Student, how: FineTuning, *, updates: int, generator: torch.Generator
) -> Iterator[Adapted]:
    """Adapt by PPO with an ordinary optimiser, every task on its own copy of the parameters.

    Args:
        worlds: As for `metarl.meta.maml.inner_loop.adapt_policy`.
        student: The policy, with K tasks.
        how: Epochs and the rest; the rate is the student's.
        updates: How many updates, >= 1.
        generator: Draws the actions' noise.
    Yields:
        One `Adapted` an update; B episodes of each task are collected before it.
    Raises:
        TrainingError: If a policy is not finite any more.
    """
    num_tasks = student.num_tasks or 1
    for update in range(updates):
        now = {name: p.detach() for name, p in student.weights().items()}
        episodes = collect(worlds, student.network, now, num_tasks=num_tasks, generator=generator)
        batch = make_batch(episodes, how.gamma, how.lam)
        teacher = student.teach(batch.obs) if student.teacher else None
        for epoch in range(how.epochs):
            student.at((update * how.epochs + epoch) / (updates * how.epochs))
            student.optimizer.zero_grad(set_to_none=True)
            _loss(student, batch, teacher, how.clip).backward()
            student.optimizer.step()
        student.require_finite()
        yield Adapted(student.finished(), episodes)


def _loss(
    student: Student, batch: Batch, teacher: tuple[Tensor, Tensor] | None, clip: float
) -> Tensor:
    mean, log_std = apply(student.network, student.weights(), batch.obs)
    log_prob = log_prob_of((mean, log_std), batch.action)
    loss = clipped_surrogate(log_prob, batch.log_prob, batch.advantage, batch.mask, clip)
    if teacher is not None and student.teaching:
        like, its_std = teacher
        away = gaussian_kl(like, its_std.unsqueeze(-2), mean, log_std.unsqueeze(-2))
        loss = loss + student.teaching * masked_mean(away, batch.mask)
    pull = student.pull()
    # Summed, not averaged: task k's gradient must not depend on how many tasks there are.
    return loss.sum() if pull is None else loss.sum() + pull
