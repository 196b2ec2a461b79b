"""A trained policy under the interface of another family, robot or control mode."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metarl.errors import ConfigError, MetaRLError
from metarl.family import TaskFamily
from metarl.names import split_name, without_physics
from metarl.nn.policy import GaussianPolicy, network_of
from metarl.nn.surgery import FIRST
from metarl.physics import MUJOCO
from metarl.registry import make_family
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.policies import load_policy
from metarl.runs.several import COLUMNS, HEADLESS
from metarl.runs.trained import join, part
from metarl.sim.kinds import make_worlds
from metarl.sources.mapping import ACTION, Piece, name_of, parse_mapping, split_pairs
from metarl.sources.operation import Operation, shown_piece
from metarl.sources.plan import TASK, columns_of, options_of, rows_of
from metarl.sources.report import Parameter, Surgery
from metarl.types import Spec

_ELSEWHERE = "of another network, or of what training kept; only the policy goes along"


def carry(
    source: Checkpoint,
    family: TaskFamily[Any],
    mapping: Sequence[str] = (),
    *,
    seed: int = 0,
    name: str = "the source",
) -> tuple[Checkpoint, Surgery]:
    """Give a trained policy the interface of a family.

    Columns of the first layer go along by the names that both families give them, else by blocks of
    observations with the same name and width, rows of the head where there are as many actions under the same control. The task block goes along
    within a family alone. What the mapping says of a place comes before all of this; nothing else is
    guessed. Other columns are zero, so that the policy at first does what it did; other rows are
    drawn anew. Where no column goes along, the first layer is drawn anew.

    Args:
        source: Of a policy: metarl's own, or one that `read_source` gave.
        family: Whose interface.
        mapping: ``TARGET=SOURCE`` pairs, as `metarl.sources.mapping` reads them.
        seed: Draws what is new.
        name: Where the source is from, for the report.
    Returns:
        A checkpoint in the target's interface, which says in its meta what it is from and names no
        method, and what became of every parameter.
    Raises:
        CheckpointError: If the source holds no policy.
        ConfigError: If the mapping names what is not there, or nothing of the source fits.
    """
    here, there = make_worlds(family, 1, physics=MUJOCO).spec, _interface(source, name)
    same, columns, zeroed, rows, fresh = match(
        there.family, there.blocks, there.action_dim, here, family.id, mapping, said=source.meta
    )
    if not columns and not same and not set(there.blocks) & set(here.blocks) - {TASK}:
        raise _nothing_named(name, there.blocks, here.blocks)
    target = GaussianPolicy(
        here.obs_dim, here.action_dim, here.task_dim, torch.Generator().manual_seed(seed),
        **network_of(source.meta["config"]),
    )  # fmt: skip
    operation = Operation(there.tensors, columns, rows, there.blocks, here.blocks, same)
    tensors, parameters = operation.run(target.state_dict())
    surgery = Surgery(
        name, there.family, family.id,
        tuple(_carried(columns, there.blocks, here.blocks, parameters)), zeroed, fresh,
        (*parameters, *_dropped(source)),
        (*source.meta.get("notes", ()), *_changed_options(there.family, family.id)),
        tuple(mapping),
    )  # fmt: skip
    kept = {n: v for n, v in source.meta.items() if n in ("family", "config", "steps", "seconds")}
    meta = {**kept, "blocks": dict(here.blocks), "action_dim": here.action_dim}
    return Checkpoint(join("policy", tensors), meta), surgery


def fits(source: Checkpoint, family: TaskFamily[Any]) -> bool:
    """Whether what was trained sees and does what a family shows and takes, block by block."""
    spec, meta = make_worlds(family, 1, physics=MUJOCO).spec, source.meta
    return HEADLESS not in meta and (meta.get("blocks"), meta.get("action_dim")) == (
        dict(spec.blocks),
        spec.action_dim,
    )


@dataclass(frozen=True)
class Interface:
    """What a source observes and does, and its policy's tensors."""

    family: str
    blocks: Mapping[str, int]
    action_dim: int
    tensors: Mapping[str, Tensor]


def _interface(source: Checkpoint, name: str) -> Interface:
    meta = source.meta
    tensors = part("policy", source.tensors)
    if FIRST not in tensors:
        lacks = "trunk" if tensors else "policy"
        raise ConfigError(f"{name} holds no {lacks} to start from; expected a policy's checkpoint")
    policy = load_policy(source)  # whole, finite, and as wide as it says
    family = str(meta.get("family", "another family"))
    return Interface(family, meta["blocks"], meta["action_dim"], policy.state_dict())


