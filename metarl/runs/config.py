"""Configs on disk: a frozen dataclass as JSON, and back without guessing.

A saved config holds the fields at its top level, beside two entries no field can be named:
``"class"``, a keyword, and ``"made-with"``, no identifier.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import os
import platform
import types
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from metarl.errors import CheckpointError, ConfigError, shown, unknown
from metarl.runs.fields import require_value
from metarl.runs.checkpoint import release
from metarl.runs.reading import parse_json, read_file

CONFIG_FILE = "config.json"
_CLASS, _MADE_WITH = "class", "made-with"
NO_FIELDS = (_CLASS, _MADE_WITH)  # entries of config.json that are no fields of the config
_NOT_FINITE = ("nan", "inf", "-inf")
_T = TypeVar("_T")


def describe_config(config: Any, command: str = "") -> dict[str, Any]:
    """Return what config.json holds for a config.

    Args:
        config: A frozen dataclass.
        command: The command line that started the run.
    Returns:
        JSON values: the fields, the class's name, and the versions and machine of this process.
    Raises:
        ConfigError: If `config` is no frozen dataclass, or a field cannot be written as JSON.
    """
    return {**config_values(config), **made_with(command)}


def config_values(config: Any) -> dict[str, Any]:
    """Return what a config says, whoever made it: its class's name and its fields, as JSON values.

    Raises:
        ConfigError: As `describe_config`.
    """
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise ConfigError(f"a config is a frozen dataclass, not {type(config).__name__}")
    if not type(config).__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise ConfigError(f"{type(config).__name__} must be frozen: @dataclass(frozen=True)")
    return {_CLASS: _class_name(type(config)), **_to_json(config, type(config).__name__)}


def config_defaults(config: Any) -> dict[str, Any]:
    """Return what config.json would hold of the fields that have a default, at that default.

    Args:
        config: A frozen dataclass.
    Returns:
        JSON values by field.
    """
    defaults: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        if field.init and field.default is not dataclasses.MISSING:
            defaults[field.name] = field.default
        elif field.init and field.default_factory is not dataclasses.MISSING:
            defaults[field.name] = field.default_factory()
    return {name: _to_json(value, name) for name, value in defaults.items()}


def configure(cls: type[_T], settings: Mapping[str, Any]) -> _T:
    """Build a config from some of its fields, the others at their defaults.

    Args:
        cls: The dataclass to build; every field has a default.
        settings: JSON values by field.
    Raises:
        ConfigError: If a field is unknown, or a value of another type or out of range.
    """
    return load_config({**config_defaults(cls()), **settings}, cls)


def require_settings(cls: type[Any], settings: Mapping[str, Any], place: str = "") -> None:
    """Check some fields of a config, each alone: what they must keep together is for `configure`.

    Args:
        cls: The dataclass.
        settings: JSON values by field.
        place: Where they stand, for the message; "": in the class.
    Raises:
        ConfigError: As `configure`.
    """
    _some_fields(cls, settings, place or cls.__name__, f"{place}." if place else "")


def read_section(said: Any, cls: type[_T], place: str) -> _T:
    """Build a config from a part of a file that a person wrote; what it does not say is at its default.

    Args:
        said: What stands there.
        cls: The dataclass to build, as for `load_config`.
        place: Where that is, for messages: ``families."kitchen/season".protocol``; "": the file itself.
    Raises:
        ConfigError: If it is no table, a key is unknown or missing, or a value has another type or is
            out of range; the message begins with the place.
    """
    if not isinstance(said, Mapping):
        raise ConfigError(f"{place} is {shown(said)}; expected a table")
    inside = f"{place}." if place else ""
    values = _some_fields(cls, said, place, inside)
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        needed = field.default is field.default_factory is dataclasses.MISSING
        if needed and field.name not in values:
            raise ConfigError(f"{inside}{field.name} is missing")
    return cls(**values)


def _some_fields(cls: Any, said: Mapping[str, Any], place: str, inside: str) -> dict[str, Any]:
    """Convert and check some fields of a config."""
    valid = {field.name: field for field in dataclasses.fields(cls) if field.init}
    hints = get_type_hints(cls)
    values = dict[str, Any]()
    for name, value in said.items():
        if name not in valid:
            raise ConfigError(f"{place}: {unknown('key', name, valid)}".removeprefix(": "))
        values[name] = _convert(value, hints[name], f"{inside or f'{place}.'}{name}".lstrip("."))
        require_value(valid[name], values[name], lambda field: f"{inside}{field}")
    return values


def load_config(source: Path | str | Mapping[str, Any], cls: type[_T]) -> _T:
    """Build a config from what was saved, strictly.

    Args:
        source: A run folder, a JSON file, or its content.
        cls: The dataclass to build. Its fields may be bool, int, float, str, Path, None, Literal,
            enums, tuples, lists and string-keyed dicts of these, and further dataclasses.
    Returns:
        The config.
    Raises:
        ConfigError: If a key is unknown (the message names the nearest valid one) or missing, or
            a value has another type, or the file is the config of another class.
        CheckpointError: If the file is missing or is no JSON.
    """
    saved = dict(source) if isinstance(source, Mapping) else read_json(_config_path(source))
    name = _bare(saved.pop(_CLASS, _class_name(cls)))
    if name != _class_name(cls):
        raise ConfigError(f"this is the config of a {name}, expected a {_class_name(cls)}")
    saved.pop(_MADE_WITH, None)
    return _build(saved, cls, cls.__name__)


def config_differences(saved: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """List what differs between two configs, whatever they were made with.

    Args:
        saved: As `describe_config` returned it for the run.
        given: As it returns it now.
    Returns:
        One line per differing key, with both values; nested keys are dotted.
    """
    old, new = (_dotted({**x, _CLASS: _bare(x.get(_CLASS))}) for x in (saved, given))
    return [
        f"{key}: saved {old.get(key, '(absent)')!r}, given {new.get(key, '(absent)')!r}"
        for key in dict.fromkeys([*old, *new])
        if not key.startswith(f"{_MADE_WITH}.") and old.get(key, ...) != new.get(key, ...)
    ]


def require_same(folder: Path, config: Any) -> None:
    """Check that a folder's run was started with a config.

    Args:
        folder: Holds config.json.
        config: A dataclass.
    Raises:
        ConfigError: If it was not; the message lists what differs.
        CheckpointError: If config.json is missing or damaged.
    """
    differing = config_differences(read_json(folder / CONFIG_FILE), describe_config(config))
    if differing:
        raise ConfigError(
            f"{folder} was started with another config; {'; '.join(differing)}; give the saved values,"
            " or another --out"
        )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file.

    Args:
        path: The file.
    Returns:
        The object.
    Raises:
        CheckpointError: If the file is missing or holds no JSON object.
    """
    try:
        content = parse_json(read_file(path), path)
    except FileNotFoundError as error:
        raise CheckpointError(f"no file {path}; expected a run folder or a JSON file") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}; expected a JSON object")
    return content


