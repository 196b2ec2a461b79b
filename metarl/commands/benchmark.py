"""`metarl benchmark`: the file is read and held against what is installed before anything slow is loaded."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarl.commands.output import answer, cell, make_console, make_table, say
from metarl.commands.workers import workers_of
from metarl.errors import ConfigError, counted

if TYPE_CHECKING:
    from metarl.benchmark.run import Opened

RUNS = Path("runs")  # where metarl runs looks
WIDE = 120  # columns of a terminal that a whole table takes


def benchmark(
    file: Path | None,
    *,
    modules: Sequence[str],
    list: bool,
    jobs: int | None,
    ray: str | None,
    out: Path | None,
    again: bool,
    only_report: bool,
    physics: str | None = None,
) -> int:
    """Run what is missing of a benchmark, then write and tell what it says.

    Returns:
        The exit status: 1 if cells failed.
    Raises:
        MetaRLError: If the file has a mistake, or the folder cannot be used.
    """
    if only_report:
        if out is None or file is not None or list:
            raise ConfigError("--only-report takes --out FOLDER alone: the folder holds its file")
        write_and_tell(out, anew=True)
        return 0
    if file is None:
        raise ConfigError("metarl benchmark lacks FILE.toml; see metarl benchmark --help")
    folder = RUNS / file.stem if out is None else out
    workers = workers_of(ray, jobs)
    if modules:
        sys.path.append(os.getcwd())  # a module may be in this folder
    from metarl.benchmark.run import open_benchmark, run_benchmark
    from metarl.grid.processes import LOG
    from metarl.grid.store import Store

    opened = open_benchmark(file, folder, modules=modules, physics=physics)
    if list:
        _list(opened, folder)
        return 0
    done = run_benchmark(opened, Store(folder), workers=workers, again=again)
    write_and_tell(folder)
    if done.failed:
        say(f"{counted(len(done.failed), 'cell')} failed; what they printed is in {folder / LOG}")
    return 1 if done.failed else 0


def _list(opened: Opened, folder: Path) -> None:
    """Print the cells, each behind those that it needs, and how far each is."""
    from metarl.grid.cell import with_needs
    from metarl.grid.store import Store
    from metarl.runs.config import config_differences

    known = Store(folder).read()
    rows = list[dict[str, Any]]()
    for one in with_needs(opened.benchmark.cells()):
        record, state = known.get(one.key), "to run"
        if record is not None:
            changed = config_differences(record.cell, one.definition())
            state = f"changed: {'; '.join(changed)}" if changed else "finished"
        seconds = None if record is None else record.seconds
        rows.append({"cell": one.key, "state": state, "seconds": seconds})
    table = make_table("cell", "state", "seconds")
    for row in rows:
        took = "" if row["seconds"] is None else f"{row['seconds']:.0f}"
        table.add_row(cell(row["cell"]), cell(row["state"]), took)
    make_console().print(table)
    num_done = sum(row["state"] == "finished" for row in rows)
    say(f"{num_done} of {len(rows)} cells are finished in {folder}")
    answer({"folder": str(folder), "finished": num_done, "cells": rows})


def write_and_tell(folder: Path, *, anew: bool = False) -> None:
    """Write everything that is made of finished cells, and print the tables.

    Args:
        folder: Where the cells are.
        anew: Whether it was written before: then the command that it names stays.
    """
    from metarl.benchmark import output
    from metarl.report.benchmark import summary_of, write_results
    from metarl.runs.command import command_of, own_command
    from metarl.runs.config import read_json
    from metarl.runs.run import BENCHMARK_RESULT_FILE

    summary = summary_of(folder)
    for result in summary.results:
        say(f"{output.heading(result, ': ')} [95% interval]")
        _print(output.columns(result), output.table(result))
        for line in output.sentences(result):
            say(line)
        if result.kinds:
            say(f"the same {output.by_kind(result)}")
            _print(*output.kinds(result))
    if said := output.beside(summary):
        say(said)
    if summary.missing:
        say(f"{counted(summary.missing, 'cell')} not finished yet")
    made = folder / BENCHMARK_RESULT_FILE
    command = command_of(read_json(made)) if anew and made.exists() else ""
    for path in write_results(folder, command or own_command()):
        say(f"wrote {path}")
    answer({"folder": str(folder), **read_json(folder / BENCHMARK_RESULT_FILE)})


def _print(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; on a narrow terminal without what is less asked for: the files have all of it."""
    console = make_console()
    after = [name for name in columns if name.startswith("after ")]
    few = ("arm", *dict.fromkeys((*after[:2], *after[-1:])))
    shown = few if after and console.width < WIDE else columns
    table = make_table(*map(cell, shown))
    for row in rows:
        table.add_row(*(cell(text) for name, text in zip(columns, row) if name in shown))
    console.print(table)
