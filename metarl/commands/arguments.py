"""What follows a command's name: read by tyro, and every mistake told in one line."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import tyro

from metarl.errors import ConfigError, shown, unknown
from metarl.runs.fields import require_valid

_Command = TypeVar("_Command")
_HELP = ("--help", "-h")
_TYRO = "--tyro-"  # completion of a shell's words
_MANY = "..."  # in the name of a place that takes one word or more
_FRAME = re.compile(r"[─-╿]+")  # lines and corners of a box


@dataclasses.dataclass(frozen=True)
class Alone:
    """Marks a text that may be left out behind its flag.

    Args:
        means: What the flag means alone.
        value: What a word behind the flag must look like to be its value; after ``=`` anything is.
    """

    means: str
    value: str


@dataclasses.dataclass(frozen=True)
class _Flag:
    """A field as it stands on the command line.

    Args:
        field: The field's name.
        kind: Its type, without annotations; of a tuple that of its items.
        takes: How many words follow: 0 of a switch, 1, or None for any number.
        alone: Whether that one may be left out.
    """

    field: str
    kind: Any
    takes: int | None
    alone: Alone | None = None

    def value_of(self, values: Sequence[str], written: bool) -> list[str]:
        """The words behind the flag that are its own; `written`: the first one stands after ``=``."""
        if self.takes is None:
            return list(values)
        own = list(values[: self.takes])
        if self.alone is None or written or (own and re.fullmatch(self.alone.value, own[0])):
            return own
        return []


def words_of(command: Any) -> dict[str, Any]:
    """What a command was given, by field; ``json`` is for who prints, not for who works."""
    return {name: value for name, value in vars(command).items() if name != "json"}


def read_command(cls: type[_Command], prog: str, words: Sequence[str]) -> _Command:
    """Read what follows a command's name.

    Args:
        cls: The command, a dataclass.
        prog: How it is called, for example ``"metarl train"``.
        words: What follows.
    Returns:
        The command, every number within its bounds.
    Raises:
        ConfigError: If a flag is unknown, stands there twice, or has no valid value, or a word is
            missing or too many.
        SystemExit: After ``--help``.
    """
    helps = any(word in _HELP or word.startswith(_TYRO) for word in words)
    command = _by_tyro(cls, prog, words if helps else _settled(cls, prog, words))
    require_valid(command, _flag)
    return command


def require_text(words: Sequence[str]) -> None:
    """Refuse words that are no UTF-8: no report, config or log could name them.

    Raises:
        ConfigError: If one is not; shows it.
    """
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise ConfigError(f"{word!r} is not UTF-8; expected a name that is") from error


def _by_tyro(cls: type[_Command], prog: str, words: Sequence[str]) -> _Command:
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            return tyro.cli(cls, prog=prog, args=words)
    except SystemExit as stop:
        if not stop.code:  # --help
            raise
        said = " ".join(_FRAME.sub(" ", told.getvalue()).split())
        raise ConfigError(said or f"{prog}: cannot read this; see --help") from stop


def _settled(cls: type[Any], prog: str, words: Sequence[str]) -> list[str]:
    """Check words against a command's fields, and join the values of a flag that adds up."""
    flags, places = _fields_of(cls)
    fields = dataclasses.fields(cls)
    asked = [field.name for field in fields if field.default is dataclasses.MISSING]
    needed = sum(name in places for name in asked)
    rest, joined, seen = list[str](), dict[str, list[str]](), set[str]()
    loose: list[str] = []
    for name, values, written in _by_flag(words):
        if name is None:
            loose += values
            continue
        flag = flags.get(name)
        if flag is None:
            raise ConfigError(unknown(f"option of {prog}", name, flags))
        if flag.field in seen and flag.takes is not None:
            raise ConfigError(f"{name} stands there twice; expected it once")
        seen.add(flag.field)
        mine = flag.value_of(values, written)
        loose += values[len(mine) :]
        if not mine and flag.alone is not None:
            mine = [flag.alone.means]
        if not mine and flag.takes != 0:
            raise ConfigError(f"{name} has no value; see {prog} --help")
        for value in mine:
            _require_readable(name, flag.kind, value)
        if flag.takes is None:
            joined.setdefault(name, []).extend(mine)
        else:
            rest += [name, *mine]
    _require_places(prog, list(places.values()), needed, loose)
    needs = (f for f, flag in flags.items() if flag.field in asked and flag.field not in seen)
    if (lacking := next(needs, None)) is not None:
        raise ConfigError(f"{prog} lacks {lacking}; see {prog} --help")
    return [*loose, *rest, *(word for name, mine in joined.items() for word in (name, *mine))]


