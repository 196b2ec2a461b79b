"""The one loop in which our policies meet worlds."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from metarl.errors import ShapeError
from metarl.learn.losses import gaussian_log_prob
from metarl.learn.share import Pace, Share, alone, randn
from metarl.nn.functional import apply
from metarl.sim.worlds import Worlds
from metarl.types import Step


@dataclasses.dataclass(frozen=True)
class Trajectories:
    """One episode in each of N = K * B worlds; task k's are rows k*B ... k*B + B - 1.

    Args:
        num_tasks: K.
        obs: What the policy saw before each action, shape (T, N, D).
        action: As sampled, not clipped, shape (T, N, A).
        mean: The policy's mean action, shape (T, N, A).
        log_prob: Log density of the action, shape (T, N).
        reward: Summed weighted terms, 0 outside the mask, shape (T, N).
        ends: 1 at the last step of an episode, shape (T, N).
        mask: 1 up to the last step of the episode, then 0, shape (T, N).
        success: Judged at the episode's last step, shape (N,), bool.
        score: Graded then, in [0, 1], shape (N,).
        returns: Sum of rewards over the episode, shape (N,).
        terms: Mean per control step of each weighted reward term.
        num_steps: Control steps simulated, masked ones included.
        num_diverged: Episodes that physics ended.
        seconds: Wall time of the rollout [s].
    """

    num_tasks: int
    obs: Tensor
    action: Tensor
    mean: Tensor
    log_prob: Tensor
    reward: Tensor
    ends: Tensor
    mask: Tensor
    success: np.ndarray
    score: np.ndarray
    returns: np.ndarray
    terms: Mapping[str, float]
    num_steps: int
    num_diverged: int
    seconds: float

    def by_task(self, x: Tensor) -> Tensor:
        """Regroup (T, N, ...) by task: (K, T * B, ...), time-major within a task."""
        return x.unflatten(1, (self.num_tasks, -1)).transpose(0, 1).flatten(1, 2)


class _Ledger:
    """What the worlds report, step by step."""

    def __init__(self, worlds: Worlds):
        n, horizon = worlds.num_worlds, worlds.spec.horizon
        self.alive = np.ones(n, bool)
        self.success = np.zeros(n, bool)
        self.score = np.zeros(n, np.float32)
        self.reward = np.zeros((horizon, n), np.float32)
        self.ends = np.zeros((horizon, n), np.float32)
        self.mask = np.zeros((horizon, n), np.float32)
        self.terms = {name: 0.0 for name in worlds.family.weights}
        self.num_diverged = 0

    def write(self, t: int, step: Step) -> None:
        """Book one step; what a world does after its first episode does not count."""
        alive = self.alive
        self.mask[t] = alive
        self.reward[t] = np.where(alive, step.reward, 0.0)
        self.success = np.where(alive, step.success, self.success)
        self.score = np.where(alive, step.score, self.score)
        for name, values in step.terms.items():
            self.terms[name] += float(values[alive].sum())
        self.num_diverged += int((step.diverged & alive).sum())
        done = (step.terminated | step.truncated) & alive
        self.ends[t] = done
        self.alive = alive & ~done


class Actor(Protocol):
    """What acts in N worlds, step by step, and may remember what came of it."""

    @property
    def device(self) -> torch.device:
        """Where it acts."""

    def act(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Map observations (N, D) to mean and log standard deviation, (N, A) each.

        The log standard deviation is the same at every step of an episode.
        """

    def see(self, action: Tensor, step: Step, alive: np.ndarray) -> None:
        """Take note of a step.

        Args:
            action: As sampled, shape (N, A).
            step: What it led to; where an episode ended, its last observation.
            alive: Where the step counts, shape (N,), bool.
        """


