"""`metarl families`: what is installed, and what of it is broken."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from metarl.commands.output import answer, cell, make_console, make_table, one_line
from metarl.errors import FamilyError, MetaRLError, strangers
from metarl.family import TaskFamily
from metarl.physics import MUJOCO
from metarl.plugins import root_of
from metarl.registry import (
    family_class,
    family_names,
    load_plugins,
    make_family,
    option_names,
    robot_class,
    robot_names,
)
from metarl.runs.fields import field_docs
from metarl.runs.shipped import shipped_names
from metarl.types import Spec, Variation, variations

FAMILY_COLUMNS = ("family", "what it asks for", "hidden", "visible", "episode")
TASK_COLUMNS = ("what varies", "unit", "range", "a policy", "what it is")
OPTION_COLUMNS = ("@option", "default", "what it is")
_MOST_MORE = 6  # names of families that the table leaves out
ROBOT_COLUMNS = ("robot", "what it is", "joints", "kinematics")


def list_families() -> int:
    """Print a row per family, then the packages that failed to import."""
    table = make_table(*FAMILY_COLUMNS)
    rows = [_told(name, family_class(name)) for name in family_names()]
    for row in rows:
        table.add_row(*map(cell, row))
    more = sorted({*family_names(unlisted=True)} - {*family_names()})
    broken = list(load_plugins().values())
    listed = [dict(zip(FAMILY_COLUMNS, row)) for row in rows]
    answer({"families": listed, "more": more, "broken": broken})
    console = make_console()
    if rows:
        console.print(table)
    else:
        console.print("no family is installed: none of the packages announces metarl.families")
    for package in dict.fromkeys(root_of(family_class(name)) for name in more):
        own = [name for name in more if root_of(family_class(name)) == package]
        names = own if len(own) <= _MOST_MORE else [*own[: _MOST_MORE - 1], "...", own[-1]]
        console.print(
            f"and {len(own)} of {cell(package)}: {cell(', '.join(names))}", soft_wrap=True
        )
    for reason in broken:
        console.print(f"[red]broken:[/red] {cell(reason)}")
    return 0


def show_family(name: str) -> int:
    """Print what a family is: its tasks, rewards, observations, options, and what to type next.

    Args:
        name: Its name, with options if wanted.
    Raises:
        MetaRLError: If there is no such family, or it is broken.
    """
    from metarl.sim.kinds import make_worlds

    family = make_family(name)
    worlds, cls, console = make_worlds(family, 1, physics=MUJOCO), type(family), make_console()
    spec = worlds.spec
    facts = {
        "doc": inspect.getdoc(cls) or "",
        "episode": f"{spec.horizon} control steps of {spec.control_dt_s:g} s",
        "actions": f"{spec.action_dim}, each from -1 to 1",
        "observations": _observed(spec),
        "rewards": ", ".join(f"{term} x {weight:g}" for term, weight in family.weights.items()),
        "expert": "yes" if family.has_expert() else "no",
        "shipped": ", ".join(shipped_names(name)) or "–",
    }
    tasks = [
        (field, v.unit, _range(v), "hidden" if v.hidden else "seen", v.doc)
        for field, v in variations(cls.task_type).items()
    ]
    options = _options(cls)
    answer(
        {
            "family": family.id, **facts,
            "task": [dict(zip(TASK_COLUMNS, row)) for row in tasks],
            "options": [dict(zip(OPTION_COLUMNS, row)) for row in options],
        }
    )  # fmt: skip
    console.print(one_line(f"{family.id}: {_doc(cls)}"), markup=False, soft_wrap=True)
    for word in ("episode", "actions", "observations", "rewards", "expert", "shipped"):
        console.print(one_line(f"{word}: {facts[word]}"), markup=False, soft_wrap=True)
    for columns, rows in ((TASK_COLUMNS, tasks), (OPTION_COLUMNS, options)):
        if rows:
            table = make_table(*columns)
            for row in rows:
                table.add_row(*map(cell, row))
            console.print(table)
    policy = "expert" if family.has_expert() else "random"
    for command in (
        f"metarl watch {family.id} --policy {policy}",
        f"metarl train {family.id} --method ppo",
        f"metarl check {family.id}",
    ):
        console.print(command, markup=False, soft_wrap=True)
    return 0


def _observed(spec: Spec) -> str:
    """Blocks, how wide, and what their columns are called."""
    parts = []
    for block, width in spec.blocks.items():
        names = f" ({', '.join(spec.columns[block])})" if spec.columns.get(block) else ""
        parts.append(f"{block} {width}{names}")
    return ", ".join(parts)


def _range(variation: Variation) -> str:
    low, high = variation.low, variation.high
    if isinstance(low, int | float) and isinstance(high, int | float):
        return f"{low:g} to {high:g}"
    pairs = zip(np.atleast_1d(low), np.atleast_1d(high))
    return ", ".join(f"{a:g} to {b:g}" for a, b in pairs)


def _options(cls: type[TaskFamily[Any]]) -> list[tuple[str, str, str]]:
    """What may stand behind ``@``, with defaults and what the docstrings say."""
    docs, parameters = field_docs(cls), inspect.signature(cls).parameters
    found = []
    for option in option_names(cls):
        default = parameters[option].default
        said = "needed" if default is inspect.Parameter.empty else str(default) or "–"
        found.append((option, said, docs.get(option, "")))
    return found


def list_robots() -> int:
    """Print a row per robot that families can be had with."""
    table = make_table(*ROBOT_COLUMNS)
    rows = [_robot_row(name, robot_class(name)) for name in robot_names()]
    for row in rows:
        table.add_row(*map(cell, row))
    answer({"robots": [dict(zip(ROBOT_COLUMNS, row)) for row in rows]})
    console = make_console()
    console.print(table)
    console.print(
        "FAMILY@robot=NAME puts a robot into a family, FAMILY@robot=NAME,control=joint moves its"
        " joints instead of its hand. Any other arm, with its own gripper or ours:"
        " FAMILY@robot=ARM.xml,site=HAND_SITE,home=POSITION:POSITION:... (site may be left out"
        " where the file has one, home where it is to be found); docs/robots.md says more.",
        markup=False,
    )
    return 0


def _told(name: str, cls: type[TaskFamily[Any]]) -> tuple[str, ...]:
    """A family's row; that of a broken one says what it raises, and hides no other."""
    try:
        with strangers("broken: it", root_of(cls), FamilyError):
            return _row(name, cls)
    except MetaRLError as error:
        return name, "", one_line(error), "", ""


