"""Memories of RL2 that are small, and a family whose episodes are short."""

from __future__ import annotations

import torch
from toy import Reach

from metarl.meta.rl2.config import Rl2Config
from metarl.nn.policy import GaussianPolicy
from metarl.nn.recurrent import RecurrentPolicy, TaskMemory
from metarl.types import Spec

TINY = Rl2Config(
    num_tasks=4, trial=2, memory=8, embed=(8,), hidden=(8,), task_loss=3, replay=2, epochs=2,
    minibatches=2, iterations=4,
)  # fmt: skip


class Short(Reach):
    horizon = 8


def lively(spec: Spec, seed: int = 0) -> RecurrentPolicy:
    """A policy whose memory writes something."""
    g = torch.Generator().manual_seed(seed)
    policy = GaussianPolicy(spec.obs_dim, spec.action_dim, spec.task_dim, g, hidden=(8,))
    width = spec.obs_dim + spec.action_dim + 2
    memory = TaskMemory(width, spec.hidden, g, embed=(8,), width=8)
    with torch.no_grad():
        memory.head.weight.normal_(generator=g)
        policy.head.weight.normal_(generator=g)
    return RecurrentPolicy(policy, memory)
