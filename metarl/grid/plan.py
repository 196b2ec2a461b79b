"""Which cells of a benchmark are left to run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metarl.errors import ConfigError
from metarl.grid.cell import Cell, with_needs
from metarl.grid.store import VERSIONS, Record
from metarl.runs.config import config_differences, made_with

_TOLD = 3  # changes in a line


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is left of a benchmark.

    Args:
        todo: Cells to run, each behind those that it needs.
        done: The finished ones of this benchmark, by key.
        note: What a reader should know of the finished ones; empty: nothing.
    """

    todo: tuple[Cell, ...]
    done: Mapping[str, Record]
    note: str = ""


def plan(
    cells: Sequence[Cell], known: Mapping[str, Record], folder: Path, *, again: bool = False
) -> Plan:
    """Compare a benchmark with what is finished.

    A cell that is finished is run again only if a file that it leaves is gone and another cell
    needs it.

    Args:
        cells: Of the benchmark, in the order in which they are to be run.
        known: What is finished.
        folder: Where the files are that cells leave.
        again: Run cells anew that have changed since they were finished.
    Raises:
        ConfigError: If cells have changed and `again` is false; the message says how.
    """
    every = with_needs(cells)
    changed = {
        cell.key: config_differences(known[cell.key].cell, cell.definition())
        for cell in every
        if cell.key in known
    }
    changed = {key: lines for key, lines in changed.items() if lines}
    if changed and not again:
        raise ConfigError(_refusal(changed, folder))
    open_keys = {cell.key for cell in every if cell.key not in known or cell.key in changed}
    gone = {cell.key for cell in every if any(not (folder / f).exists() for f in cell.files())}
    for cell in reversed(every):  # a cell stands behind those that it needs
        if cell.key in open_keys:
            open_keys |= {needed.key for needed in cell.needs() if needed.key in gone}
    done = {cell.key: known[cell.key] for cell in every if cell.key not in open_keys}
    todo = tuple(cell for cell in every if cell.key in open_keys)
    return Plan(todo, done, _note(done, todo))


def _refusal(changed: Mapping[str, Sequence[str]], folder: Path) -> str:
    key, lines = next(iter(changed.items()))
    more = f" (and {len(lines) - _TOLD} more)" if len(lines) > _TOLD else ""
    others = f" and {len(changed) - 1} other cells" * (len(changed) > 1)
    return (
        f"{key}{others} in {folder} differ from what is asked for now:"
        f" {'; '.join(lines[:_TOLD])}{more}; give another --out, or --again to run them anew"
    )


def _note(done: Mapping[str, Record], todo: Sequence[Cell]) -> str:
    """Say of which versions the finished cells are, where more are run by others."""
    if not done or not todo:
        return ""
    here: Mapping[str, Any] = made_with("")["made-with"]
    other = {
        f"{name} {record.made_with.get(name)} (here {here[name]})": None
        for record in done.values()
        for name in VERSIONS
        if record.made_with.get(name) != here[name]
    }
    return f"cells that are kept were made with {', '.join(other)}" if other else ""
