"""Reading a benchmark's file strictly: every mistake names its place in it."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metarl.benchmark.sections import (
    ArmSection,
    FamilySection,
    FileSection,
    OnSection,
    ProtocolSection,
    place,
)
from metarl.errors import CheckpointError, ConfigError, shown, unknown
from metarl.runs import fields
from metarl.runs.config import read_section
from metarl.runs.reading import open_file

_LARGEST = 1 << 20  # bytes of a file
_MOST_SEEDS = 1_000
_LONGEST = 120  # name of a table
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")  # of an arm: it names files


@dataclasses.dataclass(frozen=True)
class Sections:
    """A file, read but not yet held against what is installed.

    Args:
        file: What stands at its top.
        families: Each table's section, by name.
        arms: Each arm's, by name.
        on: What differs: by arm and table.
    """

    file: FileSection
    families: Mapping[str, FamilySection]
    arms: Mapping[str, ArmSection]
    on: Mapping[tuple[str, str], OnSection]


def read_text(path: Path) -> str:
    """Read a benchmark's file.

    Raises:
        ConfigError: If there is none, it is longer than any is, or no text.
        CheckpointError: If it cannot be read, or is no regular file.
    """
    try:
        with open_file(path) as file:
            content = file.read(_LARGEST + 1)
    except FileNotFoundError as error:
        raise ConfigError(f"no file {path}; expected a benchmark, a TOML file") from error
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > _LARGEST:
        raise ConfigError(
            f"{path} is longer than {_LARGEST} bytes; a benchmark is a short TOML file"
        )
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no UTF-8; expected a TOML file") from error


def with_physics(text: str, name: str, physics: str | None) -> str:
    """Let a file say what moves its worlds.

    Args:
        text: Its content.
        name: The file's, for the message.
        physics: The name; None: the file stays as it is.
    Raises:
        ConfigError: If it says another one.
    """
    said = _read(text, name).get("physics") if physics else None
    if said not in (None, physics):
        raise ConfigError(f"--physics {physics} contradicts {name}, which says {shown(said)}")
    return text if physics is None or said else f'physics = "{physics}"\n{text}'


def parse_sections(text: str, name: str) -> Sections:
    """Read what a benchmark's file says.

    Args:
        text: Its content.
        name: The file's, for messages.
    Raises:
        ConfigError: If it is no TOML, a key is unknown or missing, or a value has another type or is out
            of range; the message names file and place.
    """
    said = _read(text, name)
    try:
        return _sections(said)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error


def _read(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        words = "nested too deep" if isinstance(error, RecursionError) else error
        raise ConfigError(f"{name} is no TOML: {words}") from error
    except ValueError as error:  # a number of thousands of digits
        raise ConfigError(f"{name} is no TOML: {str(error).partition(';')[0]}") from error


def _sections(said: Mapping[str, Any]) -> Sections:
    file = read_section(said, FileSection, "")
    read_section(file.protocol, ProtocolSection, "protocol")
    if not file.families:
        raise ConfigError("families is empty; expected a section for each, with a start")
    families = {
        name: read_section(own, FamilySection, place("families", name))
        for name, own in file.families.items()
    }
    for name in families:  # it stands in tables, and names files
        odd = "|" in name or ("@" in name and "family" in file.families[name])
        if not name.isprintable() or not 0 < len(name) <= _LONGEST or odd:
            raise ConfigError(
                f"families: {shown(name)} is no name of a table; expected a family's, or with family = ..."
                f" words: at most {_LONGEST} letters, without | and @"
            )
    for name, family in families.items():
        read_section(family.protocol, ProtocolSection, place("families", name, "protocol"))
    arms = _arms(file.arms)
    on = {
        (name, table): read_section(own, OnSection, place("arms", name, "on", table))
        for name, arm in arms.items()
        for table, own in arm.on.items()
    }
    for name, table in on:
        if table not in families:
            raise ConfigError(f"{place('arms', name, 'on')}: {unknown('table', table, families)}")
    for name, family in families.items():
        for arm in family.arms:
            if arm not in arms:
                raise ConfigError(f"{place('families', name, 'arms')}: {unknown('arm', arm, arms)}")
    return Sections(file, families, arms, on)


def _arms(said: Any) -> dict[str, ArmSection]:
    if isinstance(said, list) and all(isinstance(name, str) for name in said):
        found = {name: ArmSection() for name in said}
        if len(found) < len(said):
            raise ConfigError(f"arms is {shown(said)}; expected each once")
    elif isinstance(said, Mapping):
        found = {n: read_section(own, ArmSection, place("arms", n)) for n, own in said.items()}
    else:
        raise ConfigError(f"arms is {shown(said)}; expected names, or a section for each")
    for name in found:
        if not _NAME.fullmatch(name) or name == "ceiling":
            taken = (
                "is what the start reaches with the task in view"
                if name == "ceiling"
                else "is no name"
            )
            raise ConfigError(
                f"{place('arms', name)} {taken}; expected a name of letters, digits, '.', '_' and '-', at"
                " most 60, and what it is with method = ..."
            )
    return found


def seeds_of(said: Any, where: str) -> tuple[int, ...]:
    """Read seeds: how many, or which.

    Raises:
        ConfigError: If it is neither.
    """
    if type(said) is int and 1 <= said <= _MOST_SEEDS:
        return tuple(range(said))
    if isinstance(said, list | tuple) and 1 <= len(said) <= _MOST_SEEDS:
        whole = all(type(seed) is int and 0 <= seed < fields.SEEDS for seed in said)
        if whole and len(set(said)) == len(said):
            return tuple(said)
    raise ConfigError(
        f"{where} is {shown(said)}; expected how many, from 1 to {_MOST_SEEDS}, or a list of them, each"
        f" once: integers >= 0 and <= {fields.SEEDS - 1}"
    )


def checkpoints_of(said: Any, where: str) -> tuple[str, ...]:
    """Read the name of a checkpoint, or one for each seed; none: empty.

    Raises:
        ConfigError: If it is neither.
    """
    names = (said,) if isinstance(said, str) else said
    if not isinstance(names, list | tuple) or not all(isinstance(n, str) and n for n in names):
        raise ConfigError(f"{where} is {shown(said)}; expected a checkpoint, or a list of them")
    return tuple(names)
