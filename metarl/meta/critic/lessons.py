"""What a meta-critic learns from: episodes of tasks, the traces before them, and TD targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from metarl.errors import TrainingError
from metarl.learn.losses import gae, masked_mean
from metarl.learn.rollout import Trajectories
from metarl.nn.critics import MetaCritic

_OF_STEPS = ("obs", "action", "time", "reward", "ends", "mask")  # fields (K, T, B, ...)
_NO_SPREAD = 1e-8  # of targets that are all alike


class Lesson(NamedTuple):
    """One collection: B episodes of T steps of each of K tasks, by that task's actor.

    Args:
        obs: What the actor saw, guesses of the hidden task included, shape (K, T, B, D).
        action: As sampled, shape (K, T, B, A).
        time: Share of the horizon before the step, shape (K, T, B).
        reward: Shape (K, T, B).
        ends: 1 at the last step of an episode, shape (K, T, B).
        mask: 1 up to the last step of the episode, shape (K, T, B); T is the horizon.
        trace: k transitions (s, a, r) of each episode, shape (K, B, k, D + A + 1).
        task: The ``task`` block as who sees everything sees it, shape (K, C).
    """

    obs: Tensor
    action: Tensor
    time: Tensor
    reward: Tensor
    ends: Tensor
    mask: Tensor
    trace: Tensor
    task: Tensor


def make_lesson(episodes: Trajectories, task: Tensor, horizon: int, length: int) -> Lesson:
    """Turn a collection into a lesson.

    Args:
        episodes: B of each of K tasks.
        task: Their ``task`` blocks, shape (K, C).
        horizon: Control steps of a whole episode.
        length: k, transitions of each episode in its trace.
    Raises:
        TrainingError: If rewards are not finite.
    """
    if not torch.isfinite(episodes.reward).all():
        finite = torch.isfinite(episodes.by_task(episodes.reward)).all(1)
        bad = (~finite).nonzero()[:, 0].tolist()[:10]
        raise TrainingError(f"rewards are not finite in tasks {bad}; update refused")
    num_worlds, missing = episodes.reward.shape[1], horizon - len(episodes.reward)
    time = (torch.arange(horizon, device=task.device) / horizon)[:, None].expand(-1, num_worlds)
    rows = [x.unsqueeze(-1) if x.dim() == 2 else x for x in _columns(episodes)]
    padded = [pad(x, (0, 0, 0, 0, 0, missing)) for x in rows]
    obs, action, *rest = (_by_task(x, episodes.num_tasks) for x in padded)
    reward, ends, mask = (x[..., 0] for x in rest)
    trace = _traces(episodes, length)
    return Lesson(obs, action, _by_task(time, len(task)), reward, ends, mask, trace, task)


def _columns(episodes: Trajectories) -> tuple[Tensor, ...]:
    return episodes.obs, episodes.action, episodes.reward, episodes.ends, episodes.mask


def _by_task(x: Tensor, num_tasks: int) -> Tensor:
    """Regroup (T, N, ...) by task: (K, T, B, ...)."""
    return x.unflatten(1, (num_tasks, -1)).movedim(1, 0)


def _traces(episodes: Trajectories, length: int) -> Tensor:
    """Pick transitions evenly from each episode, (K, B, k, F)."""
    steps = episodes.mask.sum(0)  # (N,)
    middles = (torch.arange(length, device=steps.device) + 0.5) / length
    when = (middles[:, None] * steps).long()  # (k, N)
    who = torch.arange(len(steps), device=steps.device)
    rows = torch.cat([episodes.obs, episodes.action, episodes.reward[..., None]], dim=-1)
    return rows[when, who].transpose(0, 1).unflatten(0, (episodes.num_tasks, -1))


class Pair(NamedTuple):
    """K tasks with their actors: what these did, and what was known of them before.

    Args:
        lesson: What they did.
        before: Traces of earlier collections, shape (K, E, k, F).
    """

    lesson: Lesson
    before: Tensor


def draw_pair(
    memory: Sequence[Sequence[Lesson]],
    num: int,
    judged: int,
    encoded: int,
    generator: torch.Generator,
) -> Pair:
    """Draw lessons that are not an actor's first, and traces from before them.

    Args:
        memory: Lessons of K tasks and their actors in the order of their collection, for each
            iteration that is remembered.
        num: How many lessons.
        judged: Episodes of each task that are kept of a lesson.
        encoded: Traces of each task.
        generator: Draws everything.
    Returns:
        One pair of num * K tasks.
    """
    drawn = []
    for i in torch.randint(len(memory), (num,), generator=generator).tolist():
        lessons = memory[i]
        u = int(torch.randint(1, len(lessons), (), generator=generator))
        known = torch.cat([lesson.trace for lesson in lessons[:u]], dim=1)
        drawn.append((*_part(lessons[u], judged, generator), _some(known, encoded, generator)))
    *lesson, before = (torch.cat(column) for column in zip(*drawn))
    return Pair(Lesson(*lesson), before)


def _part(lesson: Lesson, num: int, generator: torch.Generator) -> Lesson:
    """Draw episodes of each task."""
    size, device = (len(lesson.task), num), lesson.task.device
    who = torch.randint(lesson.reward.shape[2], size, generator=generator).to(device)
    each = torch.arange(len(who), device=device)[:, None]
    rows = {name: getattr(lesson, name).transpose(1, 2) for name in _OF_STEPS}
    return lesson._replace(**{n: x[each, who].transpose(1, 2) for n, x in rows.items()})


def _some(traces: Tensor, num: int, generator: torch.Generator) -> Tensor:
    """Draw traces of each task, (K, E, k, F) -> (K, num, k, F)."""
    size = (len(traces), num)
    some = torch.randint(traces.shape[1], size, generator=generator).to(traces.device)
    return traces[torch.arange(len(traces), device=traces.device)[:, None], some]


def targets(value: Tensor, lesson: Lesson, gamma: float, lam: float) -> Tensor:
    """Compute what the values of the actions taken should be.

    With lam = 0 this is r + gamma Q(s', a', z); rewards are scaled by 1 - gamma, so that
    values are averages of rewards, whatever the discount.

    Args:
        value: The critic's values of the actions taken, shape (K, T, B).
        lesson: What happened.
        gamma: Discount per control step.
        lam: Share of what comes after the next step that is taken from what happened.
    Returns:
        Targets, shape (K, T, B); episodes end for good at their last step.
    Source: Sung et al. 2017, arXiv:1706.09529 (temporal-difference error of the meta-critic).
    Deviation: lam > 0 (the authors' code looks several steps ahead too).
    """
    values = torch.cat([value, torch.zeros_like(value[:, :1])], dim=1).movedim(1, 0)
    reward, ends = ((1.0 - gamma) * lesson.reward).movedim(1, 0), lesson.ends.movedim(1, 0)
    return (gae(reward, values, ends, gamma, lam) + values[:-1]).movedim(0, 1)


class Errors(NamedTuple):
    """How wrong a critic is.

    Args:
        value: Mean squared temporal-difference error, in units of the targets' variance.
        task: Mean squared error of the told ``task`` block; 0 where it is not asked for.
    """

    value: Tensor
    task: Tensor


def critic_errors(critic: MetaCritic, pair: Pair, gamma: float, lam: float) -> Errors:
    """Compare the critic with its targets.

    Args:
        critic: The critic.
        pair: K tasks with their actors.
        gamma: Discount per control step.
        lam: Of `targets`.
    """
    lesson = pair.lesson
    embedding = critic.embed(pair.before)
    flat = (x.flatten(1, 2) for x in (lesson.obs, lesson.action, lesson.time))
    value = critic(*flat, embedding).view_as(lesson.reward)
    target = targets(value.detach(), lesson, gamma, lam)
    wrong = _mean((value - target).square(), lesson.mask)
    spread = _mean((target - _mean(target, lesson.mask)).square(), lesson.mask)
    told = critic.tell_task(embedding)
    missed = wrong.new_zeros(()) if told is None else (told - lesson.task).square().mean()
    return Errors(wrong / spread.clamp(min=_NO_SPREAD), missed)


def _mean(x: Tensor, mask: Tensor) -> Tensor:
    return masked_mean(x.flatten(), mask.flatten())
