"""A stranger's strategy, and how it is announced."""

from __future__ import annotations

import dataclasses
from importlib.metadata import EntryPoint

import pytest
import torch

from metarl import methods
from metarl.adapt.adaptation import Adapted, ByParameters, per_task
from metarl.learn.rollout import collect
from metarl.methods import Adapting, Method
from metarl.runs import fields
from metarl.runs.policies import load_policy_for


@dataclasses.dataclass(frozen=True, kw_only=True)
class Doubled(fields.Checked):
    """How the head is scaled.

    Args:
        factor: What the head is multiplied by, > 0.
    """

    factor: float = fields.positive(2.0)


def start(checkpoint, meeting, how):
    """A stranger's strategy: no learning, a louder head."""
    worlds = meeting.worlds()
    policy = load_policy_for(checkpoint, worlds)
    with torch.no_grad():
        policy.head.weight.mul_(how.factor)
    return ByParameters(
        worlds, policy, updates(worlds, policy, meeting),
        num_tasks=meeting.num_tasks, generator=meeting.generator,
    )  # fmt: skip


def updates(worlds, policy, meeting):
    params = per_task(policy, dict(policy.named_parameters()), meeting.num_tasks)
    for _ in range(meeting.updates):
        episodes = collect(
            worlds, policy, params, num_tasks=meeting.num_tasks, generator=meeting.generator
        )
        yield Adapted(params, episodes)


LOUD = Method("a louder head", adapting=Adapting(start, Doubled), source="a stranger")


def announce(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if two packages were installed: one with this strategy, one that is broken."""
    found = [
        EntryPoint("louder", "louder:LOUD", methods.GROUP),
        EntryPoint("broken", "absent_package:METHOD", methods.GROUP),
    ]
    monkeypatch.setattr(methods, "entry_points", lambda group: found)
