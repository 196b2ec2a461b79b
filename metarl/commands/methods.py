"""`metarl methods`: what trains, what meets new tasks, and what can be set."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, get_args, get_origin, get_type_hints

from metarl.commands.output import answer, cell, make_console, make_table, one_line
from metarl.errors import MetaRLError
from metarl.methods import Method, get_method, method_names, rule_names, rules_config

COLUMNS = ("method", "train", "adapt", "needs", "what it does", "source")
SETTING_COLUMNS = ("--set", "default", "valid", "what it is")
# Fields that `metarl train` has options of their own for.
OPTIONS = ("iterations", "max_seconds", "seed", "device", "backend")


def list_methods() -> int:
    """Print a row per method; what is broken is named below."""
    table, rows, broken = make_table(*COLUMNS), [], []
    for name in method_names():
        try:
            method = get_method(name)
        except MetaRLError as error:
            broken.append(one_line(error))
            continue
        rows.append(_row(name, method))
        table.add_row(*map(cell, rows[-1]))
    answer({"methods": [dict(zip(COLUMNS, row)) for row in rows], "broken": broken})
    console = make_console()
    console.print(table)
    console.print(
        "train: metarl train FAMILY --method NAME. adapt: any, metarl adapt CHECKPOINT FAMILY"
        " --strategy NAME; own, what it trained adapts so by itself. What can be set: metarl methods"
        " NAME.",
        markup=False,
    )
    for reason in broken:
        console.print(f"[red]broken:[/red] {cell(reason)}")
    return 0


def show_method(name: str) -> int:
    """Print what a method does, and the fields of its configs with their defaults.

    Raises:
        UnknownNameError: If there is no such method.
    """
    method, console = get_method(name), make_console()
    console.print(one_line(f"{name}: {method.doc}"), markup=False, soft_wrap=True)
    console.print(one_line(f"source: {method.source or '–'}"), markup=False, soft_wrap=True)
    parts: list[tuple[str, type[Any], Any]] = []
    if method.training is not None:
        settings = method.training.settings
        families = "FAMILY..." if method.training.several else "FAMILY"
        parts.append((f"metarl train {families} --method {name}", method.training.config, settings))
    if method.adapting is not None:
        command = f"metarl adapt CHECKPOINT FAMILY --strategy {name}"
        if method.adapting.config is None:
            console.print(
                f"{command}\n  nothing to set: it adapts as it was trained to", markup=False
            )
        else:
            parts.append((command, method.adapting.config, {}))
    if name in rule_names() and dataclasses.fields(own := rules_config(name)):
        parts.append((f"metarl train FAMILY --method ppo --from SOURCE --strategy {name}", own, {}))
    told = list[dict[str, Any]]()
    for command, config, settings in parts:
        table, rows = make_table(*SETTING_COLUMNS), rows_of(config, settings)
        told.append({"command": command, "settings": [dict(zip(SETTING_COLUMNS, r)) for r in rows]})
        for row in rows:
            table.add_row(*map(cell, row))
        console.print(command, markup=False)
        console.print(table)
    answer({"method": name, "what it does": method.doc, "source": method.source, "commands": told})
    return 0


def rows_of(config: type[Any], settings: Any) -> list[tuple[str, str, str, str]]:
    """A row a field of a config: name, default, what is valid, what it is."""
    from metarl.runs.fields import field_docs, valid_words

    docs, types, rows = field_docs(config), get_type_hints(config), []
    for field in dataclasses.fields(config):
        default = settings.get(field.name, field.default)
        valid = valid_words(field) or _words_of(types[field.name], str(field.type))
        name = f"--{field.name.replace('_', '-')}" if field.name in OPTIONS else field.name
        rows.append((name, str(default), valid, docs.get(field.name, "")))
    return rows


def _words_of(kind: Any, name: str) -> str:
    """What a field of some type may be; its name where that says it."""
    if get_origin(kind) is Literal:
        return ", ".join(map(str, get_args(kind)))
    return "True, False" if kind is bool else name


def _row(name: str, method: Method) -> tuple[str, ...]:
    adapts = ""
    if method.adapting is not None:
        adapts = "own" if method.training is not None else "any"
    needs = [part.needs for part in (method.training, method.adapting) if part and part.needs]
    doc = one_line(method.doc)
    return (
        name, "yes" if method.training else "", adapts, ", ".join(needs) or "–", doc,
        one_line(method.source) or "–",
    )  # fmt: skip
