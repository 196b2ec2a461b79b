"""Everything that decides what a meta-critic run computes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from metarl.errors import require
from metarl.learn.config import BlindConfig
from metarl.runs import fields

if TYPE_CHECKING:  # a config is checked before torch is loaded
    from metarl.meta.maml.explore import ContextNoise


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetaCriticConfig(BlindConfig):
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
    """

    num_tasks: int = fields.count(20)
    episodes: int = fields.count(10)
    updates: int = fields.count(5)
    trace: int = fields.count(10)
    embedding: int = fields.count(12)
    encoder_hidden: int = fields.count(48)
    critic_hidden: tuple[int, ...] = fields.widths((96, 96))
    critic_rate: float = fields.positive(2e-3)
    critic_steps: int = fields.count(100)
    lessons: int = fields.count(3)
    judged: int = fields.count(2)
    encoded: int = fields.count(5)
    memory: int = fields.count(5)
    task_weight: float = fields.not_negative(0.2)
    gamma: float = fields.share(0.9)
    lam: float = fields.share(0.8)
    teaching_steps: int = fields.count(15)
    states: int = fields.count(100)
    actor_rate: float = fields.not_negative(3e-4)
    context_rate: float = fields.not_negative(0.05)
    pull: float = fields.positive(0.2)
    prior: float = fields.not_negative(0.2)
    noise_decay: float = fields.factor(0.75)
    context_std: float | None = fields.positive(0.5, optional=True)
    context_decay: float = fields.share(0.6)
    anneal: float = fields.share(0.5)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.gamma < 1.0, "gamma", self.gamma, "a number in [0, 1)")

    def noise(self, hidden: tuple[bool, ...]) -> ContextNoise | None:
        """How the context is explored, given which of its columns are hidden."""
        if self.context_std is None or not any(hidden):
            return None
        from metarl.meta.maml.explore import ContextNoise

        return ContextNoise(self.context_std, self.context_decay, hidden)
