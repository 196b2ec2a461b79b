"""Imitation: a policy learns from what a family's expert does in a few episodes of each task."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from metarl.adapt.adaptation import Adapted, ByParameters, per_task
from metarl.adapt.meeting import Meeting
from metarl.errors import ConfigError
from metarl.learn.rollout import Memoryless, play
from metarl.methods import Adapting, Method, get_adapting, strategy_names
from metarl.nn.functional import apply, parameters_of
from metarl.runs.checkpoint import Checkpoint
from metarl.sim.worlds import Worlds
from metarl.transfer.config import Imitation
from metarl.transfer.strategy import Strategy, learned, student_of

EXPERT = "an expert"


def by_expert(strategy: Strategy) -> Adapting:
    """Meet new tasks as a strategy says, taught by the family's expert."""

    def start(checkpoint: Checkpoint, meeting: Meeting, how: Imitation) -> ByParameters:
        worlds, policy = student_of(checkpoint, meeting, strategy, how.log_std)
        if not worlds.family.has_expert():
            raise ConfigError(
                f"{worlds.family.id} has no expert that could teach; expected one of"
                f" {', '.join(by_reward_alone())}"
            )
        params = parameters_of(policy)
        updates = imitate(
            worlds, policy, params, replace(how, rate=how.rate * strategy.rate_scale),
            learned=learned(strategy, params), num_tasks=meeting.num_tasks,
            updates=meeting.updates, generator=meeting.generator,
        )  # fmt: skip
        return ByParameters(
            worlds, policy, updates, num_tasks=meeting.num_tasks, generator=meeting.generator
        )

    return Adapting(start, Imitation, needs=EXPERT, strategy=strategy)


def taught(strategy: Strategy) -> Method:
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
    worlds: Worlds,
    policy: nn.Module,
    params: Mapping[str, Tensor],
    how: Imitation,
    *,
    learned: Collection[str],
    num_tasks: int,
    updates: int,
    generator: torch.Generator,
) -> Iterator[Adapted]:
    """Adapt by imitation, every task on its own copy of the parameters.

    Before the first update the expert shows B episodes; before every further one the learner acts
    and the expert says what it would have done. Each update learns from all episodes so far.

    Args:
        worlds: As for `metarl.meta.maml.inner_loop.adapt_policy`; of a family with an expert.
        policy: The policy.
        params: Its parameters, each (...) or (K, ...).
        how: Rate, steps and the rest.
        learned: Names of the parameters that change.
        num_tasks: K.
        updates: How many updates, >= 1.
        generator: Draws the actions' noise and the minibatches.
    Yields:
        One `Adapted` an update; B episodes of each task are collected before it.
    Source: Ross et al. 2011, arXiv:1011.0686.
    """
    start = per_task(policy, params, num_tasks)
    now = {name: p.clone() for name, p in start.items()}
    # Adam works element by element, so one of it over (K, ...) tensors is K of them.
    leaves = [now[name].requires_grad_() for name in now if name in learned]
    optimizer = torch.optim.Adam(leaves, lr=how.rate)
    seen: list[Lessons] = []
    for update in range(updates):
        actor = _Pupil(worlds, policy, now, num_tasks, shown=update == 0)
        episodes = play(
            worlds, actor, num_tasks=num_tasks, generator=generator, deterministic=actor.shown
        )
        rows = (episodes.obs, torch.stack(actor.answers), episodes.mask)
        seen.append(Lessons(*(episodes.by_task(x) for x in rows)))
        learn(
            policy, now, Lessons(*(torch.cat(x, 1) for x in zip(*seen))), how, optimizer, generator
        )
        yield Adapted({name: p.detach().clone() for name, p in now.items()}, episodes)


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
    policy: nn.Module,
    params: Mapping[str, Tensor],
    lessons: Lessons,
    how: Imitation,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
) -> None:
    """Regress the mean action onto the expert's, in place.

    Args:
        policy: The policy.
        params: Its parameters, each (K, ...); those that learn are the optimizer's.
        lessons: What was seen and said.
        how: Steps, rate and minibatch.
        optimizer: Of the parameters that learn.
        generator: Draws the minibatches, on the CPU.
    """
    count = lessons.obs.shape[1]
    for step in range(how.steps):
        for group in optimizer.param_groups:
            group["lr"] = how.rate * min(1.0, 2.0 * (1.0 - step / how.steps))
        rows = torch.randint(count, (how.minibatch,), generator=generator)
        obs, answer, mask = (x[:, rows.to(x.device)] for x in lessons)
        mean, _ = apply(policy, params, obs)
        error = ((mean - answer) ** 2).mean(-1)
        # Summed over tasks: task k's gradient must not depend on how many there are.
        loss = ((error * mask).sum(1) / mask.sum(1).clamp(min=1.0)).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


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
