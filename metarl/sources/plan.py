"""Which columns and rows of a source go where: by names that both sides have, or as a user says."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from metarl.errors import MetaRLError
from metarl.names import split_name, without_physics
from metarl.registry import family_class
from metarl.sources.mapping import ACTION, Pair, Piece, covered, pieces_of, require_once

TASK = "task"


Names = Mapping[str, tuple[str, ...]]


def columns_of(
    pairs: Sequence[Pair],
    there: Mapping[str, int],
    here: Mapping[str, int],
    *,
    same: bool,
    names: tuple[Names, Names] = ({}, {}),
) -> tuple[list[Piece], dict[str, str]]:
    """Find which columns of observations go where, and why the others do not.

    Args:
        pairs: What the user says of them.
        there: The source's blocks.
        here: The target's.
        same: Whether both are of one family, whatever its options.
        names: Names of columns by block, the source's and the target's; where both have some, these
            decide, else a block goes along if it is as wide.
    Returns:
        The pieces, and by block of the target, or part of the source, why nothing of it is kept.
    Raises:
        ConfigError: If the pairs do not fit, or a column of the source would go to two places.
    """
    said, pieces, zeroed = covered(pairs, here), pieces_of(pairs, here, there), dict[str, str]()
    start, begin = 0, {n: sum(list(there.values())[:i]) for i, n in enumerate(there)}
    for name, width in here.items():
        if said & set(range(start, start + width)):
            zeroed |= _unmapped(name, start, width, pieces)
        elif name in names[0] and name in names[1]:
            found, unknown = _by_name(name, start, begin[name], names)
            pieces += found
            zeroed |= unknown
        elif why := _why_not(name, width, there, same=same):
            zeroed[name] = f"zero weights at first, {why}"
        elif width:
            pieces.append(Piece(start, begin[name], width))
        start += width
    require_once(pieces, there)
    used = {p.there + i for p in pieces for i in range(p.width)}
    for name, width in there.items():
        left = [i for i in range(width) if begin[name] + i not in used]
        if len(left) == width and width and name not in here:
            zeroed[name] = "dropped, for nobody observes it here"
        elif left and len(left) < width:
            zeroed[f"{name}{_places(left)} of the source"] = "dropped, for it has no place here"
    if not pieces:  # of a first layer without weights nothing above it could tell anything apart
        zeroed = {
            n: why.replace("zero weights at first", "drawn anew") for n, why in zeroed.items()
        }
    return sorted(pieces), zeroed


def _by_name(
    block: str, start: int, begin: int, names: tuple[Names, Names]
) -> tuple[list[Piece], dict[str, str]]:
    """Columns of a block with the same names, neighbours together, and why the others are left."""
    there, here = (each[block] for each in names)
    pieces = list[Piece]()
    for k, name in enumerate(here):
        if name not in there:
            continue
        at = begin + there.index(name)
        last = pieces[-1] if pieces else None
        if last and (last.here + last.width, last.there + last.width) == (start + k, at):
            pieces[-1] = last._replace(width=last.width + 1)
        else:
            pieces.append(Piece(start + k, at, 1))
    new = [name for name in here if name not in there]
    if not new:
        return pieces, {}
    whose = block if len(new) == len(here) else f"{block} ({', '.join(new)})"
    return pieces, {whose: "zero weights at first, for the source never observed it"}


def _unmapped(name: str, start: int, width: int, pieces: Sequence[Piece]) -> dict[str, str]:
    mapped = {piece.here + i for piece in pieces for i in range(piece.width)}
    left = [i for i in range(width) if start + i not in mapped]
    if not left:
        return {}
    whose = name if len(left) == width else f"{name}{_places(left)}"
    return {whose: "zero weights at first, for the mapping says so, or nothing"}


def _why_not(name: str, width: int, there: Mapping[str, int], *, same: bool) -> str:
    """Why a block does not go along by its name; empty if it does."""
    if not width:
        return ""
    if not there.get(name):
        return "for the source never observed it"
    if name == TASK and not same:
        return "for it means something else here"
    if there[name] != width:
        return f"{width} numbers where it had {there[name]} (--map takes a part of them along)"
    return ""


def rows_of(
    pairs: Sequence[Pair],
    there: Mapping[str, int],
    here: Mapping[str, int],
    *,
    was: str,
    family: str,
) -> tuple[list[Piece], dict[str, str]]:
    """Find which rows of actions go where, and which parts of the network are new without them.

    Args:
        pairs: What the user says of them.
        there: How many actions the source has, by name.
        here: Likewise, of the target.
        was: The source's family.
        family: The target.
    Raises:
        ConfigError: If the pairs do not fit.
    """
    if pairs:
        covered(pairs, here)
        pieces = pieces_of(pairs, here, there)
        require_once(pieces, there)
        why = "drawn anew, for the mapping says so"
        return pieces, {} if pieces else {"head": why, "log_std": why}
    old, new = (options_of(name).get("control") for name in (was, family))
    if here != there:
        why = f"drawn anew, for there are {here[ACTION]} actions where it had {there[ACTION]}"
    elif old != new and None not in (old, new):
        why = f"drawn anew, for its actions were of control={old} and are of control={new}"
    else:
        return [Piece(0, 0, here[ACTION])], {}
    return [], {"head": why, "log_std": why}


def options_of(name: str) -> dict[str, Any]:
    """The options of a family's name, those that are not given at their defaults."""
    base, given = split_name(without_physics(name))
    try:
        signature = inspect.signature(family_class(base))
    except (MetaRLError, TypeError, ValueError):  # not installed here, or not metarl's
        return dict(given)
    empty = inspect.Parameter.empty
    known = {n: p.default for n, p in signature.parameters.items() if p.default is not empty}
    return {**known, **given}


def _places(left: Sequence[int]) -> str:
    """Write places as ``[3:5]``, or as ``[0, 4, 7]`` where they are no neighbours."""
    if left[-1] - left[0] == len(left) - 1:
        return f"[{left[0]}:{left[-1] + 1}]"
    return f"[{', '.join(map(str, left))}]"
