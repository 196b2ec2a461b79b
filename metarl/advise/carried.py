"""A source's policy as it would start on a target, and as it was trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from metarl.advise.gradients import Common
from metarl.errors import ConfigError
from metarl.learn.start import start_from
from metarl.nn.network import load_partial
from metarl.nn.policy import LOG_STD, GaussianPolicy, start_policy
from metarl.runs.policies import load_policy, sees_task
from metarl.sources import read_source
from metarl.sources.plan import TASK

if TYPE_CHECKING:
    from metarl.family import TaskFamily
    from metarl.types import Spec

CONTEXT = "context"


@dataclass(frozen=True)
class Carried:
    """A source's policy, and what of it there is on a target.

    Args:
        source: Where it is from, as it was given.
        family: What it was trained on.
        sees_task: Whether it saw its task there.
        policy: As it starts on the target: task in view, exploring afresh.
        untrained: A policy of the same widths, drawn afresh, exploring likewise.
        own: As it was trained, but exploring likewise; None: its own interface is not known.
        blocks: Width of each block of its own observations.
        common: What the policy's own parameters and those on the target share.
        observed: Share of what the target observes, the task apart, that it knows by name.
        acted: Share of the target's actions that it knows.
        log_std: Mean log standard deviation with which it was left; None: of other actions.
        said: What went along, what is zero and what is drawn anew, in one line.
    """

    source: str
    family: str
    sees_task: bool
    policy: GaussianPolicy
    untrained: GaussianPolicy
    own: GaussianPolicy | None
    blocks: Mapping[str, int]
    common: Common
    observed: float
    acted: float
    log_std: float | None
    said: str


def carry_source(path: Path, family: TaskFamily[Any], spec: Spec, seed: int) -> Carried:
    """Read a source and carry it to a target's interface, as a training on it would begin.

    Args:
        path: A checkpoint, or a run folder.
        family: The target.
        spec: Of the target's worlds.
        seed: Draws what is new.
    Raises:
        CheckpointError: If it cannot be read, or holds no whole policy.
        ConfigError: If nothing of it fits.
    """
    start = start_from(path, family)
    checkpoint = read_source(path)
    own = load_policy(checkpoint)
    left = own.log_std.detach()
    tensors = {n: t for n, t in start.tensors.items() if n not in (CONTEXT, "log_std")}
    policy, untrained = (
        start_policy(
            spec, torch.Generator().manual_seed(seed), log_std=LOG_STD, **start.network
        )
        for _ in range(2)
    )  # fmt: skip
    if wrong := load_partial(policy, tensors).mismatched:
        raise ConfigError(f"{path} does not fit: {wrong[0][0]} is {wrong[0][1]}, not {wrong[0][2]}")
    with torch.no_grad():
        own.log_std.fill_(LOG_STD)
    there = dict(checkpoint.meta.get("blocks", {}))
    surgery = start.surgery
    head = "head" not in surgery.fresh
    common = _common(surgery.carried, spec.blocks, there, head=head)
    known = [name for name in surgery.carried if name in spec.blocks and name != TASK]
    width = spec.obs_dim - spec.task_dim
    return Carried(
        source=str(path),
        family=surgery.family,
        sees_task=sees_task(checkpoint),
        policy=policy.eval(),
        untrained=untrained.eval(),
        own=own,
        blocks=there,
        common=common,
        observed=sum(spec.blocks[name] for name in known) / max(width, 1),
        acted=1.0 if head else 0.0,
        log_std=float(left.mean()) if len(left) == spec.action_dim else None,
        said=str(start),
    )


def _common(
    carried: tuple[str, ...], here: Mapping[str, int], there: Mapping[str, int], *, head: bool
) -> Common:
    """The columns of blocks that went along, on both sides."""
    names = [name for name in here if name in carried]
    return Common(_columns(names, here), _columns(names, there), head)


def _columns(names: list[str], blocks: Mapping[str, int]) -> torch.Tensor:
    starts, start = {}, 0
    for name, width in blocks.items():
        starts[name] = start
        start += width
    found = [torch.arange(starts[name], starts[name] + blocks[name]) for name in names]
    return torch.cat([torch.zeros(0, dtype=torch.int64), *found])
