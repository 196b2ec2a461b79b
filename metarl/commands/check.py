"""`metarl check`: a row per conformance check."""

from __future__ import annotations

from metarl.commands.output import make_console, make_table, one_line
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

    from metarl.conformance import check_family

    results = list(check_family(name))
    table = make_table("", "check", "")
    for result in results:
        mark = "[green]pass[/green]" if result.passed else "[bold red]FAIL[/bold red]"
        table.add_row(mark, escape(result.name), escape(one_line(result.detail or "–")))
    console = make_console()
    console.print(table)
    failed = sum(not result.passed for result in results)
    console.print(f"{escape(name)}: {len(results) - failed} checks passed, {failed} failed")
    return 1 if failed else 0
