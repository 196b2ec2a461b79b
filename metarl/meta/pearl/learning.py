"""What a PEARL iteration learns: an encoder that is right, and a policy that believes it."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from metarl.errors import CheckpointError, TrainingError
from metarl.learn.losses import clipped_surrogate, gaussian_entropy
from metarl.learn.rollout import Trajectories
from metarl.meta.baseline import make_batch
from metarl.meta.maml.inner import Batch, log_prob_of
from metarl.meta.pearl.config import PearlConfig
from metarl.meta.pearl.context import Lesson, draw
from metarl.nn.encoder import FactorEncoder
from metarl.nn.policy import GaussianPolicy
from metarl.runs.state import load_optimizer


class Loss(NamedTuple):
    """What an encoder's step minimises.

    Args:
        total: Shape ().
        surprise: Mean negative log density of the truth [nat], shape ().
    """

    total: Tensor
    surprise: Tensor


def encoder_loss(encoder: FactorEncoder, lesson: Lesson, config: PearlConfig) -> Loss:
    """Judge beliefs after each of U contexts by the truth.

    Source: Rakelly et al. 2019, arXiv:1903.08254, section 4.1 (the divergence from the prior);
        Humplik et al. 2019, arXiv:1905.06424, section 3.2 (the truth as the target).
    Deviation: Rakelly et al. learn the encoder from a critic's loss. In simulation the hidden
        fields are known while training, and say what to infer without any reward being
        predicted.
    """
    belief = lesson.beliefs(encoder).moments(config.resolution)
    surprise = -belief.log_prob(lesson.truth[:, None].to(belief.mean)).mean()
    away = belief.divergence_from(config.prior_std).mean()
    return Loss(surprise + config.kl * away, surprise)


def policy_loss(policy: GaussianPolicy, batch: Batch, config: PearlConfig) -> Tensor:
    """Judge a policy on episodes in which the guess that was tried stood in the task block."""
    output = policy(batch.obs)
    log_prob = log_prob_of(output, batch.action)
    loss = clipped_surrogate(log_prob, batch.log_prob, batch.advantage, batch.mask, config.clip)
    return loss.mean() - config.entropy * gaussian_entropy(output[1])


class Pupil:
    """A network with its optimizer, which refuses what is not finite.

    Args:
        name: What it is called in errors.
        network: What learns.
        rate: Adam's.
        max_grad_norm: Longest gradient.
    """

    def __init__(self, name: str, network: nn.Module, rate: float, max_grad_norm: float):
        self.name, self.network, self.rate = name, network, rate
        self.max_grad_norm = max_grad_norm
        self.learned = [p for p in network.parameters() if p.requires_grad]

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """Moves what learns."""
        return torch.optim.Adam(self.learned, lr=self.rate)

    def step(self, loss: Tensor, share: float) -> None:
        """Take one step at a share of the rate.

        Raises:
            TrainingError: If loss or gradient are not finite; nothing has changed then.
        """
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.learned, self.max_grad_norm)
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            self.optimizer.zero_grad(set_to_none=True)
            raise TrainingError(
                f"the {self.name}'s loss or gradient is not finite; the update was refused and the"
                f" last good state kept. A smaller {self.name}_rate may help"
            )
        for group in self.optimizer.param_groups:
            group["lr"] = share * self.rate
        self.optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        try:
            self.network.load_state_dict(saved["network"])
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(f"this state is of another {self.name}: {error}") from error
        load_optimizer(self.optimizer, saved["optimizer"])


@contextmanager
def all_or_nothing(pupils: Iterable[Pupil]) -> Iterator[None]:
    """Put pupils back to where they were if an update is refused."""
    before = [(pupil, copy.deepcopy(pupil.state_dict())) for pupil in pupils]
    try:
        yield
    except TrainingError:
        for pupil, state in before:
            pupil.load_state_dict(state)
        raise


def teach_encoder(
    pupil: Pupil,
    lessons: Sequence[Lesson],
    config: PearlConfig,
    share: float,
    generator: torch.Generator,
) -> float:
    """Take an iteration's steps on contexts drawn from lessons; give the mean surprise [nat]."""
    encoder = pupil.network
    assert isinstance(encoder, FactorEncoder)
    total = 0.0
    for _ in range(config.encoder_steps):
        loss = encoder_loss(encoder, draw(lessons, config.encoder_tasks, generator), config)
        pupil.step(loss.total, share)
        total += float(loss.surprise.detach())
    return total / config.encoder_steps


def teach_policy(
    pupil: Pupil, episodes: Sequence[Trajectories], config: PearlConfig, share: float
) -> float:
    """Take steps on all collections of an iteration; give the mean loss."""
    policy = pupil.network
    assert isinstance(policy, GaussianPolicy)
    batches = [make_batch(found, config.gamma, config.lam) for found in episodes]
    total = 0.0
    for _ in range(config.policy_epochs):
        for batch in batches:
            loss = policy_loss(policy, batch, config)
            pupil.step(loss, share)
            total += float(loss.detach())
    return total / (config.policy_epochs * len(batches))
