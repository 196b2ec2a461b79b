"""What a task's episodes teach: by its rewards, or by its expert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from metarl.errors import TrainingError
from metarl.learn.losses import clipped_surrogate, gae, gaussian_entropy, gaussian_log_prob
from metarl.learn.rollout import Memoryless, Trajectories, play
from metarl.multitask.config import MultiTaskConfig
from metarl.multitask.shared import Shells
from metarl.rl.lesson import Lesson, collect_lesson
from metarl.sim.worlds import Worlds
from metarl.types import Step

Samples = Mapping[str, Tensor]  # by name, (M, ...); ``obs`` among them


class Gathered(NamedTuple):
    """What an iteration's episodes of one task gave.

    Args:
        samples: What is learned from.
        outcome: What the episodes came to, by name.
        num_steps: Control steps.
    """

    samples: Samples
    outcome: dict[str, float]
    num_steps: int


class Learner(Protocol):
    """One way of learning a task."""

    def gather(self, k: int, worlds: Worlds, share: float) -> Gathered:
        """Run an episode in every world of task k; `share` is the expert's of the acting."""

    def prepare(self, samples: Sequence[Samples]) -> None:
        """See all tasks' samples before the gradient steps of an iteration."""

    def loss(self, k: int, some: Samples) -> Tensor:
        """What task k's policy is to make small, (); its gradient is one task's work."""

    def losses(self, some: Sequence[Samples]) -> Tensor:
        """The same of all tasks, (K,), up to rounding; their sum's gradient is soon found."""

    def value_losses(self, some: Sequence[Samples]) -> Tensor | None:
        """What the critics are to make small, (K,); None: there are none."""


class ByReward:
    """PPO, whose critic learns in units that the first iteration fixes for each task.

    Args:
        actor: The tasks' policies.
        critic: The tasks' critics.
        units: What each task's values are divided by, (K,); 0 where nobody has fixed them yet.
        config: Everything else.
        generator: Draws the actions' noise.
    Source: Schulman et al. 2017, arXiv:1707.06347.
    Deviation: Advantages are normalised within each task, and values have each task's own unit, or
        tasks with large rewards would learn alone.
    """

    def __init__(
        self,
        actor: Shells,
        critic: Shells,
        units: Tensor,
        config: MultiTaskConfig,
        generator: torch.Generator,
    ):
        self.actor, self.critic, self.units = actor, critic, units
        self.config, self.generator = config, generator

    def gather(self, k: int, worlds: Worlds, share: float) -> Gathered:
        policy, params = self.actor.networks[k], self.actor.parameters(k)
        acts = _Recording(policy, {n: p.detach() for n, p in params.items()}, worlds)
        episodes = play(worlds, acts, num_tasks=1, generator=self.generator)
        if not torch.isfinite(episodes.reward).all():
            raise TrainingError(f"rewards of {worlds.family.id} are not finite; update refused")
        samples = self._samples(k, episodes, acts)
        outcome = {
            "success": float(episodes.success.mean()),
            "return": float(episodes.returns.mean()),
        }
        return Gathered(samples, outcome, episodes.num_steps)

    @torch.no_grad()
    def _samples(self, k: int, episodes: Trajectories, acts: _Recording) -> Samples:
        gamma, lam = self.config.gamma, self.config.lam
        reward, ends, counts = episodes.reward, episodes.ends, episodes.mask > 0
        if self.units[k] == 0.0:
            plain = gae(
                reward, reward.new_zeros(len(reward) + 1, *reward.shape[1:]), ends, gamma, 1.0
            )
            size = plain[counts].square().mean().sqrt()
            self.units[k] = torch.where(size > _SMALL, size, torch.ones_like(size))
        unit = self.units[k]
        last = torch.from_numpy(acts.last).to(reward.device)
        cut = torch.from_numpy(acts.cut).to(reward.device)
        # What lies behind the time limit goes on being worth something.
        beyond = gamma * unit * self.critic(k, last) * cut
        values = unit * torch.cat([self.critic(k, episodes.obs), torch.zeros_like(beyond)[None]])
        advantage = gae(reward + ends * beyond, values, ends, gamma, lam)
        found = {
            "obs": episodes.obs[counts],
            "action": episodes.action[counts],
            "log_prob": episodes.log_prob[counts],
            "advantage": advantage[counts],
            "target": (advantage + values[:-1])[counts] / unit,
        }
        centred = found["advantage"] - found["advantage"].mean()
        return {**found, "advantage": centred / (centred.square().mean().sqrt() + _SMALL)}

    def prepare(self, samples: Sequence[Samples]) -> None:
        pass

    def loss(self, k: int, some: Samples) -> Tensor:
        return self._loss(self.actor(k, some["obs"]), some)

    def losses(self, some: Sequence[Samples]) -> Tensor:
        asked = self.actor.together([each["obs"] for each in some])
        return torch.stack([self._loss(given, each) for given, each in zip(asked, some)])

    def _loss(self, policy: tuple[Tensor, Tensor], some: Samples) -> Tensor:
        mean, log_std = policy
        log_prob = gaussian_log_prob(mean, log_std, some["action"])
        everything = torch.ones_like(log_prob)
        loss = clipped_surrogate(
            log_prob, some["log_prob"], some["advantage"], everything, self.config.clip
        )
        return loss - self.config.entropy * gaussian_entropy(log_std)

    def value_losses(self, some: Sequence[Samples]) -> Tensor | None:
        values = self.critic.together([each["obs"] for each in some])
        return squares(values, [each["target"] for each in some])