class Match(NamedTuple):
    """What goes where, and why the rest does not.

    Args:
        same: Whether both are of one family, whatever its options.
        columns: Of observations.
        zeroed: Blocks of which nothing is kept, or parts, and why.
        rows: Of actions.
        fresh: Parts of the network that are new without them, and why.
    """

    same: bool
    columns: list[Piece]
    zeroed: dict[str, str]
    rows: list[Piece]
    fresh: dict[str, str]


def match(
    was: str,
    blocks: Mapping[str, int],
    action_dim: int,
    spec: Spec,
    family: str,
    mapping: Sequence[str],
    *,
    said: Mapping[str, Any] | None = None,
) -> Match:
    """Find which columns and rows of a source go where.

    Args:
        was: What the source was trained on.
        blocks: Widths of what it observed.
        action_dim: How many actions it has.
        spec: The target's.
        family: The target's name.
        mapping: As for `carry`.
        said: What the source's checkpoint says of itself: names of its columns where no family says
            them, and why it has no head, where it has none.
    Raises:
        ConfigError: If the mapping names what is not there.
    """
    observed, acted = split_pairs(parse_mapping(mapping))
    same = split_name(was)[0] == split_name(family)[0]
    said = said or {}
    names = (said.get(COLUMNS) or _names_of_columns(was, blocks), spec.columns)
    columns, zeroed = columns_of(observed, blocks, spec.blocks, same=same, names=names)
    if why := said.get(HEADLESS):
        if acted:
            raise ConfigError(f"--map {acted[0]}: there is no head to map from; it is {why}")
        return Match(same, columns, zeroed, [], {"head": why, "log_std": why})
    rows, fresh = rows_of(
        acted, {ACTION: action_dim}, {ACTION: spec.action_dim}, was=was, family=family
    )
    return Match(same, columns, zeroed, rows, fresh)


def _names_of_columns(family: str, blocks: Mapping[str, int]) -> Mapping[str, tuple[str, ...]]:
    """The names of a source's columns, where its family is installed and observes what it did."""
    try:
        spec = make_worlds(make_family(without_physics(family)), 1).spec
    except MetaRLError:
        return {}
    return spec.columns if dict(spec.blocks) == dict(blocks) else {}


def _carried(
    columns: Sequence[Piece],
    there: Mapping[str, int],
    here: Mapping[str, int],
    parameters: Sequence[Parameter],
) -> Iterator[str]:
    """Blocks, and parts of the network, of which something goes along."""
    for piece in columns:
        new, old = name_of(piece.here, piece.width, here), name_of(piece.there, piece.width, there)
        yield new if new == old and piece.factor == 1.0 else shown_piece(piece, there, here)
    yield "layers" if columns else "layers above the first"
    fates = {p.name: p for p in parameters}
    for name, tensor in (("head", "head.weight"), ("context", "context"), ("log_std", "log_std")):
        parameter = fates.get(tensor)
        if parameter is not None and parameter.became in ("kept", "resized"):
            parts = f" ({', '.join(parameter.parts)})" if name == "head" and parameter.parts else ""
            yield f"{name}{parts}"


def _dropped(source: Checkpoint) -> Iterator[Parameter]:
    """What of a source plays no part: of others by name, of metarl's own network by network."""
    for name, shape in source.meta.get("dropped", {}).items():
        yield Parameter(name, "dropped", None, tuple(shape), why=_ELSEWHERE)
    groups = dict[str, int]()
    for name in source.tensors:
        group = name.partition(".")[0].partition("/")[0]
        if group != "policy":
            groups[group] = groups.get(group, 0) + 1
    for group, count in groups.items():
        yield Parameter(group, "dropped", None, None, (f"{count} tensors",), _ELSEWHERE)


def _changed_options(there: str, here: str) -> list[str]:
    """Say which options of the families differ, for actions and observations may mean other things."""
    was, now = options_of(there), options_of(here)
    return [
        f"{name}: was {was[name]}, is {now[name]}"
        for name in was.keys() & now.keys()
        if was[name] != now[name]
    ]


def _nothing_named(name: str, there: Mapping[str, int], here: Mapping[str, int]) -> ConfigError:
    mine, theirs = (
        ", ".join(f"{block}[0:{width}]" for block, width in blocks.items() if width)
        for blocks in (here, there)
    )
    first = next(iter(here))
    return ConfigError(
        f"{name} observes {theirs} and here there is {mine}: no block has the same name, and nothing"
        f" is guessed; say what is where, for example --map {first}=0:{here[first]}"
    )
