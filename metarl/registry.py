"""Names -> families, found through the entry points of installed packages."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from typing import Any, TypeVar

from metarl.errors import (
    ConfigError,
    FamilyError,
    MissingDependencyError,
    UnknownNameError,
    describe,
    is_interrupt,
    strangers,
)
from metarl.family import TaskFamily, timing_fault
from metarl.names import full_name, split_name, with_physics
from metarl.physics import MUJOCO, OPTION, require_physics
from metarl.plugins import (
    entries,
    module_of,
    origin_of,
    package_of,
    root_of,
    shipped_roots,
    taken_by_python,
    taken_from_here,
    written,
)

GROUP = "metarl.families"

F = TypeVar("F", bound=type[TaskFamily[Any]])

_KINDS = {"family": ("families", "id"), "robot": ("robots", "name")}  # plural, own attribute
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


@dataclass
class _Registry:
    """What is registered, and what could not be.

    Attributes:
        tables: Kind -> name -> class.
        broken: Entry point -> why its module failed to import.
        refused: (top-level module, name) -> why a class of it was not registered.
        loaded: The entry points that were met.
        noting: Whether a class that is refused is noted, so that its module loads on.
        watchers: Who is told of every family.
    """

    tables: dict[str, dict[str, type[Any]]] = field(
        default_factory=lambda: {"family": {}, "robot": {}}
    )
    broken: dict[str, str] = field(default_factory=dict)
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    loaded: set[str] = field(default_factory=set)
    noting: bool = False
    watchers: list[Callable[[str, type[TaskFamily[Any]]], None]] = field(default_factory=list)

    @property
    def classes(self) -> dict[str, type[TaskFamily[Any]]]:
        """The families."""
        return self.tables["family"]


_registry = _Registry()


def register(name: str) -> Callable[[F], F]:
    """Register a family class under a name such as ``"kitchen/season"``.

    Args:
        name: ``package/skill``, kebab-case.
    Raises:
        FamilyError: If another class holds the name, and the message names both; if the name is
            none, or what is registered no family. Where an installed package is loaded,
            `load_plugins` tells of it, and what else the package registers stays.
    """

    def put(cls: F) -> F:
        _put("family", name, cls)
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


def _put(kind: str, name: str, cls: Any) -> None:
    """Give a class its name, unless something speaks against it."""
    try:
        with strangers(f"registering the {kind} {written(name)}", root_of(cls), FamilyError):
            fault = _fault(kind, name, cls) or _clash(kind, name, cls)
            if not fault:
                setattr(cls, _KINDS[kind][1], name)
    except FamilyError as error:  # a metaclass that raises
        fault = str(error)
    if not fault:
        _registry.tables[kind][name] = cls
        for watcher in _registry.watchers if kind == "family" else []:
            watcher(name, cls)
    elif _registry.noting:
        _note(name, cls, fault)
    else:
        raise FamilyError(fault)


def _note(name: object, cls: Any, fault: str) -> None:
    _registry.refused[root_of(cls), str(name)] = f"package {root_of(cls)}: {fault}"


def _clash(kind: str, name: str, cls: type) -> str:
    """Say that a name is another's; one that came first, but not by right, loses it."""
    old = _registry.tables[kind].get(name)
    if old is None or origin_of(old) == origin_of(cls):
        return ""
    both = f"{origin_of(old)} and {origin_of(cls)}"
    fault = f"two {_KINDS[kind][0]} are called {name!r}: {both}; rename one of them"
    shipped = shipped_roots(GROUP)
    if root_of(cls) in shipped and root_of(old) not in shipped:
        _note(name, old, fault)
        return ""
    return fault


