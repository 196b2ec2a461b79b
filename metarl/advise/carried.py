"""A source's policy as it would start on a target, and as it was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from metarl.sources.interface import match
from metarl.sources.mapping import Piece

if TYPE_CHECKING:
    from metarl.family import TaskFamily
    from metarl.types import Spec

CONTEXT = "context"


@dataclass(frozen=True)
class Reading:
    """How a source is to be read, where it does not say so itself; see `metarl.learn.start.start_from`.

    Args:
        mapping: Which columns of its observations, and rows of its actions, go where.
        names: Which of its tensors is which.
        statistics: Those of its observations, an ``.npz``.
    """

    mapping: Sequence[str] = ()
    names: Sequence[str] = ()
    statistics: Path | None = None


PLAIN = Reading()  # of a source that says everything itself


@dataclass(frozen=True)
class Carried:
    """A source's policy, and what of it there is on a target.

    Args:
        source: Where it is from, as it was given.
        family: What it was trained on.
        sees_task: Whether it saw its task there.
        policy: As it starts on the target: task in view, exploring afresh.
        network: What a fresh policy of its kind is made of.
        own: As it was trained, but exploring likewise.
        blocks: Width of each block of its own observations.
        common: What the policy's own parameters and those on the target share.
        observed: Share of what the target observes, the task apart, that it knows.
        acted: Share of the target's actions that it knows.
        log_std: Mean log standard deviation with which it was left; None: no action is shared.
        said: What went along, what is zero and what is drawn anew, in one line.
    """

    source: str
    family: str
    sees_task: bool
    policy: GaussianPolicy
    network: Mapping[str, Any]
    own: GaussianPolicy
    blocks: Mapping[str, int]
    common: Common
    observed: float
    acted: float
    log_std: float | None
    said: str


def carry_source(
    path: Path, family: TaskFamily[Any], spec: Spec, seed: int, reading: Reading = PLAIN
) -> Carried:
    """Read a source and carry it to a target's interface, as a training on it would begin.

    Args:
        path: Whatever `metarl.sources.read_source` takes.
        family: The target.
        spec: Of the target's worlds.
        seed: Draws what is new.
        reading: What the source does not say itself.
    Raises:
        CheckpointError: If it cannot be read, or holds no whole policy.
        ConfigError: If nothing of it fits.
    """
    checkpoint = read_source(
        path, family=family, names=reading.names, statistics=reading.statistics
    )
    start = start_from(
        path, family, mapping=reading.mapping, names=reading.names,
        statistics=reading.statistics, seed=seed,
    )  # fmt: skip
    own = load_policy(checkpoint)
    left = own.log_std.detach().clone()
    tensors = {n: t for n, t in start.tensors.items() if n not in (CONTEXT, "log_std")}
    policy = draw_policy(spec, start.network, seed)
    if wrong := load_partial(policy, tensors).mismatched:
        raise ConfigError(f"{path} does not fit: {wrong[0][0]} is {wrong[0][1]}, not {wrong[0][2]}")
    with torch.no_grad():
        own.log_std.fill_(LOG_STD)
    there, was = dict(checkpoint.meta["blocks"]), start.surgery.family
    common = _common(reading, checkpoint.meta, len(left), was, spec, family.id, own)
    seen = common.here[common.here < spec.obs_dim - spec.task_dim]
    return Carried(
        source=str(path),
        family=was,
        sees_task=sees_task(checkpoint),
        policy=policy,
        network={**start.network, "normalised": False},
        own=own,
        blocks=there,
        common=common,
        observed=len(seen) / max(spec.obs_dim - spec.task_dim, 1),
        acted=len(common.rows_here) / spec.action_dim,
        log_std=float(left[common.rows_there].mean()) if len(common.rows_there) else None,
        said=str(start),
    )


def draw_policy(spec: Spec, network: Mapping[str, Any], seed: int) -> GaussianPolicy:
    """Draw a fresh policy, which explores as a training from nothing begins."""
    generator = torch.Generator().manual_seed(seed)
    return start_policy(spec, generator, log_std=LOG_STD, **network).eval()


def _common(
    reading: Reading, meta: Mapping[str, Any], actions: int, was: str, spec: Spec, family: str,
    own: GaussianPolicy,
) -> Common:  # fmt: skip
    """The columns and rows that went along, on both sides."""
    found = match(was, dict(meta["blocks"]), actions, spec, family, reading.mapping, said=meta)
    columns, rows = found.columns, found.rows
    factors = [torch.full((piece.width,), piece.factor) for piece in columns]
    return Common(
        here=_places(columns, here=True),
        there=_places(columns, here=False),
        factor=torch.cat([torch.zeros(0), *factors]),
        rows_here=_places(rows, here=True),
        rows_there=_places(rows, here=False),
        in_weights=own.normaliser is None,
    )


def _places(pieces: Sequence[Piece], *, here: bool) -> torch.Tensor:
    starts = [(piece.here if here else piece.there, piece.width) for piece in pieces]
    found = [torch.arange(start, start + width) for start, width in starts]
    return torch.cat([torch.zeros(0, dtype=torch.int64), *found])
