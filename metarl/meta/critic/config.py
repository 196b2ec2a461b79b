"""Everything that decides what a meta-critic run computes."""

from __future__ import annotations

import dataclasses
import math

from metarl.errors import require
from metarl.meta.maml.explore import ContextNoise


@dataclasses.dataclass(frozen=True)
class MetaCriticConfig:
    """Everything that decides what a meta-critic run computes.

    Args:
        num_tasks: K, train tasks an iteration, each with an actor of its own.
        episodes: B, episodes of each task before each update of its actor and after the last.
        updates: U, of an actor before it is thrown away.
        trace: k, transitions of an episode that the encoder reads, evenly spaced.
        embedding: Z, width of the embedding.
        encoder_hidden: Width of the encoder's layers.
        critic_hidden: Widths of the value network's layers.
        critic_rate: Adam's rate for critic and encoder.
        critic_steps: Their gradient steps an iteration.
        lessons: Collections, of K tasks each, in a critic step.
        judged: Episodes of each task in a critic step whose values are judged.
        encoded: Episodes of each task in a critic step that are encoded.
        memory: Iterations whose episodes the critic goes on learning from.
        task_weight: Weight of the encoder's second question, which hidden task it is; 0: it is
            not asked, as in the paper.
        gamma: Discount per control step, < 1.
        lam: Of the critic's targets; 0: one step ahead, as in the paper.
        teaching_steps: Gradient steps of an actor on each update's states.
        states: States of each task in them.
        actor_rate: Adam's rate for an actor's weights.
        context_rate: That of the task context, where it stands for hidden fields.
        pull: Weight of the divergence from the actor that acted: the smaller, the farther it goes.
        prior: Weight of half the squared task context: a task like any other, unless values speak
            against it.
        noise_decay: Factor from one update's noise on actions to the next one's.
        context_std: Standard deviation of each episode's guess of the hidden context, before the
            first update; None: no guesses.
        context_decay: Factor from one update's guesses to the next one's.
        anneal: Share of the budget, at its end, over which the critic's rate falls linearly to 0.
        max_grad_norm: Longest gradient of the critic; longer ones are shortened.
        iterations: How many iterations the run has.
        max_seconds: Stop after this wall time [s]; None: never.
        seed: Of weights, worlds, tasks and noise.
        hidden: Widths of the actor's layers.
        log_std: Log standard deviation of the actions; None: -0.7, or the pretrained one.
        device: Where the networks live.
        task_visible: Whether an actor sees the hidden task; it must infer it, so False.
    """

    num_tasks: int = 20
    episodes: int = 10
    updates: int = 5
    trace: int = 10
    embedding: int = 12
    encoder_hidden: int = 48
    critic_hidden: tuple[int, ...] = (96, 96)
    critic_rate: float = 2e-3
    critic_steps: int = 100
    lessons: int = 3
    judged: int = 2
    encoded: int = 5
    memory: int = 5
    task_weight: float = 0.2
    gamma: float = 0.9
    lam: float = 0.8
    teaching_steps: int = 15
    states: int = 100
    actor_rate: float = 3e-4
    context_rate: float = 0.05
    pull: float = 0.2
    prior: float = 0.2
    noise_decay: float = 0.75
    context_std: float | None = 0.5
    context_decay: float = 0.6
    anneal: float = 0.5
    max_grad_norm: float = 1.0
    iterations: int = 60
    max_seconds: float | None = None
    seed: int = 0
    hidden: tuple[int, ...] = (64, 64)
    log_std: float | None = -1.3
    device: str = "cpu"
    task_visible: bool = False

    def __post_init__(self) -> None:
        for name in _COUNTS:
            require(getattr(self, name) >= 1, name, getattr(self, name), "an integer >= 1")
        for name in ("critic_rate", "max_grad_norm", "pull"):
            value = getattr(self, name)
            require(math.isfinite(value) and value > 0.0, name, value, "a finite number > 0")
        for name in ("actor_rate", "context_rate", "task_weight", "prior"):
            value = getattr(self, name)
            require(math.isfinite(value) and value >= 0.0, name, value, "a finite number >= 0")
        for name in ("lam", "context_decay", "anneal"):
            require(0.0 <= getattr(self, name) <= 1.0, name, getattr(self, name), "within [0, 1]")
        decay = self.noise_decay
        require(0.0 < decay <= 1.0, "noise_decay", decay, "within (0, 1]")
        require(0.0 <= self.gamma < 1.0, "gamma", self.gamma, "within [0, 1)")
        require(self.seed >= 0, "seed", self.seed, "an integer >= 0")
        for name in ("hidden", "critic_hidden"):
            widths = getattr(self, name)
            require(all(w >= 1 for w in widths), name, widths, "widths >= 1")
        for name in ("max_seconds", "context_std"):
            value = getattr(self, name)
            require(value is None or value > 0.0, name, value, "a number > 0 or None")
        require(not self.task_visible, "task_visible", self.task_visible, "False")

    def noise(self, hidden: tuple[bool, ...]) -> ContextNoise | None:
        """How the context is explored, given which of its columns are hidden."""
        if self.context_std is None or not any(hidden):
            return None
        return ContextNoise(self.context_std, self.context_decay, hidden)


_COUNTS = (
    "num_tasks", "episodes", "updates", "trace", "encoded", "embedding", "encoder_hidden",
    "critic_steps", "lessons", "judged", "memory", "teaching_steps", "states", "iterations",
)  # fmt: skip
