"""Trials: several episodes of one task each, with the memory carried from one to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metarl.errors import TrainingError
from metarl.learn.losses import gae
from metarl.learn.rollout import Trajectories, play
from metarl.nn.recurrent import RecurrentPolicy
from metarl.sim.blocks import ObservationStack
from metarl.sim.worlds import Worlds
from metarl.types import Spec, Step


def reading_width(spec: Spec) -> int:
    """How many numbers a memory reads of a step; see `reading`."""
    return spec.obs_dim + spec.action_dim + 2


def reading(action: Tensor, step: Step) -> Tensor:
    """Put together what a memory reads of a step.

    Args:
        action: As sampled, shape (N, A).
        step: What it led to.
    Returns:
        The observation after the step, the action as it was carried out, whether an episode
        ended, and the reward, shape (N, I).
    Raises:
        TrainingError: If rewards are not finite; names the worlds.
    Source: Duan et al. 2016, arXiv:1611.02779, section 2.2.
    Deviation: A step is read once it is over, with the observation that it led to: also an
        episode's last one. What the policy sees now it sees without a memory's help.
    """
    if not np.isfinite(step.reward).all():
        bad = np.flatnonzero(~np.isfinite(step.reward)).tolist()
        raise TrainingError(f"rewards are not finite in worlds {bad[:10]}; no memory can read them")
    ended = (step.terminated | step.truncated).astype(np.float32)
    told = np.concatenate([step.obs, ended[:, None], step.reward[:, None]], axis=1)
    before, after = torch.from_numpy(told).to(action.device).split([told.shape[1] - 2, 2], dim=-1)
    return torch.cat([before, action.clamp(-1.0, 1.0), after], dim=-1)


class Remembering:
    """Acts by a policy with a memory.

    Args:
        policy: The policy.
        memory: What it remembers at first, shape (N, H).
    Attributes:
        memory: What it remembers now; a world whose episode ended keeps it until the next one.
    """

    def __init__(self, policy: RecurrentPolicy, memory: Tensor):
        self.policy, self.memory = policy, memory

    @property
    def device(self) -> torch.device:
        return self.memory.device

    def act(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.policy(obs, self.memory)
        return mean, log_std.expand_as(mean)

    def see(self, action: Tensor, step: Step, alive: np.ndarray) -> None:
        self.take_in(reading(action, step), torch.from_numpy(alive).to(action.device))

    def take_in(self, read: Tensor, alive: Tensor) -> None:
        """Remember what was read, (N, I), where it counts, (N,)."""
        after = self.policy.memory.remember(read[None], self.memory)[0]
        self.memory = torch.where(alive[:, None], after, self.memory)


class _Recording(Remembering):
    """Keeps each step's reading (N, I) too, and the memory (N, H) before it."""

    def __init__(self, policy: RecurrentPolicy, memory: Tensor):
        super().__init__(policy, memory)
        self.memories: list[Tensor] = []
        self.readings: list[Tensor] = []

    def take_in(self, read: Tensor, alive: Tensor) -> None:
        self.memories.append(self.memory)
        self.readings.append(read)
        super().take_in(read, alive)


class Lesson(NamedTuple):
    """What of trials tells their tasks.

    Args:
        read: What the memory read of each step, shape (T, N, I).
        mask: 1 up to the last step of the trial, then 0, shape (T, N).
        truth: The whole ``task`` block, shape (N, C).
    """

    read: Tensor
    mask: Tensor
    truth: Tensor

    def some(self, ids: Tensor) -> Lesson:
        """Pick trials by number, shape (n,)."""
        return Lesson(self.read[:, ids], self.mask[:, ids], self.truth[ids])


