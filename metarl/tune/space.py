"""Which settings are searched, and over what: ``rate=1e-4..1e-2:log``, ``hidden=[64,64],[256,256]``."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_type_hints

from metarl.errors import ConfigError, MetaRLError, shown, unknown
from metarl.learn.train import parse_settings, setting_text
from metarl.runs.config import config_values, configure, require_settings

FORMS = "NAME=LOW..HIGH, NAME=LOW..HIGH:log or NAME=VALUE,VALUE,..., each name once"
LOG = "log"
_RANGE = re.compile(r"([^,\[\]{}\"]*?)\.\.([^,\[\]{}\":]*)(?::(.*))?")
_DIGITS = 4  # of a number that is tried: more of them tell nothing, and are long to type
_FACTOR = 10.0  # each way, of a learning rate that nobody said a range for
_RATE = "_rate"


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers between two ends, both of them included.

    Args:
        low: The lower end.
        high: The upper end.
        log: Whether their logarithms are drawn evenly; then `low` > 0.
        whole: Whether they are integers.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    @property
    def size(self) -> float:
        """How many different values there are."""
        return self.high - self.low + 1 if self.whole else math.inf

    def holds(self, value: Any) -> bool:
        """Whether a value is one of them."""
        return type(value) in (int, float) and self.low <= value <= self.high

    def values(self) -> Iterator[Any]:
        """List them; `size` is finite."""
        return iter(range(int(self.low), int(self.high) + 1))

    def short(self, value: float) -> float:
        """Round a value to so many digits as tell anything; it stays between the ends."""
        if self.whole:
            return int(value)
        return min(max(float(f"{value:.{_DIGITS}g}"), float(self.low)), float(self.high))

    def __str__(self) -> str:
        return f"{json.dumps(self.low)}..{json.dumps(self.high)}" + f":{LOG}" * self.log


@dataclasses.dataclass(frozen=True)
class Choices:
    """Values without an order.

    Args:
        each: JSON values, at least two different ones.
    """

    each: tuple[Any, ...]

    @property
    def size(self) -> float:
        """How many there are."""
        return len(self.each)

    def holds(self, value: Any) -> bool:
        """Whether a value is one of them."""
        return _same(value) in map(_same, self.each)

    def values(self) -> Iterator[Any]:
        """List them."""
        return iter(self.each)

    def __str__(self) -> str:
        return ",".join(map(setting_text, self.each))


Searched = Range | Choices
Space = Mapping[str, Searched]


def parse_space(pairs: Sequence[str], config: type[Any]) -> dict[str, Searched]:
    """Read what is searched; each value is checked as ``--set`` checks it.

    Args:
        pairs: As `FORMS` says.
        config: The dataclass of the method's config.
    Raises:
        ConfigError: If one is no such pair, a field is unknown, an end or a value is none that it takes,
            or there is nothing to search.
    """
    found = dict[str, Searched]()
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name or name in found:
            raise ConfigError(f"--search {shown(pair)}; expected {FORMS}")
        try:
            found[name] = _searched(name, text, config)
        except MetaRLError as error:
            raise ConfigError(f"--search {shown(pair)}: {error}") from error
    return found


def _searched(name: str, text: str, config: type[Any]) -> Searched:
    if (match := _RANGE.fullmatch(text)) is not None:
        return _range(name, match[1], match[2], match[3], config)
    each = tuple(_checked(name, part, config) for part in _parts(text))
    if len(each) < 2:
        raise ConfigError(f"one value is no search; expected {FORMS}, or --set {name}={text}")
    if len(set(map(_same, each))) < len(each):
        raise ConfigError("a value stands there twice; expected each once")
    return Choices(each)


def _range(name: str, low: str, high: str, scale: str | None, config: type[Any]) -> Range:
    if scale not in (None, LOG):
        raise ConfigError(unknown("scale", str(scale), (LOG,)))
    first, last = (_checked(name, end, config) for end in (low, high))
    hint = get_type_hints(config)[name]
    if any(type(end) not in (int, float) for end in (first, last)):
        raise ConfigError("only numbers have a range; expected NAME=VALUE,VALUE,...")
    if not first < last:
        raise ConfigError("the lower end stands first, and the upper end is larger")
    if scale == LOG and first <= 0:
        raise ConfigError(f"the lower end is {first:g}; expected one > 0 with :{LOG}")
    whole = float not in (hint, *get_args(hint))
    kind = int if whole else float
    return Range(kind(first), kind(last), scale == LOG, whole)


def _checked(name: str, text: str, config: type[Any]) -> Any:
    """Read a value as ``--set`` reads it."""
    [value] = parse_settings([f"{name}={text}"]).values()
    require_settings(config, {name: value})
    return value


def _parts(text: str) -> list[str]:
    """Part a text at commas that stand outside of brackets and quotes."""
    parts, depth, quoted = [""], 0, False
    for letter in text:
        quoted ^= letter == '"'
        depth += 0 if quoted else (letter in "[{") - (letter in "]}")
        if letter == "," and not depth and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def usual_space(usual: Mapping[str, Any], config: type[Any]) -> dict[str, Searched]:
    """What is searched where nobody says: every learning rate, ten times less to ten times more.

    Args:
        usual: The method's own settings, by field.
        config: The dataclass of its config.
    Returns:
        A range for each field that is called a rate, and has a positive number; where ten times more is not valid, the method's own is the upper end. Empty: there is none.
    """
    found = dict[str, Searched]()
    for name, value in usual.items():
        if name.endswith(_RATE) and type(value) in (int, float) and value > 0:
            low, high = value / _FACTOR, value * _FACTOR
            try:
                require_settings(config, {name: high})
            except ConfigError:
                high = value
            found[name] = Range(float(f"{low:.{_DIGITS}g}"), float(f"{high:.{_DIGITS}g}"), log=True)
    return found


def usual_settings(space: Space, usual: Mapping[str, Any], config: type[Any]) -> dict[str, Any]:
    """The method's own values of what is searched, as JSON values."""
    said = config_values(configure(config, usual))
    return {name: said[name] for name in space}


def size_of(space: Space) -> float:
    """How many different settings there are; infinite where a range has no steps."""
    return math.prod(one.size for one in space.values())


def holds(space: Space, settings: Mapping[str, Any]) -> bool:
    """Whether settings lie within what is searched."""
    return all(one.holds(settings[name]) for name, one in space.items())


def every(space: Space) -> Iterator[dict[str, Any]]:
    """List all settings, in order; there are finitely many."""
    for values in itertools.product(*(one.values() for one in space.values())):
        yield dict(zip(space, values))


def same(some: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    """Whether two settings are the same."""
    return _same(dict(some)) == _same(dict(others))


def _same(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
