"""`metarl families`: what is installed, and what of it is broken."""

from __future__ import annotations

import inspect
from typing import Any

from metarl.commands.output import make_console, make_table, one_line
from metarl.errors import MetaRLError
from metarl.family import TaskFamily
from metarl.registry import (
    family_class,
    family_names,
    load_plugins,
    robot_class,
    robot_names,
)
from metarl.types import Variation, variations


def list_families() -> int:
    """Print a row per family, then the packages that failed to import."""
    from rich.markup import escape

    table = make_table("family", "what it asks for", "hidden", "visible", "episode")
    for name in family_names():
        table.add_row(*(escape(cell) for cell in _row(name, family_class(name))))
    console = make_console()
    if table.row_count:
        console.print(table)
    else:
        console.print("no family is installed: none of the packages announces metarl.families")
    for reason in load_plugins().values():
        console.print(f"[red]broken:[/red] {escape(one_line(reason))}")
    return 0


def list_robots() -> int:
    """Print a row per robot that families can be had with."""
    from rich.markup import escape

    table = make_table("robot", "what it is", "joints", "kinematics")
    for name in robot_names():
        cls = robot_class(name)
        doc = (inspect.getdoc(cls) or "").partition("\n")[0].rstrip(".")
        table.add_row(*(escape(cell) for cell in (name, doc, ", ".join(cls.joints), cls.source)))
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


def _row(name: str, cls: type[TaskFamily[Any]]) -> tuple[str, str, str, str, str]:
    seconds = cls.horizon * cls.control_dt_s
    episode = f"{cls.horizon} steps, {seconds:g} s"
    doc = (inspect.getdoc(cls) or "").partition("\n")[0].rstrip(".")
    if cls.__doc__ is None:
        doc = ""  # getdoc would show the base class's
    try:
        fields = variations(cls.task_type)
    except (MetaRLError, AttributeError, TypeError) as error:
        return name, doc, f"broken: {type(error).__name__}: {one_line(error)}", "", episode
    hidden = ", ".join(_describe(n, v) for n, v in fields.items() if v.hidden)
    visible = ", ".join(_describe(n, v) for n, v in fields.items() if not v.hidden)
    return name, doc, hidden or "–", visible or "–", episode


def _describe(name: str, variation: Variation) -> str:
    """``pot_m`` in metres becomes ``pot [m]``."""
    if variation.unit in ("", "1"):
        return name
    for suffix in (variation.unit, variation.unit.replace("/", "_")):
        name = name.removesuffix(f"_{suffix}")
    return f"{name} [{variation.unit}]"
