"""`metarl check`: a row per conformance check."""

from __future__ import annotations

from collections import Counter

from metarl.commands.output import answer, cell, make_console
from metarl.registry import family_class

_MARKS = {
    "pass": "[green]pass[/green]     ",
    "fail": "[bold red]FAIL[/bold red]     ",
    "skip": "[dim]skip[/dim]     ",
    "not shown": "[yellow]not shown[/yellow]",
}
_COUNTED = {
    "pass": "checks passed",
    "fail": "failed",
    "skip": "skipped",
    "not shown": "not shown",
}


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
    from metarl.conformance import check_names, iter_checks
    from metarl.conformance.remedies import REMEDIES, place_of

    console, width = make_console(), max(map(len, check_names()))
    outcomes, told, rows = Counter[str](), dict[str, str](), list[dict[str, str]]()
    for result in iter_checks(name):
        outcomes[result.outcome] += 1
        rows.append({"check": result.name, "outcome": result.outcome, "detail": result.detail})
        detail = cell(result.detail)
        if result.failed and detail:  # one mistake fails many checks: say it once
            first = told.setdefault(detail, result.name)
            detail = detail if first == result.name else f"as above: {first}"
        row = f"{_MARKS[result.outcome]}  {cell(result.name):<{width}}  {detail}"
        console.print(row.rstrip(), soft_wrap=True)
    counts = ", ".join(
        f"{outcomes[outcome]} {words}" for outcome, words in _COUNTED.items()
        if outcomes[outcome] or outcome in ("pass", "fail")
    )  # fmt: skip
    console.print(f"{cell(name)}: {counts}")
    failed = [row["check"] for row in rows if row["outcome"] == "fail"]
    if failed:
        console.print("what to do:")
    for check in failed:
        told_by = cell(f"{check}: {REMEDIES[check]} ({place_of(check)})")
        console.print(f"- {told_by}", soft_wrap=True)
    answer({"family": name, "checks": [{**r, "remedy": REMEDIES[r["check"]]} for r in rows]})
    return 1 if outcomes["fail"] else 0
