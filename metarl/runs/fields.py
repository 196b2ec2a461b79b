"""Fields of configs that know what is valid: a default, a range, and the words for it."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from metarl.errors import require

_VALID = "valid"
_DOCUMENTED = re.compile(r"        (\w+): (.*)")  # a field, in a docstring
MOST = 10**9  # of anything that is counted
WIDEST = 65_536  # of a layer
DEEPEST = 64  # of a network
LONGEST_S = 1e9  # of a time: thirty years
SEEDS = 2**32  # NumPy's and torch's generators all take smaller ones


@dataclasses.dataclass(frozen=True)
class Valid:
    """What a field may hold.

    Args:
        holds: Whether a value is valid.
        words: What is valid, in words.
    """

    holds: Callable[[Any], bool]
    words: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checked:
    """Base of configs: every field made by a function of this module is checked when one is built."""

    def __post_init__(self) -> None:
        require_valid(self)


def require_valid(checked: Any, label: Callable[[str], str] = str) -> None:
    """Check every field of a dataclass that was made by a function of this module.

    Args:
        checked: The dataclass.
        label: Says how the message calls a field.
    Raises:
        ConfigError: If a value is not valid.
    """
    for field in dataclasses.fields(checked):
        require_value(field, getattr(checked, field.name), label)


def require_value(
    field: dataclasses.Field[Any], value: Any, label: Callable[[str], str] = str
) -> None:
    """Check a value that a field is to hold; arguments as for `require_valid`."""
    valid = field.metadata.get(_VALID)
    if valid is not None:
        require(valid.holds(value), label(field.name), value, valid.words)


def valid_words(field: dataclasses.Field[Any]) -> str:
    """Say what a field may hold, empty if its type alone says it."""
    valid = field.metadata.get(_VALID)
    return "" if valid is None else valid.words


def count(
    default: int | None, *, least: int = 1, most: int = MOST, optional: bool = False
) -> Any:
    """An integer that counts something, >= `least`; or None, where it is optional."""
    return _whole(default, least, most, optional)


def positive(default: float | None, *, optional: bool = False) -> Any:
    """A finite number > 0 that single precision can work with; or None, where it is optional."""
    words = f"a finite number > 0 and <= {MOST:g}"
    return _number(default, lambda v: 0.0 < v <= MOST, words, optional)


def not_negative(default: float | None, *, optional: bool = False) -> Any:
    """A finite number >= 0 that single precision can work with; or None, where it is optional."""
    words = f"a finite number >= 0 and <= {MOST:g}"
    return _number(default, lambda v: 0.0 <= v <= MOST, words, optional)


def share(default: float | None, *, optional: bool = False) -> Any:
    """A number in [0, 1]; or None, where it is optional."""
    return _number(default, lambda v: 0.0 <= v <= 1.0, "a number in [0, 1]", optional)


def factor(default: float | None, *, below: bool = False, optional: bool = False) -> Any:
    """A number in (0, 1], or in (0, 1); or None, where it is optional."""
    if below:
        return _number(default, lambda v: 0.0 < v < 1.0, "a number in (0, 1)", optional)
    return _number(default, lambda v: 0.0 < v <= 1.0, "a number in (0, 1]", optional)


def number(default: float | None, *, optional: bool = False) -> Any:
    """A finite number that single precision can work with; or None, where it is optional."""
    words = f"a finite number in [-{MOST:g}, {MOST:g}]"
    return _number(default, lambda v: abs(v) <= MOST, words, optional)


def log_std(default: float | None, *, optional: bool = False) -> Any:
    """A log standard deviation of actions, which lie in [-1, 1]; or None, where it is optional."""
    words = "a finite number in [-20, 2], the log of a standard deviation"
    return _number(default, lambda v: -20.0 <= v <= 2.0, words, optional)


def seed(default: int | None = 0, *, optional: bool = False) -> Any:
    """A seed that every generator here takes; or None, where it is optional."""
    return _whole(default, 0, SEEDS - 1, optional)


def seconds(default: float | None, *, optional: bool = False) -> Any:
    """A time [s] that a clock may show; or None, where it is optional."""
    words = f"a finite number > 0 and <= {LONGEST_S:g}"
    return _number(default, lambda v: 0.0 < v <= LONGEST_S, words, optional)


def widths(default: Sequence[int], *, least: int = 0) -> Any:
    """Widths of a network's layers, `least` or more of them."""

    def holds(value: Any) -> bool:
        if not isinstance(value, tuple | list) or not least <= len(value) <= DEEPEST:
            return False
        return all(_is_whole(w) and 1 <= w <= WIDEST for w in value)

    return _field(tuple(default), holds, f"widths >= 1 and <= {WIDEST}, at most {DEEPEST} of them")


def counts(default: Sequence[int], *, most: int, least: int = 1, empty: bool = False) -> Any:
    """Integers that count something, each from `least` to `most`; at least one, unless `empty`."""

    def holds(value: Any) -> bool:
        if not isinstance(value, tuple | list) or not (value or empty):
            return False
        return all(_is_whole(n) and least <= n <= most for n in value)

    words = f"integers >= {least} and <= {most}" + ", at least one of them" * (not empty)
    return _field(tuple(default), holds, words)


def _whole(default: int | None, least: int, most: int, optional: bool) -> Any:
    def holds(value: Any) -> bool:
        return optional if value is None else _is_whole(value) and least <= value <= most

    words = f"an integer >= {least} and <= {most}"
    return _field(default, holds, f"{words}, or None" if optional else words)


def _number(
    default: float | None, holds: Callable[[float], bool], words: str, optional: bool
) -> Any:
    def valid(value: Any) -> bool:
        if value is None:
            return optional
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and math.isfinite(value) and holds(value)

    return _field(default, valid, f"{words}, or None" if optional else words)


def field_docs(config: type[Any]) -> dict[str, str]:
    """What the docstrings of a config and of its bases say of each field, without marks of code."""
    found: dict[str, str] = {}
    for cls in reversed(config.__mro__):
        name = ""
        for line in (cls.__doc__ or "").splitlines():
            if match := _DOCUMENTED.fullmatch(line):
                name = match[1]
                found[name] = match[2]
            elif name and line.startswith(" " * 12):
                found[name] += f" {line.strip()}"
            else:
                name = ""
    return {name: said.replace("`", "") for name, said in found.items()}


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _field(default: Any, holds: Callable[[Any], bool], words: str) -> Any:
    return dataclasses.field(default=default, metadata={_VALID: Valid(holds, words)})
