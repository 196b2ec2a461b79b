"""The untrained inner loop: MAML's inner step on a policy that nobody meta-trained.

What it reaches is what meta-training must beat.
"""

from __future__ import annotations

import torch

from metarl.adapt.adaptation import ByParameters
from metarl.adapt.meeting import Meeting
from metarl.meta.maml.config import InnerLoop
from metarl.meta.maml.inner_loop import with_rates
from metarl.methods import Adapting, Method
from metarl.nn.functional import parameters_of
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.policies import load_policy_for


def by_untrained_inner_loop(
    checkpoint: Checkpoint, meeting: Meeting, how: InnerLoop
) -> ByParameters:
    """Follow the inner loop's gradient, every rate as it is before any meta-training."""
    worlds = meeting.worlds()
    policy = load_policy_for(checkpoint, worlds)
    if how.log_std is not None:
        with torch.no_grad():
            policy.log_std.fill_(how.log_std)
    rates = how.rates(parameters_of(policy), worlds.spec.hidden)
    return with_rates(
        worlds, policy, rates, how,
        num_tasks=meeting.num_tasks, updates=meeting.updates, generator=meeting.generator,
    )  # fmt: skip


METHOD = Method(
    "MAML's inner step on any policy, without meta-training",
    adapting=Adapting(by_untrained_inner_loop, InnerLoop),
    source="Finn et al. 2017, arXiv:1703.03400",
)
