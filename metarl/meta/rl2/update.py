"""What a policy with a memory learns from trials: the losses, and who judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from metarl.learn.losses import clipped_surrogate, gaussian_entropy, gaussian_log_prob
from metarl.meta.finite import require_finite
from metarl.meta.rl2.trial import Lesson, Trials
from metarl.nn.policy import Critic
from metarl.nn.recurrent import RecurrentPolicy, TaskMemory
from metarl.types import Spec

# Smaller ones may help where something is not finite.
RATES = "policy_rate, memory_rate or task_rate"


class TrialCritic(Critic):
    """Values the states of trials in training, where the hidden task is known.

    It sees the true task, what the memory takes it for, and the time. A baseline may see all
    that the action does not depend on: it biases no gradient.

    Args:
        spec: Of the worlds.
        generator: Draws the first weights.
        hidden: Widths of the trunk's layers.
    Source: Pinto et al. 2017, arXiv:1710.06542 (an asymmetric critic).
    """

    mean: Tensor  # of the first targets
    std: Tensor

    def __init__(self, spec: Spec, generator: torch.Generator, *, hidden: Sequence[int]):
        super().__init__(spec.obs_dim + spec.task_dim + 2, generator, hidden=hidden)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))

    def look(self, trials: Trials, context: Tensor) -> Tensor:
        """Put together what it sees: the trials, and the contexts (T, N, C) written in them."""
        return torch.cat([trials.seen, context, trials.clock], dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        """Map what it sees (..., D) to values (...)."""
        return super().forward(x) * self.std + self.mean

    def loss(self, x: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        """Compute half the mean squared error, in units of the first targets' spread, ()."""
        error = (self(x) - targets) / self.std
        return 0.5 * (error.square() * mask).sum() / mask.sum()


def recall(memory: TaskMemory, read: Tensor) -> tuple[Tensor, Tensor]:
    """Read trials (T, N, I) from their start in one go.

    Returns:
        The memories before each step and after it, shape (T, N, H) each.
    """
    start = memory.start(read.shape[1])
    after = memory.remember(read, start)
    return torch.cat([start[None], after[:-1]]), after


def policy_loss(
    policy: RecurrentPolicy, trials: Trials, advantage: Tensor, clip: float, entropy: float
) -> Tensor:
    """Compute PPO's loss over whole trials, through the memory that led to each action.

    Args:
        policy: The policy.
        trials: The trials.
        advantage: Shape (T, N).
        clip: Of the ratio.
        entropy: Weight of the entropy bonus.
    Returns:
        The loss, shape ().
    Source: Duan et al. 2016, arXiv:1611.02779, section 2.2; Schulman et al. 2017,
        arXiv:1707.06347, eq. 7.
    Deviation: PPO instead of TRPO.
    """
    mean, log_std = policy(trials.obs, recall(policy.memory, trials.read)[0])
    log_prob = gaussian_log_prob(mean, log_std, trials.action)
    of_actions = clipped_surrogate(
        log_prob.flatten(), trials.log_prob.flatten(), advantage.flatten(),
        trials.mask.flatten(), clip,
    )  # fmt: skip
    return of_actions - entropy * gaussian_entropy(log_std)


def task_loss(memory: TaskMemory, lesson: Lesson) -> Tensor:
    """Compute how wrong the memory is about the hidden task, after every step.

    Args:
        memory: The memory.
        lesson: What it read, and what it should have made of it.
    Returns:
        Mean squared error a hidden column, in units of the task block, shape ().
    Source: Humplik et al. 2019, arXiv:1905.06424, section 4.1.
    Deviation: The mean of the belief alone is learned, not its density: it is the context with
        which the policy acts.
    """
    context = memory.forward_head(recall(memory, lesson.read)[1])
    wrong = (context - lesson.truth * memory.columns).square().sum(-1) * lesson.mask
    return wrong.sum() / (lesson.mask.sum() * memory.columns.sum().clamp(min=1.0))


def descend(
    loss: Tensor,
    networks: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    longest: float,
) -> None:
    """Take one step down a loss.

    Args:
        loss: Shape ().
        networks: What it reaches, by name; each one's gradient is shortened on its own.
        optimizer: Theirs.
        longest: Longest gradient of a network.
    Raises:
        TrainingError: If the loss or a gradient is not finite; nothing has moved then.
    """
    require_finite("the loss", {"loss": loss}, RATES)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norms = {
        name: nn.utils.clip_grad_norm_(network.parameters(), longest)
        for name, network in networks.items()
    }
    require_finite("the gradient", norms, RATES)
    optimizer.step()
