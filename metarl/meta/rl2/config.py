"""Everything that decides what an RL2 run computes."""

from __future__ import annotations

import dataclasses

from metarl.errors import require
from metarl.learn.config import BlindConfig, GradientConfig
from metarl.runs import fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rl2Config(GradientConfig, BlindConfig):
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
        across: Let an episode's advantages look on into the trial's later episodes.
        anneal: Share of the budget, at its end, over which all rates fall linearly to 0.
    """

    num_tasks: int = fields.count(100)
    episodes: int = fields.count(1)
    trial: int = fields.count(4)
    memory: int = fields.count(64)
    embed: tuple[int, ...] = fields.widths((64,))
    policy_rate: float = fields.positive(3e-4)
    memory_rate: float = fields.positive(1e-3)
    critic_rate: float = fields.positive(2e-3)
    task_loss: int = fields.count(30, least=0)
    task_rate: float = fields.positive(1e-2)
    replay: int = fields.count(4)
    epochs: int = fields.count(3)
    minibatches: int = fields.count(4)
    across: bool = False
    anneal: float = fields.share(0.5)

    def __post_init__(self) -> None:
        super().__post_init__()
        trials = self.num_tasks * self.episodes
        require(
            self.minibatches <= trials, "minibatches", self.minibatches,
            f"at most the {trials} trials of an iteration",
        )  # fmt: skip
