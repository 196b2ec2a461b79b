"""What the commands print: data on stdout, everything else on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from json import dumps
from typing import TYPE_CHECKING, Any

from metarl.errors import printable
from metarl.runs.metrics import finite

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.table import Table

PIPE_COLUMNS = 160  # width of a table that no terminal shows


_answers: ContextVar[list[Any] | None] = ContextVar("answers", default=None)  # None: tables


@contextmanager
def answering(json: bool) -> Iterator[None]:
    """Within it a command answers a program, if `json`: stdout has one JSON value and nothing else.

    What `say` is given goes to stderr, and tables are not drawn; the value is what `answer` was given.
    """
    token = _answers.set([] if json else None)
    try:
        yield
        if answers := _answers.get():
            print(dumps(finite(answers[-1]), indent=2, default=str))
    finally:
        _answers.reset(token)


def answer(value: Any) -> None:
    """Give what a program gets with ``--json``: JSON values; what is not finite becomes null."""
    if (answers := _answers.get()) is not None:
        answers.append(value)


def answers_json() -> bool:
    """Whether a program is answered."""
    return _answers.get() is not None


def say(text: str) -> None:
    """Print a line or more for the user, at once, even into a pipe; see `printable`."""
    to = sys.stderr if answers_json() else sys.stdout
    print("\n".join(map(printable, text.split("\n"))), flush=True, file=to)


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

    width = None if sys.stdout.isatty() else PIPE_COLUMNS
    return Console(highlight=False, width=width, quiet=answers_json())


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
