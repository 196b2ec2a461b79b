"""Names -> families, found through the entry points of installed packages."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from metarl.errors import ConfigError, FamilyError, UnknownNameError, describe
from metarl.family import TaskFamily

GROUP = "metarl.families"

F = TypeVar("F", bound=type[TaskFamily[Any]])


@dataclass
class _Registry:
    classes: dict[str, type[TaskFamily[Any]]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    loaded: set[str] = field(default_factory=set)
    watchers: list[Callable[[str, type[TaskFamily[Any]]], None]] = field(default_factory=list)


_registry = _Registry()


def register(name: str) -> Callable[[F], F]:
    """Register a family class under a name such as ``"kitchen/season"``.

    Args:
        name: ``package/skill``, kebab-case.
    Raises:
        FamilyError: If another class holds the name; the message names both.
    """

    def put(cls: F) -> F:
        old = _registry.classes.get(name)
        if old is not None and _origin(old) != _origin(cls):
            raise FamilyError(
                f"two families are called {name!r}: {_origin(old)} and {_origin(cls)};"
                " rename one of them"
            )
        cls.id = name
        _registry.classes[name] = cls
        for watcher in _registry.watchers:
            watcher(name, cls)
        return cls

    return put


def watch_families(watcher: Callable[[str, type[TaskFamily[Any]]], None]) -> None:
    """Hand every registered family to a function: name and class, and later ones as they come.

    Args:
        watcher: The function; one that watches already is not added again.
    """
    if watcher not in _registry.watchers:
        _registry.watchers.append(watcher)
    for name, cls in sorted(_registry.classes.items()):
        watcher(name, cls)


def _origin(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def load_plugins() -> dict[str, str]:
    """Import every module of the entry-point group; a broken one hides no other.

    Returns:
        What failed: entry point -> one line that names the package and the error.
    """
    for entry in entry_points(group=GROUP):
        if entry.value not in _registry.loaded:
            _registry.loaded.add(entry.value)
            _load(entry)
    return dict(_registry.broken)


def _load(entry: EntryPoint) -> None:
    before = dict(_registry.classes)
    try:
        entry.load()
    except (Exception, SystemExit) as error:  # a stranger's import may raise anything at all
        _registry.classes = _without(entry.module, before)
        package = entry.dist.name if entry.dist else entry.value
        _registry.broken[entry.value] = (
            f"package {package} (module {entry.value}) failed to import:"
            f" {describe(error, entry.module.partition('.')[0])}"
        )


def _without(module: str, before: dict[str, type[TaskFamily[Any]]]) -> dict[str, Any]:
    """What is registered, less what a broken package added; others it imported stay."""
    root = module.partition(".")[0]
    return {
        name: cls
        for name, cls in _registry.classes.items()
        if name in before or cls.__module__.partition(".")[0] != root
    }


def family_names() -> list[str]:
    """List the registered names, sorted."""
    load_plugins()
    return sorted(_registry.classes)


def split_name(name: str) -> tuple[str, dict[str, str]]:
    """Part a name from its options: ``kitchen/add@robot=ur5e`` -> ``kitchen/add``, {robot: ur5e}.

    Raises:
        ConfigError: If an option is not ``NAME=VALUE`` or stands there twice.
    """
    base, _, tail = name.partition("@")
    options: dict[str, str] = {}
    option = ""
    for part in tail.split(",") if tail else []:
        if "=" not in part and "/" in options.get(option, ""):
            options[option] += f",{part}"  # a path may hold commas
            continue
        option, equals, value = part.partition("=")
        if not equals or not option or option in options:
            raise ConfigError(
                f"cannot read {part!r} in {name!r}; expected {base}@NAME=VALUE,NAME=VALUE, each once"
            )
        options[option] = value
    return base, options


def full_name(base: str, options: Mapping[str, object]) -> str:
    """Join what `split_name` parts."""
    tail = ",".join(f"{name}={value}" for name, value in options.items())
    return f"{base}@{tail}" if tail else base


def slug(name: str) -> str:
    """Turn a family's name into a file's: ``kitchen/add@robot=ur5e`` -> ``kitchen-add-robot-ur5e``."""
    base, options = split_name(name)
    parts = [base.rpartition(":")[2], *(x for pair in options.items() for x in pair)]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts)).strip("-")


def family_class(name: str) -> type[TaskFamily[Any]]:
    """Look a family class up without building it.

    Args:
        name: A registered name, perhaps with options (``kitchen/add@robot=ur5e``), or
            ``module:name`` to import a module first.
    Raises:
        UnknownNameError: If no family has the name; lists the valid ones, and the
            packages that failed to import. Or if the family has no such option.
    """
    name, options = split_name(name)
    if ":" in name:
        module, name = name.split(":", 1)
        try:
            importlib.import_module(module)
        except Exception as error:  # likewise
            said = describe(error, module.partition(".")[0])
            raise FamilyError(f"cannot import {module!r}: {said}") from error
    if name not in _registry.classes:
        load_plugins()
    if name not in _registry.classes:
        unknown_name = UnknownNameError("family", name, _registry.classes)
        unknown_name.args = ("; ".join([str(unknown_name), *_registry.broken.values()]),)
        raise unknown_name
    cls = _registry.classes[name]
    for option in options:
        if option not in option_names(cls):
            raise UnknownNameError(f"option of {name}", option, option_names(cls))
    return cls


def option_names(cls: type[TaskFamily[Any]]) -> list[str]:
    """List what may stand behind ``@``: the keywords with which a family is built."""
    parameters = inspect.signature(cls).parameters.values()
    return [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]


def make_family(name: str, **options: str) -> TaskFamily[Any]:
    """Build a family by name; see `family_class`.

    Args:
        name: Its name, perhaps with options.
        **options: More options, as texts.
    Raises:
        ConfigError: If an option's value is not valid.
        FamilyError: If the family cannot be built.
    """
    base, named = split_name(name)
    options = {**named, **options}
    whole = full_name(base, options)
    if options != split_name(whole)[1]:
        raise ConfigError(
            f"{whole!r} would be read as other options; rename a path that holds a comma and an ="
        )
    cls = family_class(whole)
    try:
        family = cls(**options)
    except (ConfigError, UnknownNameError):  # of an option's value: the family says it best
        raise
    except Exception as error:
        said = describe(error, cls.__module__.partition(".")[0])
        raise FamilyError(f"{_origin(cls)}() raised {said}") from error
    if options:
        family.id = full_name(cls.id, options)
    return family


_robots: dict[str, type[Any]] = {}

R = TypeVar("R", bound=type[Any])


def register_robot(name: str) -> Callable[[R], R]:
    """Register a `sim.robot.Robot` class under a name such as ``"panda"``.

    Args:
        name: One word, lower case.
    Raises:
        FamilyError: If another class holds the name; the message names both.
    """

    def put(cls: R) -> R:
        old = _robots.get(name)
        if old is not None and _origin(old) != _origin(cls):
            raise FamilyError(
                f"two robots are called {name!r}: {_origin(old)} and {_origin(cls)};"
                " rename one of them"
            )
        cls.name = name
        _robots[name] = cls
        return cls

    return put


def robot_names() -> list[str]:
    """List the registered robots, sorted."""
    load_plugins()
    return sorted(_robots)


def robot_class(name: str) -> type[Any]:
    """Look a robot class up.

    Raises:
        UnknownNameError: If no robot has the name; lists the valid ones.
    """
    load_plugins()
    if name not in _robots:
        raise UnknownNameError("robot", name, _robots)
    return _robots[name]
