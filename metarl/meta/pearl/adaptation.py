"""Adaptation by inference: what is believed about a task, and acting on it."""

from __future__ import annotations

import torch

from metarl.adapt.adaptation import ByContext, State, require_hidden
from metarl.adapt.meeting import Meeting
from metarl.learn.rollout import Trajectories
from metarl.meta.pearl.config import PearlConfig
from metarl.meta.pearl.context import Context, context_width, describe
from metarl.nn.encoder import Belief, FactorEncoder, Gaussian
from metarl.nn.policy import GaussianPolicy
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.networks import load_network
from metarl.runs.policies import config_of, load_policy_for
from metarl.sim.worlds import Worlds


def start_encoder(worlds: Worlds, config: PearlConfig, generator: torch.Generator) -> FactorEncoder:
    """Make an encoder that believes its prior whatever it sees.

    Raises:
        ConfigError: If the family's tasks hide nothing.
    """
    require_hidden(worlds)
    spec = worlds.spec
    return FactorEncoder(
        context_width(spec), sum(spec.hidden), generator,
        hidden=config.encoder_hidden, prior_std=config.prior_std, evidence=config.evidence,
    )  # fmt: skip


class PearlAdaptation(ByContext):
    """A policy whose belief about each task is all that changes; no gradient is taken.

    Args:
        worlds: As for `Adaptation`.
        policy: Likewise.
        encoder: Says what a context means.
        config: Of the training.
        num_tasks: K.
        generator: Draws guesses, and the actions' noise.
    Attributes:
        belief: Of K tasks, about H hidden numbers.
    Source: Rakelly et al. 2019, arXiv:1903.08254, algorithm 2 and section 4.2: every episode
        tries one draw from the belief.
    """

    bound = 1.0  # what is believed is so, hence within the declared ranges

    def __init__(
        self,
        worlds: Worlds,
        policy: GaussianPolicy,
        encoder: FactorEncoder,
        config: PearlConfig,
        *,
        num_tasks: int,
        generator: torch.Generator,
    ):
        super().__init__(worlds, policy, num_tasks=num_tasks, generator=generator)
        self.encoder, self.config = encoder, config
        self.belief: Belief = encoder.prior(num_tasks)

    @property
    def gaussian(self) -> Gaussian:
        """The belief as mean and covariance, (K, H) and (K, H, H)."""
        return self.belief.moments(self.config.resolution)

    @torch.no_grad()
    def play(self) -> Trajectories:
        """Run B episodes of each task, each with a guess of its own drawn from the belief."""
        each = self.worlds.num_worlds // self.num_tasks
        guesses = self.gaussian.sample(each, self.generator).flatten(0, 1)
        return self._act_as_if(self.worlds, guesses)

    @torch.no_grad()
    def explore(self) -> tuple[Trajectories, Context]:
        """Play, and believe what that says; give the episodes and what was seen in them."""
        episodes = self.play()
        seen = describe(episodes, self.worlds.spec)
        self.belief = self.belief.times(seen.infer(self.encoder))
        return episodes, seen

    def update(self) -> None:
        self.num_steps += self.explore()[0].num_steps

    def state(self) -> State:
        """The belief: mean (K, H) and covariance (K, H, H), in units of the task block."""
        now = self.gaussian
        return {"mean": now.mean.clone(), "covariance": now.covariance.clone()}


def by_inference(checkpoint: Checkpoint, meeting: Meeting, _: None = None) -> PearlAdaptation:
    """Adapt by the encoder that was trained; any number of updates is alike to it.

    Args:
        checkpoint: Of a `PearlTrainer`.
        meeting: With the tasks.
    Raises:
        CheckpointError: If it has no encoder, another config, or another interface.
    """
    config, worlds = config_of(checkpoint), meeting.worlds()
    policy = load_policy_for(checkpoint, worlds)
    encoder = load_network(
        checkpoint, "encoder", lambda: start_encoder(worlds, config, torch.Generator())
    )
    return PearlAdaptation(
        worlds, policy, encoder, config,
        num_tasks=meeting.num_tasks, generator=meeting.generator,
    )  # fmt: skip
