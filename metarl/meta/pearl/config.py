"""Everything that decides what a PEARL run computes."""

from __future__ import annotations

import dataclasses

from metarl.learn.config import BlindConfig, GradientConfig
from metarl.runs import fields

# The policy's rate and log standard deviation.
_PRETRAINED, _FROM_NOTHING = (0.0, -2.0), (2e-3, -0.7)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PearlConfig(GradientConfig, BlindConfig):
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
        anneal: Share of the budget, at its end, over which both rates fall linearly to 0.
        log_std: First log standard deviation of the actions. None: -2 for a pretrained policy,
            which explores by its guesses of the task, -0.7 for one that starts from nothing.
    """

    num_tasks: int = fields.count(20)
    episodes: int = fields.count(10)
    updates: int = fields.count(5)
    prior_std: float = fields.positive(0.58)
    resolution: float = fields.positive(0.02)
    evidence: float = fields.positive(1.0)
    encoder_hidden: tuple[int, ...] = fields.widths((64, 64))
    encoder_rate: float = fields.positive(5e-3)
    encoder_steps: int = fields.count(100)
    encoder_tasks: int = fields.count(5)
    replay: int = fields.count(4)
    kl: float = fields.not_negative(1e-3)
    policy_rate: float | None = fields.not_negative(None, optional=True)
    policy_epochs: int = fields.count(8)
    anneal: float = fields.share(0.5)
    iterations: int = fields.count(20)
    log_std: float | None = fields.log_std(None, optional=True)

    def resolved(self, *, pretrained: bool) -> PearlConfig:
        """Fill in what depends on whether the policy was trained before."""
        rate, log_std = _PRETRAINED if pretrained else _FROM_NOTHING
        return dataclasses.replace(
            self,
            policy_rate=rate if self.policy_rate is None else self.policy_rate,
            log_std=log_std if self.log_std is None else self.log_std,
        )
