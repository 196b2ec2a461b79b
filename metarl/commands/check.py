"""`metarl check`: a row per conformance check."""

from __future__ import annotations

from metarl.commands.output import make_console, one_line
from metarl.registry import family_class


def check(name: str) -> int:
    """Run the conformance checks on a family.

    Args:
        name: A family's name.
    Returns:
        1 if a check failed.
    Raises:
        UnknownNameError: If there is no such family.
    """
    family_class(name)
    from rich.markup import escape

    from metarl.conformance import check_names, iter_checks

    console, width = make_console(), max(map(len, check_names()))
    counts = {True: 0, False: 0}
    for result in iter_checks(name):
        counts[result.passed] += 1
        mark = "[green]pass[/green]" if result.passed else "[bold red]FAIL[/bold red]"
        row = f"{mark}  {escape(result.name):<{width}}  {escape(one_line(result.detail))}"
        console.print(row.rstrip(), soft_wrap=True)
    console.print(f"{escape(name)}: {counts[True]} checks passed, {counts[False]} failed")
    return 1 if counts[False] else 0