def _by_flag(words: Sequence[str]) -> Iterator[tuple[str | None, list[str], bool]]:
    """Part words at the flags: each with what follows it, and whether that begins after ``=``; first what
    stands before all of them."""
    name: str | None = None
    values: list[str] = []
    written = False
    for word in words:
        if not word.startswith("--"):
            values.append(word)
            continue
        yield name, values, written
        flag, equals, value = word.partition("=")
        name, values = flag.replace("_", "-"), [value] if equals else []
        written = bool(equals)
    yield name, values, written


def _require_places(prog: str, places: Sequence[str], needed: int, loose: Sequence[str]) -> None:
    """Check how many words stand without a flag: the first `needed` places must be taken."""
    missing = places[len(loose) : needed]
    if missing:
        raise ConfigError(f"{prog} lacks {' and '.join(missing)}; see {prog} --help")
    if len(loose) > len(places) and not (places and _MANY in places[-1]):
        takes = " ".join(places) or "no word without a flag"
        raise ConfigError(f"{loose[len(places)]!r} is too much; {prog} takes {takes}")
    for number, word in enumerate(loose):
        if not word:
            name = places[min(number, len(places) - 1)]
            raise ConfigError(f"{name} is empty; see {prog} --help")


def _require_readable(name: str, kind: Any, value: str) -> None:
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise ConfigError(unknown(f"value of {name}", value, get_args(kind)))
        return
    if kind in (str, Path):
        if not value:
            raise ConfigError(f"{name} is empty; give a value, or leave it out")
        return
    try:
        kind(value)
    except ValueError as error:
        what = "an integer" if kind is int else "a number"
        raise ConfigError(f"{name} is {shown(value)}; expected {what}") from error


def _fields_of(cls: type[Any]) -> tuple[dict[str, _Flag], dict[str, str]]:
    """A command's flags by name, and how its fields without a flag are called, in order."""
    flags, places = dict[str, _Flag](), dict[str, str]()
    for name, hint in get_type_hints(cls, include_extras=True).items():
        if get_origin(hint) is ClassVar:
            continue
        marks = getattr(hint, "__metadata__", ())
        kind = _plain(hint)
        if tyro.conf.Positional in marks:
            places[name] = next(m.metavar for m in marks if getattr(m, "metavar", None))
            continue
        said = next((m.name for m in marks if getattr(m, "name", None)), name)
        flag = _flag(said)
        if kind is bool:
            flags[flag] = flags[f"--no-{flag.removeprefix('--')}"] = _Flag(name, kind, 0)
        elif get_origin(kind) is tuple:
            flags[flag] = _Flag(name, get_args(kind)[0], None)
        else:
            flags[flag] = _Flag(
                name, kind, 1, next((m for m in marks if isinstance(m, Alone)), None)
            )
    return flags, places


def _flag(field: str) -> str:
    return "--" + field.replace("_", "-")


def _plain(hint: Any) -> Any:
    """A type without its annotations and without None."""
    if hasattr(hint, "__metadata__"):
        return _plain(hint.__origin__)
    if get_origin(hint) in (Union, types.UnionType):
        return next(_plain(arm) for arm in get_args(hint) if arm is not type(None))
    return hint
