"""`metarl check`: a row per conformance check."""

from __future__ import annotations

import inspect
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from metarl.commands.output import answer, cell, make_console
from metarl.registry import family_class

# Where a fault was found, and in how many worlds: it is the same fault elsewhere.
_WORLDS = re.compile(r",? (?:of|in) worlds? \[?\d[\d, .]*\]?|(?<=of shape )\(\d+,[\d, ]*\)")
_METHOD = re.compile(r"\b(\w+)\(\)")
_LINE = re.compile(r"\w\.py:\d+")
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
    family = family_class(name)
    from metarl.conformance import check_names, iter_checks
    from metarl.conformance.remedies import REMEDIES

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
    failed = [(row["check"], row["detail"]) for row in rows if row["outcome"] == "fail"]
    if failed:
        console.print("what to do:")
    for line in _what_to_do(failed, family):
        console.print(f"- {cell(line)}", soft_wrap=True)
    answer({"family": name, "checks": [{**r, "remedy": REMEDIES[r["check"]]} for r in rows]})
    return 1 if outcomes["fail"] else 0


def _what_to_do(failed: Sequence[tuple[str, str]], family: type) -> Iterator[str]:
    """A line a fault: what was found, where it is written, how to mend it, and the page that explains it.

    Args:
        failed: Each check that failed, and what it found. What several found is one fault, in whichever
            of their worlds.
        family: Whose methods are looked up.
    """
    from metarl.conformance.remedies import REMEDIES, place_of

    faults, first_found = dict[str, list[str]](), dict[str, str]()
    for check, detail in failed:
        key = _WORLDS.sub("", detail) or check
        first_found.setdefault(key, detail or check)
        faults.setdefault(key, []).append(check)
    for key, checks in faults.items():
        found, first = first_found[key], checks[0]
        if len(checks) > 1:
            at = _written_at(family, found)
            yield f"{found}{at}: mend this first, {len(checks)} checks end there ({place_of(first)})"
        else:
            said = first if found == first else f"{first}: {found}"
            at = _written_at(family, f"{found} {REMEDIES[first]}")
            yield f"{said}{at}. {REMEDIES[first]} ({place_of(first)})"


def _written_at(family: type, said: str) -> str:
    """Where the first method is written that a text names, " (file.py:7)"; "": it says where, or none is the
    family's own."""
    if _LINE.search(said):
        return ""
    for name in _METHOD.findall(said):
        owner = next((c for c in family.__mro__ if name in vars(c)), object)
        if owner is object or owner.__module__.partition(".")[0] == "metarl":
            continue
        try:
            code = inspect.unwrap(vars(owner)[name]).__code__
        except (AttributeError, ValueError):  # no function of Python's
            continue
        return f" ({os.path.basename(code.co_filename)}:{code.co_firstlineno})"
    return ""
