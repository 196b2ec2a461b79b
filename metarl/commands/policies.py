"""Policies by name: random, still, the family's expert or trained reference, or a checkpoint's."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metarl.commands.output import say
from metarl.errors import (
    ChangedFamilyWarning,
    CheckpointError,
    ConfigError,
    FamilyError,
    printable,
    unknown,
)
from metarl.methods import acting_of, adapting_of
from metarl.names import split_name
from metarl.runs.fingerprint import describe_changes, require_unchanged
from metarl.runs.policies import load_policy_for
from metarl.runs.several import TAKEN
from metarl.runs.shipped import REFERENCE, find_checkpoint

if TYPE_CHECKING:
    from metarl.family import TaskFamily
    from metarl.runs.checkpoint import Checkpoint
    from metarl.sim.worlds import Worlds
    from metarl.sources.report import Surgery
    from metarl.types import Act

NAMED = ("random", "expert", "still")


def find_policy(name: str, family: str) -> str:
    """Find a policy by its name before anything slow starts.

    Args:
        name: One of `NAMED`, or a checkpoint as `find_checkpoint` takes it.
        family: Whose policy.
    Returns:
        One of `NAMED`, or a path.
    Raises:
        ConfigError: If it is none of them; names the nearest.
        CheckpointError: If a reference is asked for and the family has none.
    """
    if name in NAMED:
        return name
    try:
        return str(find_checkpoint(Path(name), family))
    except CheckpointError as error:
        if name == REFERENCE:
            raise
        raise ConfigError(f"{unknown('policy', name, (*NAMED, REFERENCE))}; {error}") from error


def tell_changes(checkpoint: Checkpoint, family: TaskFamily[Any], *, strict: bool) -> None:
    """Say, once, if a family is no longer what a checkpoint was trained on.

    Args:
        checkpoint: The checkpoint.
        family: The family that it will act in.
        strict: Whether that is an error.
    Raises:
        CheckpointError: If it is, and the family has changed.
    """
    if strict:
        require_unchanged(checkpoint, family)
    elif told := describe_changes(checkpoint, family):
        print(f"metarl: warning: {printable(told)}", file=sys.stderr, flush=True)
    warnings.simplefilter("ignore", ChangedFamilyWarning)  # the command line puts filters back


def tell_taken(checkpoint: Checkpoint, name: str) -> None:
    """Say what was taken of a checkpoint of several families.

    Args:
        checkpoint: As `metarl.sources.read_source` gave it for a family.
        name: Where it is from.
    """
    if taken := checkpoint.meta.get(TAKEN):
        say(printable(f"{name}: {taken}"))


def require_source(
    there: bool, what: str, mapping: Sequence[str], names: Sequence[str], statistics: Path | None
) -> None:
    """Check what is said of a source, before anything slow starts.

    Args:
        there: Whether there is one that it could be said of.
        what: What there is instead, for the message.
        mapping: As for `metarl.sources.carry`.
        names: As for `metarl.sources.read_source`.
        statistics: Likewise.
    Raises:
        ConfigError: If it cannot be read, or has no effect.
    """
    from metarl.sources.mapping import parse_mapping
    from metarl.sources.names import parse_names

    parse_mapping(mapping)
    parse_names(names)
    said = {"--map": mapping, "--names": names, "--statistics": statistics}
    for flag, value in said.items():
        if value and not there:
            raise ConfigError(f"{flag} has no effect with {what}; leave it out")


def fit(
    found: Checkpoint, family: TaskFamily[Any], mapping: Sequence[str], name: str
) -> tuple[Checkpoint, Surgery | None]:
    """Carry a policy to a family's interface, unless it has that, and say what became of it.

    Args:
        found: Of the policy.
        family: Where it will act.
        mapping: What the user says of columns and actions.
        name: Where it is from.
    Returns:
        The policy there; the surgery, None if there was none.
    Raises:
        ConfigError: If the mapping does not fit, or nothing goes along.
    """
    from metarl.sources.interface import carry, fits

    if not mapping and fits(found, family):
        of = str(found.meta.get("family", family.id))
        if split_name(of)[0] != split_name(family.id)[0]:
            say(
                f"{name} was trained on {of}; {family.id} has the same blocks and actions, so all of"
                " it goes along"
            )
        return found, None
    carried, surgery = carry(found, family, mapping, name=name)
    say(printable(str(surgery)))
    return carried, surgery


def make_act(name: str, worlds: Worlds, seed: int, checkpoint: Checkpoint | None) -> Act:
    """Make the policy that acts in some worlds.

    Args:
        name: One of `NAMED`, or where the checkpoint is from.
        worlds: Where it will act.
        seed: Of the random policy.
        checkpoint: Its checkpoint, None for the named ones.
    Raises:
        FamilyError: If the family has no expert.
        CheckpointError: If the checkpoint is of other observations or actions.
        UnknownNameError: If it is of a method that is not installed.
    """
    shape = (worlds.num_worlds, worlds.spec.action_dim)
    if checkpoint is not None:
        return _trained(checkpoint, worlds)
    if name == "still":
        return lambda obs: np.zeros(shape)
    if name == "expert":
        if not worlds.family.has_expert():
            raise FamilyError(
                f"{worlds.family.id} has no expert; choose {REFERENCE}, random or a checkpoint"
            )
        return lambda obs: worlds.expert()
    rng = np.random.default_rng(seed)
    return lambda obs: rng.uniform(-1.0, 1.0, shape)


def learns_to_adapt(checkpoint: Checkpoint) -> bool:
    """Whether a policy was trained to adapt, so that what it does before says little."""
    return adapting_of(checkpoint.meta) is not None


def _trained(checkpoint: Checkpoint, worlds: Worlds) -> Act:
    """Act as what was trained does before it has adapted."""
    import torch

    from metarl.adapt.adaptation import act_with
    from metarl.adapt.meeting import meet_in

    if (acting := acting_of(checkpoint.meta)) is not None:
        return acting(checkpoint, worlds)
    adapting = adapting_of(checkpoint.meta)
    if adapting is None:
        policy = load_policy_for(checkpoint, worlds)
        return act_with(policy, dict(policy.named_parameters()))
    meeting = meet_in(worlds, num_tasks=1, generator=torch.Generator().manual_seed(0))
    start = adapting.start(checkpoint, meeting, None)
    return start.act_in(worlds, 0, start.state())