def _row(name: str, cls: type[TaskFamily[Any]]) -> tuple[str, ...]:
    fields = variations(cls.task_type)
    hidden = ", ".join(_describe(n, v) for n, v in fields.items() if v.hidden)
    visible = ", ".join(_describe(n, v) for n, v in fields.items() if not v.hidden)
    return name, _doc(cls), hidden or "–", visible or "–", _episode(cls)


def _robot_row(name: str, cls: type[Any]) -> tuple[str, ...]:
    try:
        with strangers("broken: it", root_of(cls), FamilyError):
            return name, _doc(cls), ", ".join(cls.joints), cls.source
    except MetaRLError as error:
        return name, one_line(error), "", ""


def _doc(cls: type) -> str:
    """The first line of a class's own docstring."""
    if cls.__doc__ is None:
        return ""  # getdoc would show the base class's
    return (inspect.getdoc(cls) or "").partition("\n")[0].rstrip(".")


def _episode(cls: type[TaskFamily[Any]]) -> str:
    horizon, period_s = cls.horizon, cls.control_dt_s
    if isinstance(horizon, property) or isinstance(period_s, property):
        return "–"  # known once it is built
    return f"{horizon} steps, {horizon * period_s:g} s"


def _describe(name: str, variation: Variation) -> str:
    """``pot_m`` in metres becomes ``pot [m]``."""
    if variation.unit in ("", "1"):
        return name
    for suffix in (variation.unit, variation.unit.replace("/", "_")):
        name = name.removesuffix(f"_{suffix}")
    return f"{name} [{variation.unit}]"
