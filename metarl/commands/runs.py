"""`metarl runs`: what was trained, adapted and compared, and how far it is."""

from __future__ import annotations

from pathlib import Path

from metarl.commands.output import answer, cell, make_console, make_table, say
from metarl.runs.files import check_output
from metarl.runs.listing import MOST, list_runs

INDEX = "index.html"  # its links lead to the reports beside it


def runs(folder: Path, *, page: bool) -> int:
    """List the runs below a folder.

    Args:
        folder: Where to look.
        page: Write ``index.html`` into the folder, anew.
    Returns:
        The exit status.
    Raises:
        ConfigError: If it is no folder.
        OutputError: If the page cannot be written.
    """
    if page and folder.is_dir():
        check_output(folder / INDEX, overwrite=True)
    found = list_runs(folder)
    answer([run.to_json() for run in found])
    if found:
        from metarl.report.index import COLUMNS, row_of

        table = make_table(*COLUMNS)
        for run in found:
            table.add_row(*map(cell, row_of(run)))
        make_console().print(table)
    else:
        say(f"no run in {folder}; metarl train writes one there")
    if len(found) == MOST:
        say(f"the first {MOST:,} are listed; name a folder below {folder} for the others")
    if page:
        from metarl.report.index import index_report

        path = index_report(found, str(folder)).write(folder / INDEX)
        say(f"wrote {path}")
    return 0
