"""Packages from outside: what their entry points name, and whether that is what they mean."""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
import traceback
from importlib import metadata
from importlib.metadata import EntryPoint
from pathlib import Path

SHIPPED = "metarl-sim"  # the distribution whose names nobody else may take
_found: dict[
    str, tuple[list[object], list[EntryPoint]]
] = {}  # group -> where it was looked for, what


def entry_points(group: str) -> list[EntryPoint]:
    """The entry points of a group; looked for anew where something may have been installed since."""
    places = _places()
    if group not in _found or _found[group][0] != places:
        _found[group] = places, list(metadata.entry_points(group=group))
    return list(_found[group][1])


def _places() -> list[object]:
    """What an installation changes: where Python looks for packages, and what lies there."""
    found: list[object] = [*sys.meta_path]
    for place in sys.path:
        try:
            there = os.stat(place or ".")
        except OSError:
            found.append(place)
        else:
            found.append((place, there.st_dev, there.st_ino, there.st_mtime_ns))
    return found


def entries(group: str) -> list[EntryPoint]:
    """The entry points of a group, those that come with metarl first."""
    return sorted(entry_points(group=group), key=lambda entry: package_of(entry) != SHIPPED)


def package_of(entry: EntryPoint) -> str:
    """The distribution that an entry point is of; its value where there is none to name."""
    return str(getattr(entry.dist, "name", None) or entry.value)


def module_of(entry: EntryPoint) -> str:
    """The module that an entry point names."""
    return entry.value.partition(":")[0].strip()


def origin_of(thing: object) -> str:
    """Where a class is defined, ``package.module.Class``; how anything else is written."""
    if not isinstance(thing, type):
        return written(thing)
    # past the metaclass, which may be a stranger's and raise
    return f"{_module_name(thing)}.{type.__getattribute__(thing, '__qualname__')}"


def root_of(thing: object) -> str:
    """The top-level package of a class or function."""
    return _module_name(thing).partition(".")[0]


def _module_name(thing: object) -> str:
    if isinstance(thing, type):
        return str(type.__getattribute__(thing, "__module__"))
    return str(getattr(thing, "__module__", "(unknown)"))


def written(value: object) -> str:
    """How a value is written, whatever it is."""
    try:
        return repr(value)[:80]
    except Exception:  # a stranger's __repr__
        return f"an object of {type(value).__name__}"


def stranger_in(error: BaseException, *groups: str) -> str:
    """The top-level module from outside in whose code an error came up; empty if none did.

    Args:
        error: What was raised.
        groups: The entry-point groups by which packages come in.
    """
    theirs = {
        module_of(entry).partition(".")[0]
        for group in groups
        for entry in entry_points(group=group)
        if package_of(entry) != SHIPPED
    }
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    names = [str(frame.f_globals.get("__name__", "")).partition(".")[0] for frame in frames]
    return next((name for name in reversed(names) if name in theirs), "")


@functools.cache
def shipped_roots(group: str) -> frozenset[str]:
    """The top-level modules of a group that come with metarl."""
    ours = [entry for entry in entry_points(group=group) if package_of(entry) == SHIPPED]
    return frozenset(module_of(entry).partition(".")[0] for entry in ours)


def taken_by_python(module: str) -> str:
    """Say that an imported module is Python's own, whatever the plug-in meant; else empty."""
    root = module.partition(".")[0]
    there = getattr(sys.modules.get(root), "__file__", None)
    if there is None:
        taken = root in sys.builtin_module_names or root in sys.stdlib_module_names
    else:
        library = Path(sysconfig.get_paths()["stdlib"])
        taken = Path(there).is_relative_to(library) and "site-packages" not in Path(there).parts
    said = (
        f"the module {root!r} is Python's own ({there or 'built in'}), so yours is never imported"
    )
    return f"{said}; rename it" if taken else ""


def taken_from_here(module: str) -> str:
    """Say that an imported module is not the one in the working folder; else empty."""
    root = module.partition(".")[0]
    there = getattr(sys.modules.get(root), "__file__", None)
    for here in (Path(f"{root}.py"), Path(root, "__init__.py")):
        if here.is_file() and not (there and Path(there).exists() and here.samefile(there)):
            return (
                f"{module!r} is {there or 'built into Python'}, not {here} in this folder: that"
                " name is taken; rename yours"
            )
    return ""
