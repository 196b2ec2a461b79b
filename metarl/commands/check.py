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
    counts, told = {True: 0, False: 0}, dict[str, str]()
    for result in iter_checks(name):
        counts[result.passed] += 1
        mark = "[green]pass[/green]" if result.passed else "[bold red]FAIL[/bold red]"
        detail = one_line(result.detail)
        if not result.passed and detail:  # one mistake fails many checks: say it once
            first = told.setdefault(detail, result.name)
            detail = detail if first == result.name else f"as above: {first}"
        row = f"{mark}  {escape(result.name):<{width}}  {escape(detail)}"
        console.print(row.rstrip(), soft_wrap=True)
    console.print(f"{escape(name)}: {counts[True]} checks passed, {counts[False]} failed")
    return 1 if counts[False] else 0