_SMALL = 1e-6


class _Recording(Memoryless):
    """Acts, and keeps what a world showed when its first episode was cut off."""

    def __init__(self, policy: nn.Module, params: Mapping[str, Tensor], worlds: Worlds):
        super().__init__(policy, params, 1)
        self.last = np.zeros((worlds.num_worlds, worlds.spec.obs_dim), np.float32)
        self.cut = np.zeros(worlds.num_worlds, np.float32)

    def see(self, action: Tensor, step: Step, alive: np.ndarray) -> None:
        ended = step.truncated & alive
        self.last[ended] = step.obs[ended]
        self.cut[ended] = 1.0


class ByExpert:
    """DAgger: the mean action becomes what the expert would have done.

    Args:
        actor: The tasks' policies.
        config: Everything else.
        generator: Draws noise, and whose turn it is.
    Source: Ross et al. 2011, arXiv:1011.0686.
    Deviation: As of `metarl.rl.dagger.DaggerTrainer`.
    """

    horizon = 0  # control steps after which somebody asks what came of an action

    def __init__(self, actor: Shells, config: MultiTaskConfig, generator: torch.Generator):
        self.actor, self.config, self.generator = actor, config, generator

    def gather(self, k: int, worlds: Worlds, share: float) -> Gathered:
        device = self.config.device
        with torch.no_grad():
            params = self.actor.parameters(k)  # once, for they stay during an episode

        @torch.no_grad()
        def act(obs: np.ndarray) -> np.ndarray:
            seen = torch.from_numpy(obs).to(device)
            mean, log_std = self.actor(k, seen, params)
            noise = torch.randn(mean.shape, generator=self.generator).to(mean.device)
            return (mean + log_std.exp() * noise).cpu().numpy()

        lesson = collect_lesson(
            worlds, act, share=share, segment=self.config.segment, generator=self.generator,
            horizon=self.horizon,
        )  # fmt: skip
        samples = {n: torch.from_numpy(x).to(device) for n, x in self.taught(lesson).items()}
        return Gathered(samples, lesson.outcome, len(lesson.obs))

    def taught(self, lesson: Lesson) -> dict[str, np.ndarray]:
        """What is learned of a lesson, by name, (M, ...)."""
        return {"obs": lesson.obs, "wanted": lesson.wanted}

    def prepare(self, samples: Sequence[Samples]) -> None:
        pass

    def loss(self, k: int, some: Samples) -> Tensor:
        return (self.actor(k, some["obs"])[0] - some["wanted"]).square().mean()

    def losses(self, some: Sequence[Samples]) -> Tensor:
        means = [mean for mean, _ in self.actor.together([each["obs"] for each in some])]
        return squares(means, [each["wanted"] for each in some])

    def value_losses(self, some: Sequence[Samples]) -> Tensor | None:
        return None


def squares(given: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Mean squared differences, one a task, (K,)."""
    return torch.stack([(x - y).square().mean() for x, y in zip(given, wanted)])


def take_rows(samples: Samples, rows: Tensor) -> dict[str, Tensor]:
    """Pick samples."""
    return {name: x[rows] for name, x in samples.items()}


def learner_of(
    config: MultiTaskConfig, actor: Shells, critic: Any, generator: torch.Generator
) -> Learner:
    """Make the learner that a config asks for.

    Args:
        config: With ``learner``.
        actor: The tasks' policies.
        critic: The tasks' critics and their units; None where there are none.
        generator: As for the learners.
    """
    if config.learner == "dagger":
        return ByExpert(actor, config, generator)
    return ByReward(actor, critic[0], critic[1], config, generator)