class Memoryless:
    """Acts by a policy whose parameters are given, and remembers nothing.

    Args:
        policy: Maps observations to mean and log standard deviation.
        params: Its parameters, each (K, ...), or (...) if all tasks share them.
        num_tasks: K.
    """

    def __init__(self, policy: nn.Module, params: Mapping[str, Tensor], num_tasks: int):
        self.policy, self.params, self.num_tasks = policy, params, num_tasks

    @property
    def device(self) -> torch.device:
        return next(iter(self.params.values())).device

    def act(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        by_task = obs.unflatten(0, (self.num_tasks, -1))
        mean, log_std = apply(self.policy, self.params, by_task)
        return mean.flatten(0, 1), log_std.repeat_interleave(by_task.shape[1], 0)

    def see(self, action: Tensor, step: Step, alive: np.ndarray) -> None:
        pass


def collect(
    worlds: Worlds,
    policy: nn.Module,
    params: Mapping[str, Tensor],
    *,
    num_tasks: int,
    generator: torch.Generator,
    deterministic: bool = False,
    offset: Tensor | None = None,
    residual: Tensor | None = None,
) -> Trajectories:
    """Run one episode in every world, all in lockstep, by a policy without memory.

    Args:
        worlds: N = K * B worlds; those of task k are rows k*B ... k*B + B - 1. All are reset.
        policy: Maps observations to mean and log standard deviation.
        params: Its parameters, each (K, ...), or (...) if all tasks share them. The policy
            acts on their device.
        num_tasks: K.
        generator: Draws the actions' noise.
        deterministic: Act with the mean.
        offset: Added to the ``task`` block of all of an episode's observations, (N, C).
        residual: Added to the mean actions, step by step of the horizon H, (H, N, A).
    Returns:
        The episodes; T is the longest one's length.
    Raises:
        ShapeError: If N is not a multiple of K, or the policy gives numbers that are not finite.
    """
    return play(
        worlds, Memoryless(policy, params, num_tasks), num_tasks=num_tasks,
        generator=generator, deterministic=deterministic, offset=offset, residual=residual,
    )  # fmt: skip


def play(
    worlds: Worlds,
    actor: Actor,
    *,
    num_tasks: int,
    generator: torch.Generator,
    deterministic: bool = False,
    offset: Tensor | None = None,
    residual: Tensor | None = None,
) -> Trajectories:
    """Run one episode in every world, all in lockstep, by anything that acts.

    Args:
        worlds: As for `collect`.
        actor: What acts; a memory that it has is carried on from what it did before.
        num_tasks: K.
        generator: Draws the actions' noise.
        deterministic: Act with the mean.
        offset: As for `collect`.
        residual: Likewise.
    Returns:
        The episodes; T is the longest one's length.
    Raises:
        ShapeError: As for `collect`.
    """
    return alone(
        playing(
            worlds, actor, num_tasks=num_tasks, generator=generator,
            deterministic=deterministic, offset=offset, residual=residual,
        )
    )  # fmt: skip


@torch.no_grad()
def playing(
    worlds: Worlds,
    actor: Actor,
    *,
    num_tasks: int,
    generator: torch.Generator,
    deterministic: bool = False,
    offset: Tensor | None = None,
    residual: Tensor | None = None,
    share: Share | None = None,
) -> Pace[Trajectories]:
    """Run episodes as `play` does, of worlds that may be a part of a batch.

    Args:
        share: Which part; None: all of it. The others are as for `play`.
    Yields:
        Once, the length of the longest episode here; it is sent that of the longest in the batch.
    Returns:
        The episodes; T is the length of the longest in the batch.
    """
    start_s = time.perf_counter()
    if num_tasks < 1 or worlds.num_worlds % num_tasks:
        raise ShapeError(f"{worlds.num_worlds} worlds cannot be shared by {num_tasks} tasks")
    device = actor.device
    spec, n = worlds.spec, worlds.num_worlds
    shape = (spec.horizon, n, spec.action_dim)
    noise = torch.zeros(shape) if deterministic else randn(shape, 1, generator, share)
    noise = noise.to(device)
    if offset is not None:
        offset = offset.to(device)
    if residual is not None:
        residual = residual.to(device)
    obs_all = torch.empty(spec.horizon, n, spec.obs_dim, device=device)
    mean_all, action_all = torch.empty(shape, device=device), torch.empty(shape, device=device)
    ledger = _Ledger(worlds)
    obs, t, length, told = worlds.reset(), 0, spec.horizon, False
    log_std = torch.zeros(())
    while t < length:
        obs_all[t] = torch.from_numpy(obs)
        if offset is not None:
            obs_all[t, :, spec.obs_dim - spec.task_dim :] += offset
        mean_all[t], log_std = actor.act(obs_all[t])
        if residual is not None:
            mean_all[t] += residual[t]
        action_all[t] = mean_all[t] + log_std.exp() * noise[t]
        action = action_all[t]
        step = worlds.step(action.cpu().numpy())
        actor.see(action, step, ledger.alive)
        ledger.write(t, step)
        obs, t = step.obs, t + 1
        if not told and not ledger.alive.any():
            length, told = (yield t), True
        if t < length and worlds.done.any():
            obs = worlds.reset(worlds.done)
    action, mean = action_all[:t], mean_all[:t]
    return _finish(
        worlds, ledger, t, num_tasks, start_s,
        obs=obs_all[:t], action=action, mean=mean,
        log_prob=gaussian_log_prob(mean, log_std, action),
    )  # fmt: skip


def _finish(
    worlds: Worlds, ledger: _Ledger, t: int, num_tasks: int, start_s: float, **tensors: Tensor
) -> Trajectories:
    device = tensors["obs"].device
    rows = {
        name: torch.from_numpy(getattr(ledger, name)[:t]).to(device)
        for name in ("reward", "ends", "mask")
    }
    count = ledger.mask.sum()
    return Trajectories(
        num_tasks=num_tasks,
        **tensors,
        **rows,
        success=ledger.success,
        score=ledger.score,
        returns=ledger.reward.sum(0),
        terms={name: float(total / count) for name, total in ledger.terms.items()},
        num_steps=t * worlds.num_worlds,
        num_diverged=ledger.num_diverged,
        seconds=time.perf_counter() - start_s,
    )
