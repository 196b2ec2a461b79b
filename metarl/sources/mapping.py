"""Which columns of a source's observations, and rows of its actions, go where: what a user says.

``TARGET=SOURCE``, each side a named block or part of one:

    robot=observation        a whole block, as wide on both sides
    robot=0:17               a whole block here, from columns 0 to 16 of all that the source observed
    robot[0:8]=robot[0:8]    a part of a block, from a part of one
    robot[8:17]=8:17*10      what the source observed there is 10 times what is observed here
    action[0:6]=action[1:7]  actions likewise; no factor
    object=new               nothing: zero columns, or rows drawn anew
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from metarl.errors import ConfigError, shown, unknown

ACTION = "action"
NEW = "new"
_TARGET = re.compile(r"(?P<name>[A-Za-z_][\w.-]*)(?:\[(?P<low>\d{1,9})(?::(?P<high>\d{1,9}))?\])?")
_PLACES = re.compile(r"(?P<low>\d{1,9})(?::(?P<high>\d{1,9}))?")
_FORMS = "robot=0:17, robot[0:8]=robot[0:8], robot[8:17]=8:17*10, action=0:6 or object=new"


@dataclass(frozen=True)
class Side:
    """One side of a pair.

    Args:
        name: A block, or ``action``; empty: places among all columns, or all rows.
        low: First place; None: the whole block.
        high: One behind the last place; None: the whole block.
    """

    name: str
    low: int | None = None
    high: int | None = None

    def __str__(self) -> str:
        places = "" if self.low is None else f"{self.low}:{self.high}"
        return f"{self.name}[{places}]" if self.name and places else self.name or places


@dataclass(frozen=True)
class Pair:
    """What a user says of one block.

    Args:
        here: Of the target.
        there: Of the source; None: nothing.
        factor: What the source observed is so many times what is observed here.
    """

    here: Side
    there: Side | None
    factor: float = 1.0

    def __str__(self) -> str:
        times = "" if self.factor == 1.0 else f"*{self.factor:g}"
        return f"{self.here}={NEW if self.there is None else self.there}{times}"


class Piece(NamedTuple):
    """Neighbouring columns or rows that go along.

    Args:
        here: First place of the target.
        there: First place of the source.
        width: How many.
        factor: As for `Pair`.
    """

    here: int
    there: int
    width: int
    factor: float = 1.0


def parse_mapping(words: Sequence[str]) -> tuple[Pair, ...]:
    """Read ``TARGET=SOURCE`` pairs.

    Raises:
        ConfigError: If one cannot be read; shows what can.
    """
    return tuple(map(_parse, words))


def _parse(word: str) -> Pair:
    left, equals, right = word.partition("=")
    body, star, times = right.partition("*")
    here = _side(left)
    if not equals or here is None or not here.name:
        raise _unreadable(word)
    if body == NEW and not star:
        return Pair(here, None)
    there, factor = _side(body), _factor(times) if star else 1.0
    if there is None or factor is None or body == NEW or (here.name == ACTION and factor != 1.0):
        raise _unreadable(word)
    return Pair(here, there, factor)


def _side(text: str) -> Side | None:
    found = _TARGET.fullmatch(text)
    name = found["name"] if found else ""
    found = found or _PLACES.fullmatch(text)
    if found is None:
        return None
    if found["low"] is None:
        return Side(name)
    low = int(found["low"])
    high = low + 1 if found["high"] is None else int(found["high"])
    return Side(name, low, high) if low < high else None


def _factor(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value != 0.0 and 1e-9 <= abs(value) <= 1e9 else None


def _unreadable(word: str) -> ConfigError:
    return ConfigError(f"cannot read --map {shown(word)}; expected for example {_FORMS}")


def split_pairs(pairs: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Part what is said of observations from what is said of actions."""
    actions = [pair for pair in pairs if pair.here.name == ACTION]
    return [pair for pair in pairs if pair.here.name != ACTION], actions


def pieces_of(
    pairs: Sequence[Pair], here: Mapping[str, int], there: Mapping[str, int]
) -> list[Piece]:
    """Find the places that pairs name.

    Args:
        pairs: Of observations, or of actions.
        here: Widths of the target's blocks, in their order.
        there: Of the source's.
    Raises:
        ConfigError: If a block is unknown, places lie outside it, the two sides have different
            widths, or a place comes twice.
    """
    pieces = []
    for pair in pairs:
        start, width = _places(pair.here, here, "the target", str(pair))
        if pair.there is None:
            continue
        begin, given = _places(pair.there, there, "the source", str(pair))
        if given != width:
            raise ConfigError(
                f"--map {pair}: {width} on the left, {given} on the right; both sides must be as"
                f" wide (the target has {_listed(here)}, the source {_listed(there)})"
            )
        pieces.append(Piece(start, begin, width, pair.factor))
    return sorted(pieces, key=lambda piece: piece.here)


def covered(pairs: Sequence[Pair], blocks: Mapping[str, int]) -> set[int]:
    """List the places of the target that pairs say something of, ``new`` included.

    Raises:
        ConfigError: As `pieces_of`.
    """
    seen = set[int]()
    for pair in pairs:
        start, width = _places(pair.here, blocks, "the target", str(pair))
        mine = set(range(start, start + width))
        if mine & seen:
            raise ConfigError(f"--map {pair}: another pair names these places of the target, too")
        seen |= mine
    return seen


def require_once(pieces: Sequence[Piece], there: Mapping[str, int]) -> None:
    """Check that no place of the source goes to two places: its effect would be doubled.

    Raises:
        ConfigError: If one does; names it.
    """
    seen: dict[int, Piece] = {}
    for piece in pieces:
        for place in range(piece.there, piece.there + piece.width):
            if place in seen:
                raise ConfigError(
                    f"{name_of(place, 1, there)} of the source goes to two places of the target; map"
                    " one of them to another place, or to new"
                )
            seen[place] = piece


def name_of(start: int, width: int, blocks: Mapping[str, int]) -> str:
    """Name neighbouring places: ``robot``, ``robot[0:7]``, or ``robot + object`` across blocks."""
    parts, end = [], start + width
    for name, low, high in _spans(blocks):
        first, last = max(start, low), min(end, high)
        if first < last:
            whole = (first, last) == (low, high)
            parts.append(name if whole else f"{name}[{first - low}:{last - low}]")
    return " + ".join(parts)


def _places(side: Side, blocks: Mapping[str, int], whose: str, pair: str) -> tuple[int, int]:
    """The first place of a side, and how many there are."""
    spans = {name: (low, high) for name, low, high in _spans(blocks)}
    if side.name and side.name not in spans:
        raise ConfigError(f"--map {pair}: {unknown(f'block of {whose}', side.name, blocks)}")
    low, high = spans[side.name] if side.name else (0, sum(blocks.values()))
    if side.low is None or side.high is None:
        return low, high - low
    if low + side.high > high:
        raise ConfigError(f"--map {pair}: {side} lies outside what {whose} has, {_listed(blocks)}")
    return low + side.low, side.high - side.low


def _spans(blocks: Mapping[str, int]) -> Iterator[tuple[str, int, int]]:
    start = 0
    for name, width in blocks.items():
        yield name, start, start + width
        start += width


def _listed(blocks: Mapping[str, int]) -> str:
    return ", ".join(f"{name}[0:{width}]" for name, width in blocks.items() if width)
