"""What the commands print: data on stdout, everything else on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from metarl.errors import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.table import Table

PIPE_COLUMNS = 160  # width of a table that no terminal shows


def say(text: str) -> None:
    """Print a line or more for the user, at once, even into a pipe; see `printable`."""
    print("\n".join(map(printable, text.split("\n"))), flush=True)


def one_line(error: object) -> str:
    """Fold an error's message into one harmless line."""
    return printable(" ".join(str(error).split()))


def cell(value: object) -> str:
    """Make a text the cell of a table: one harmless line without markup."""
    from rich.markup import escape

    return escape(one_line(value))


def make_console() -> Console:
    """Make the console for tables; into a pipe it is wide and plain."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)


def make_table(*columns: str) -> Table:
    """Make an empty table of the one look that all commands have."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == columns[0])
    return table


@contextmanager
def progress_bar(text: str) -> Iterator[Callable[[int, int], None]]:
    """Show progress on stderr; yields a function of (done, total).

    Where no terminal shows it, every tenth is a line.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    if not sys.stderr.isatty():
        yield _tenths(text)
        return
    parts = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*parts, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _tenths(text: str) -> Callable[[int, int], None]:
    shown = -1

    def show(done: int, total: int) -> None:
        nonlocal shown
        tenth = 10 * done // max(total, 1)
        if tenth > shown:
            shown = tenth
            print(f"{text}: {done} of {total}", file=sys.stderr, flush=True)

    return show
