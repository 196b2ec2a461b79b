"""Everything that decides what an RL2 run computes."""

from __future__ import annotations

import dataclasses
import math

from metarl.errors import require


@dataclasses.dataclass(frozen=True)
class Rl2Config:
    """Everything that decides what an RL2 run computes.

    Args:
        num_tasks: K, train tasks an iteration.
        episodes: B, trials of each task side by side.
        trial: Episodes of a trial: the memory is carried from one to the next.
        memory: H, width of the memory.
        embed: Widths of the layers between a step and the memory; none if empty.
        policy_rate: Adam's rate for the policy.
        memory_rate: Adam's rate for the memory, where it learns from rewards.
        critic_rate: Adam's rate for the critic.
        task_loss: Adam steps an iteration by which the memory also learns to tell the hidden
            task, which is known in training; 0: it learns from rewards alone.
        task_rate: Adam's rate for these steps.
        replay: From how many of the last iterations the trials for these steps come.
        epochs: Passes over an iteration's trials.
        minibatches: Adam steps of a pass, each on some of the trials, whole ones.
        clip: PPO's clip.
        entropy: Weight of the entropy bonus.
        max_grad_norm: Longest gradient of policy, memory or critic; longer ones are shortened.
        gamma: Discount per control step.
        lam: Of the generalised advantage estimate.
        across: Let an episode's advantages look on into the trial's later episodes.
        anneal: Share of the budget, at its end, over which all rates fall linearly to 0.
        iterations: How many iterations the run has.
        max_seconds: Stop after this wall time [s]; None: never.
        seed: Of weights, worlds, tasks and noise.
        hidden: Widths of the policy's and the critic's layers.
        log_std: First log standard deviation of the actions; None: -0.7, or the pretrained one.
        device: Where the networks live.
        task_visible: Whether the policy sees the hidden task; it must infer it, so False.
    """

    num_tasks: int = 100
    episodes: int = 1
    trial: int = 4
    memory: int = 64
    embed: tuple[int, ...] = (64,)
    policy_rate: float = 3e-4
    memory_rate: float = 1e-3
    critic_rate: float = 2e-3
    task_loss: int = 30
    task_rate: float = 1e-2
    replay: int = 4
    epochs: int = 3
    minibatches: int = 4
    clip: float = 0.2
    entropy: float = 0.0
    max_grad_norm: float = 1.0
    gamma: float = 0.95
    lam: float = 0.95
    across: bool = False
    anneal: float = 0.5
    iterations: int = 60
    max_seconds: float | None = None
    seed: int = 0
    hidden: tuple[int, ...] = (64, 64)
    log_std: float | None = -1.3
    device: str = "cpu"
    task_visible: bool = False

    def __post_init__(self) -> None:
        whole = ("num_tasks", "episodes", "trial", "memory", "replay", "epochs", "minibatches")
        for name in (*whole, "iterations"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "an integer >= 1")
        rates = ("policy_rate", "memory_rate", "critic_rate", "task_rate")
        for name in (*rates, "clip", "max_grad_norm"):
            value = getattr(self, name)
            require(math.isfinite(value) and value > 0.0, name, value, "a finite number > 0")
        for name in ("gamma", "lam", "anneal"):
            value = getattr(self, name)
            require(0.0 <= value <= 1.0, name, value, "a number in [0, 1]")
        require(self.task_loss >= 0, "task_loss", self.task_loss, "an integer >= 0")
        require(self.entropy >= 0.0, "entropy", self.entropy, "a number >= 0")
        require(self.seed >= 0, "seed", self.seed, "an integer >= 0")
        limit = self.max_seconds
        require(limit is None or limit > 0.0, "max_seconds", limit, "a time > 0 s or None")
        for name in ("hidden", "embed"):
            widths = getattr(self, name)
            require(all(w >= 1 for w in widths), name, widths, "widths >= 1")
        require(not self.task_visible, "task_visible", self.task_visible, "False")
        trials = self.num_tasks * self.episodes
        require(
            self.minibatches <= trials, "minibatches", self.minibatches,
            f"at most the {trials} trials of an iteration",
        )  # fmt: skip