def _fault(kind: str, name: object, cls: Any) -> str:
    """What is wrong with a name, or with what is to be called so; empty if nothing is."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return (
            f"the {kind} {origin_of(cls)} is registered as {written(name)}; expected a text such as"
            " 'package/skill': letters, digits, '.', '_' and '-', in parts with '/' between them"
        )
    if not isinstance(cls, type):
        return f"{name!r} registers {written(cls)}; expected a class"
    if kind == "robot":
        return ""
    if not issubclass(cls, TaskFamily):
        return f"{name!r} registers {origin_of(cls)}; expected a class derived from TaskFamily"
    said = timing_fault(cls)
    return f"the family {name!r}, {origin_of(cls)}: {said}" if said else ""


@contextlib.contextmanager
def _noting() -> Iterator[None]:
    """Note the classes that are refused meanwhile instead of raising."""
    before, _registry.noting = _registry.noting, True
    try:
        yield
    finally:
        _registry.noting = before


def load_plugins() -> dict[str, str]:
    """Import every module of the entry-point group; a broken one hides no other.

    Returns:
        What failed: entry point, or ``module:name`` of a single class -> one line that names the
        package and the error.
    """
    for entry in entries(GROUP):
        if entry.value not in _registry.loaded:
            _registry.loaded.add(entry.value)
            _load(entry)
    refused = {f"{root}:{name}": said for (root, name), said in _registry.refused.items()}
    return {**_registry.broken, **refused}


def _load(entry: EntryPoint) -> None:
    before = {kind: dict(table) for kind, table in _registry.tables.items()}
    package, module = package_of(entry), module_of(entry)
    try:
        with _noting():
            entry.load()
        said = taken_by_python(module)
        if said:
            _registry.broken[entry.value] = f"package {package}: {said}"
    except BaseException as error:  # a stranger's import may raise anything at all
        _forget(module, before)
        if is_interrupt(error):
            _registry.loaded.discard(entry.value)
            raise
        _registry.broken[entry.value] = (
            f"package {package} (module {entry.value}) failed to import:"
            f" {describe(error, module.partition('.')[0])}"
        )


def _forget(module: str, before: dict[str, dict[str, type[Any]]]) -> None:
    """Drop what a broken package registered; what others did that it imported stays."""
    root = module.partition(".")[0]
    for kind, table in _registry.tables.items():
        _registry.tables[kind] = {
            name: cls for name, cls in table.items() if name in before[kind] or root_of(cls) != root
        }


def family_names(*, unlisted: bool = False) -> list[str]:
    """List the registered names, sorted.

    Args:
        unlisted: Also those of families that lists leave out (`TaskFamily.listed`).
    """
    load_plugins()
    return sorted(name for name, cls in _registry.classes.items() if unlisted or _is_listed(cls))


def _is_listed(cls: type[TaskFamily[Any]]) -> bool:
    try:
        return bool(cls.listed)
    except Exception:  # a stranger's metaclass
        return True


def _names_like(name: str) -> list[str]:
    """The names that are listed, and those of the others that may have been meant."""
    near = difflib.get_close_matches(name, _registry.classes, n=5, cutoff=0.5)
    return [*family_names(), *(x for x in near if not _is_listed(_registry.classes[x]))]


def family_class(name: str) -> type[TaskFamily[Any]]:
    """Look a family class up without building it.

    Args:
        name: A registered name, perhaps with options (``kitchen/add@robot=ur5e``), or
            ``module:name`` to import a module first.
    Raises:
        UnknownNameError: If no family has the name; lists the valid ones, and the
            packages that failed to import. Or if the family has no such option.
        MetaRLError: If its worlds cannot be moved as the name says; see `require_physics`.
    """
    name, options = split_name(name)
    if ":" in name:
        module, name = name.split(":", 1)
        _import(module, name)
    if name not in _registry.classes:
        load_plugins()
    if name not in _registry.classes:
        unknown_name = UnknownNameError("family", name, _names_like(name))
        unknown_name.args = ("; ".join([str(unknown_name), *load_plugins().values()]),)
        raise unknown_name
    cls = _registry.classes[name]
    require_physics(options.pop(OPTION, MUJOCO))
    for option in options:
        if option not in option_names(cls):
            raise UnknownNameError(f"option of {name}", option, [*option_names(cls), OPTION])
    return cls


def _import(module: str, name: str) -> None:
    """Import a module for the sake of a family.

    Raises:
        FamilyError: If it cannot be imported, is another one of that name, or lost the name.
    """
    load_plugins()  # what is installed has its names before a module of the user may take one
    root = module.partition(".")[0]
    try:
        with _noting():
            importlib.import_module(module)
    except BaseException as error:  # likewise
        if is_interrupt(error):
            raise
        raise FamilyError(f"cannot import {module!r}: {describe(error, root)}") from error
    if said := taken_from_here(module):
        raise FamilyError(said)
    if (root, name) in _registry.refused:
        raise FamilyError(_registry.refused[root, name])


def option_names(cls: type[TaskFamily[Any]]) -> list[str]:
    """List what may stand behind ``@``: the keywords with which a family is built."""
    with strangers(f"package {root_of(cls)}: the signature of {origin_of(cls)}", "", FamilyError):
        parameters = inspect.signature(cls).parameters.values()
    return [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]


def make_family(name: str, **options: str) -> TaskFamily[Any]:
    """Build a family by name; see `family_class`.

    Args:
        name: Its name, perhaps with options.
        **options: More options, as texts.
    Raises:
        ConfigError: If an option's value is not valid.
        MissingDependencyError: If something that it needs is not installed.
        FamilyError: If the family cannot be built.
    """
    base, named = split_name(name)
    options = {**named, **options}
    physics = options.pop(OPTION, MUJOCO)
    options |= {OPTION: physics} if physics != MUJOCO else {}  # the last, in every name
    whole = full_name(base, options)
    if options != split_name(whole)[1]:
        raise ConfigError(
            f"{whole!r} would be read as other options; rename a path that holds a comma and an ="
        )
    cls = family_class(full_name(base, {**options, OPTION: physics}))
    options.pop(OPTION, None)
    try:
        family = cls(**options)
    except (ConfigError, UnknownNameError, MissingDependencyError):  # the family says it best
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        said = describe(error, root_of(cls))
        raise FamilyError(f"{origin_of(cls)}() raised {said}") from error
    if not isinstance(family, TaskFamily):
        raise FamilyError(f"{origin_of(cls)}() gave {written(family)}; expected a family")
    if whole != base:
        family.id = with_physics(full_name(cls.id, options), physics)
    family.physics = physics
    return family


R = TypeVar("R", bound=type[Any])


def register_robot(name: str) -> Callable[[R], R]:
    """Register a `sim.robot.Robot` class under a name such as ``"panda"``.

    Args:
        name: One word, lower case.
    Raises:
        FamilyError: As `register`.
    """

    def put(cls: R) -> R:
        _put("robot", name, cls)
        return cls

    return put


def robot_names() -> list[str]:
    """List the registered robots, sorted."""
    load_plugins()
    return sorted(_registry.tables["robot"])


def robot_class(name: str) -> type[Any]:
    """Look a robot class up.

    Raises:
        UnknownNameError: If no robot has the name; lists the valid ones.
    """
    load_plugins()
    if name not in _registry.tables["robot"]:
        raise UnknownNameError("robot", name, _registry.tables["robot"])
    return _registry.tables["robot"][name]
