"""Everything that decides what a PEARL run computes."""

from __future__ import annotations

import dataclasses
import math

from metarl.errors import require

# The policy's rate and log standard deviation.
_PRETRAINED, _FROM_NOTHING = (0.0, -2.0), (2e-3, -0.7)


@dataclasses.dataclass(frozen=True)
class PearlConfig:
    """Everything that decides what a PEARL run computes.

    Args:
        num_tasks: K, train tasks an iteration.
        episodes: B, episodes of each task before each update of the belief.
        updates: U.
        prior_std: Standard deviation of each hidden number before any episode, in units of the
            task block (a field's range spans 2; 0.58 is that of a uniform law over it).
        resolution: Standard deviation of the blur on every belief, likewise: none is sharper.
        evidence: Scale of what a transition says, > 0; below 1 for long episodes, whose many
            transitions say much the same, or the encoder begins by believing far too firmly.
        encoder_hidden: Widths of the encoder's layers.
        encoder_rate: Adam's rate for the encoder.
        encoder_steps: Adam steps an iteration on contexts.
        encoder_tasks: How many tasks' contexts each of them looks at.
        replay: From how many of the last iterations the contexts come.
        kl: Weight of the belief's divergence from the prior, >= 0.
        policy_rate: Adam's rate for the policy; 0: it stays as it was given. None: 0 for a
            pretrained policy, 2e-3 for one that starts from nothing.
        policy_epochs: Passes over an iteration's episodes, one Adam step a collection.
        clip: PPO's clip.
        entropy: Weight of the entropy bonus.
        max_grad_norm: Longest gradient of either network; longer ones are shortened.
        gamma: Discount per control step.
        lam: Of the generalised advantage estimate.
        anneal: Share of the budget, at its end, over which both rates fall linearly to 0.
        iterations: How many iterations the run has.
        max_seconds: Stop after this wall time [s]; None: never.
        seed: Of weights, worlds, tasks and noise.
        hidden: Widths of the policy's layers.
        log_std: First log standard deviation of the actions. None: -2 for a pretrained policy,
            which explores by its guesses of the task, -0.7 for one that starts from nothing.
        device: Where the networks live.
        task_visible: Whether the policy sees the hidden task; it must infer it, so False.
    """

    num_tasks: int = 20
    episodes: int = 10
    updates: int = 5
    prior_std: float = 0.58
    resolution: float = 0.02
    evidence: float = 1.0
    encoder_hidden: tuple[int, ...] = (64, 64)
    encoder_rate: float = 5e-3
    encoder_steps: int = 100
    encoder_tasks: int = 5
    replay: int = 4
    kl: float = 1e-3
    policy_rate: float | None = None
    policy_epochs: int = 8
    clip: float = 0.2
    entropy: float = 0.0
    max_grad_norm: float = 1.0
    gamma: float = 0.95
    lam: float = 0.95
    anneal: float = 0.5
    iterations: int = 20
    max_seconds: float | None = None
    seed: int = 0
    hidden: tuple[int, ...] = (64, 64)
    log_std: float | None = None
    device: str = "cpu"
    task_visible: bool = False

    def __post_init__(self) -> None:
        whole = ("num_tasks", "episodes", "updates", "encoder_steps", "encoder_tasks", "replay")
        for name in (*whole, "policy_epochs", "iterations"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "an integer >= 1")
        positive = ("prior_std", "resolution", "evidence", "encoder_rate", "clip", "max_grad_norm")
        for name in positive:
            value = getattr(self, name)
            require(math.isfinite(value) and value > 0.0, name, value, "a finite number > 0")
        for name in ("kl", "policy_rate", "entropy"):
            value = getattr(self, name)
            good = value is None or (math.isfinite(value) and value >= 0.0)
            require(good, name, value, "a finite number >= 0")
        for name in ("gamma", "lam", "anneal"):
            value = getattr(self, name)
            require(0.0 <= value <= 1.0, name, value, "a number in [0, 1]")
        require(self.seed >= 0, "seed", self.seed, "an integer >= 0")
        limit = self.max_seconds
        require(limit is None or limit > 0.0, "max_seconds", limit, "a time > 0 s or None")
        for name in ("hidden", "encoder_hidden"):
            widths = getattr(self, name)
            require(all(w >= 1 for w in widths), name, widths, "widths >= 1")
        require(not self.task_visible, "task_visible", self.task_visible, "False")

    def resolved(self, *, pretrained: bool) -> PearlConfig:
        """Fill in what depends on whether the policy was trained before."""
        rate, log_std = _PRETRAINED if pretrained else _FROM_NOTHING
        return dataclasses.replace(
            self,
            policy_rate=rate if self.policy_rate is None else self.policy_rate,
            log_std=log_std if self.log_std is None else self.log_std,
        )