def _config_path(source: Path | str) -> Path:
    path = Path(source)
    return path / CONFIG_FILE if path.is_dir() else path


def _class_name(cls: type) -> str:
    return _bare(cls.__qualname__)


def _bare(name: Any) -> Any:
    """A class's own name: runs outlive the module that a class stands in."""
    return name.rpartition(".")[2] if isinstance(name, str) else name


def made_with(command: str) -> dict[str, Any]:
    """The versions, the machine and the command that make a result, under one key."""
    versions = {"metarl": release()}
    versions |= {name: metadata.version(name) for name in ("torch", "mujoco", "numpy")}
    about = {
        **versions,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu_model(),
        "num_cores": os.cpu_count(),
        "command": command.encode(errors="backslashreplace").decode(),  # names of files are bytes
    }
    return {_MADE_WITH: about}


def _cpu_model() -> str:
    try:  # platform.processor() is empty on most Linux machines
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _dotted(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            flat |= _dotted(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _to_json(value: Any, place: str) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.init]
        return {name: _to_json(getattr(value, name), f"{place}.{name}") for name in names}
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no name for it
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_to_json(child, f"{place}[{i}]") for i, child in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _to_json(child, f"{place}.{key}") for key, child in value.items()}
    raise ConfigError(f"{place}: cannot save a {type(value).__name__} in a config")


def _build(saved: Any, cls: type[_T], place: str) -> _T:
    if not isinstance(saved, Mapping):
        raise _wrong_type(saved, cls, place)
    fields = {field.name for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    for name in saved:
        if name not in fields:
            raise ConfigError(f"{place}: {unknown('key', name, fields)}")
    if missing := sorted(fields - set(saved)):
        raise ConfigError(f"{place}: missing {', '.join(missing)}")
    hints = get_type_hints(cls)
    return cls(**{name: _convert(saved[name], hints[name], f"{place}.{name}") for name in saved})


def _convert(value: Any, hint: Any, place: str) -> Any:
    """Turn a JSON value into what the annotation says, or refuse it."""
    origin = get_origin(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _convert_union(value, hint, place)
    if origin is Literal:
        return _convert_literal(value, hint, place)
    if (origin or hint) in (list, tuple):
        return _convert_sequence(value, hint, place)
    if (origin or hint) in (dict, Mapping):
        return _convert_mapping(value, hint, place)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _build(value, hint, place)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        if value not in hint.__members__:
            raise ConfigError(f"{place}: {unknown('value', str(value), hint.__members__)}")
        return hint[value]
    return _convert_plain(value, hint, place)


def _convert_plain(value: Any, hint: Any, place: str) -> Any:
    if hint is float and (type(value) is int or value in _NOT_FINITE):
        return float(value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    # Exact types: True is an int to isinstance.
    if hint in (bool, int, float, str) and type(value) is hint:
        return value
    if hint in (None, type(None)) and value is None:
        return None
    raise _wrong_type(value, hint, place)


def _convert_union(value: Any, hint: Any, place: str) -> Any:
    errors = []
    for arm in get_args(hint):
        try:
            return _convert(value, arm, place)
        except ConfigError as error:
            if arm is not type(None):
                errors.append(error)
    raise errors[0] if len(errors) == 1 else _wrong_type(value, hint, place)


def _convert_literal(value: Any, hint: Any, place: str) -> Any:
    for valid in get_args(hint):
        if type(value) is type(valid) and value == valid:
            return value
    raise ConfigError(f"{place}: {unknown('value', str(value), map(str, get_args(hint)))}")


def _convert_sequence(value: Any, hint: Any, place: str) -> Any:
    kind, args = get_origin(hint) or hint, get_args(hint) or (Any, ...)
    if not isinstance(value, (list, tuple)):
        raise _wrong_type(value, hint, place)
    if kind is list or args[-1] is ...:
        args = (args[0],) * len(value)
    if len(args) != len(value):
        raise ConfigError(f"{place}: {len(value)} values, expected {len(args)}")
    return kind(_convert(v, a, f"{place}[{i}]") for i, (v, a) in enumerate(zip(value, args)))


def _convert_mapping(value: Any, hint: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong_type(value, hint, place)
    child = (get_args(hint) or (str, Any))[1]
    return {key: _convert(value[key], child, f"{place}.{key}") for key in value}


def _wrong_type(value: Any, hint: Any, place: str) -> ConfigError:
    name = hint.__name__ if isinstance(hint, type) else hint
    return ConfigError(f"{place}: {value!r} is a {type(value).__name__}, expected {name}")