@dataclass(frozen=True)
class Trials:
    """N trials, step by step without gaps: what follows a trial's last step is masked.

    Args:
        obs: Shape (T, N, D), the hidden task columns 0.
        action: As sampled, shape (T, N, A).
        log_prob: Of the action then, shape (T, N).
        reward: Shape (T, N).
        ends: 1 at the last step of each episode, shape (T, N).
        mask: 1 up to the last step of the trial, then 0, shape (T, N).
        read: What the memory read of each step, shape (T, N, I).
        clock: When it was: share of the episode's horizon, and of the trial, shape (T, N, 2).
        memory: Before each step, as it acted, shape (T, N, H).
        truth: The whole ``task`` block, shape (N, C).
    """

    obs: Tensor
    action: Tensor
    log_prob: Tensor
    reward: Tensor
    ends: Tensor
    mask: Tensor
    read: Tensor
    clock: Tensor
    memory: Tensor
    truth: Tensor

    def some(self, ids: Tensor) -> Trials:
        """Pick trials by number, shape (n,)."""
        rows = {f.name: getattr(self, f.name)[:, ids] for f in fields(self) if f.name != "truth"}
        return Trials(**rows, truth=self.truth[ids])

    @property
    def lesson(self) -> Lesson:
        """What of them tells their tasks."""
        return Lesson(self.read, self.mask, self.truth)

    @property
    def seen(self) -> Tensor:
        """Observations with the task in view, shape (T, N, D)."""
        split = self.obs.shape[-1] - self.truth.shape[-1]
        truth = self.truth.expand(len(self.obs), *self.truth.shape)
        return torch.cat([self.obs[..., :split], truth], dim=-1)


def true_task(worlds: Worlds) -> Tensor:
    """The ``task`` block of all worlds as it is where nothing is hidden, shape (N, C)."""
    stack = ObservationStack(worlds.spec, worlds.family.task_type)
    stack.show(worlds.task, True)
    return torch.from_numpy(stack.blank()[:, worlds.spec.slice("task")])


@torch.no_grad()
def run_trials(
    worlds: Worlds,
    policy: RecurrentPolicy,
    *,
    num_tasks: int,
    length: int,
    generator: torch.Generator,
) -> tuple[Trials, list[Trajectories]]:
    """Run a trial in every world.

    Args:
        worlds: As for `metarl.learn.rollout.play`.
        policy: Starts each trial without memories.
        num_tasks: K.
        length: Episodes of a trial.
        generator: Draws the actions' noise.
    Returns:
        The trials, and their episodes one after another.
    """
    actor = _Recording(policy, policy.memory.start(worlds.num_worlds))
    episodes = [
        play(worlds, actor, num_tasks=num_tasks, generator=generator) for _ in range(length)
    ]
    names = ("obs", "action", "log_prob", "reward", "ends", "mask")
    steps = {name: torch.cat([getattr(e, name) for e in episodes]) for name in names}
    steps["read"], steps["memory"] = torch.stack(actor.readings), torch.stack(actor.memories)
    steps["clock"] = _clock(episodes, worlds.spec.horizon).to(actor.device)
    return Trials(**_without_gaps(steps), truth=true_task(worlds).to(actor.device)), episodes


def _clock(episodes: Sequence[Trajectories], horizon: int) -> Tensor:
    """Shape (T, N, 2)."""
    rows = [
        torch.stack(torch.broadcast_tensors(
            torch.arange(len(e.obs)) / horizon, torch.tensor(number / len(episodes))
        ), -1)
        for number, e in enumerate(episodes)
    ]  # fmt: skip
    return torch.cat(rows)[:, None].expand(-1, episodes[0].obs.shape[1], -1)


def _without_gaps(steps: dict[str, Tensor]) -> dict[str, Tensor]:
    """Move the steps that do not count, those after an early end, behind all that do."""
    dead = steps["mask"] == 0
    if not dead.any():
        return steps
    order = torch.argsort(dead.to(torch.uint8), dim=0, stable=True)  # (T, N)
    longest = int((~dead).sum(0).max())
    columns = torch.arange(order.shape[1], device=order.device)
    return {name: x[order, columns][:longest] for name, x in steps.items()}


def advantages(
    trials: Trials, values: Tensor, gamma: float, lam: float, across: bool
) -> tuple[Tensor, Tensor]:
    """Estimate normalised advantages, and what the values should have been.

    Args:
        trials: The trials.
        values: State values, shape (T, N).
        gamma: Discount per control step.
        lam: Of `gae`.
        across: Look on from an episode's end into the trial's next one.
    Returns:
        Advantages and targets of the values, shape (T, N) each, 0 outside the mask.
    """
    mask, ends = trials.mask, trials.ends
    if across:
        following = torch.cat([mask[1:], torch.zeros_like(mask[:1])])
        ends = mask * (1.0 - following)
    after = torch.cat([values, torch.zeros_like(values[:1])])
    raw = gae(trials.reward, after, ends, gamma, lam)
    count = mask.sum()
    centred = (raw - (raw * mask).sum() / count) * mask
    scale = ((centred**2).sum() / count).sqrt()
    return centred / (scale + 1e-8), (raw + values) * mask
