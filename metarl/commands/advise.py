"""`metarl advise`: names are checked before anything slow is loaded."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metarl.advise.named import find_sources, require_one
from metarl.commands.output import answer, cell, make_console, make_table, progress_bar, say
from metarl.errors import ConfigError
from metarl.machine import require_worlds_fit
from metarl.registry import family_class
from metarl.runs.command import own_command
from metarl.runs.files import check_output

PAGES = (".html", ".htm")


def advise(
    words: Sequence[str],
    *,
    episodes: int | None,
    seed: int,
    map: tuple[str, ...],
    names: tuple[str, ...],
    statistics: Path | None,
    out: Path | None,
    overwrite: bool,
) -> int:
    """Rank sources and strategies for a target, without training.

    Returns:
        The exit status.
    Raises:
        MetaRLError: If a name is unknown, or a source cannot be read or does not fit.
    """
    *sources, target = words
    if not sources:
        raise ConfigError(f"metarl advise got one word, {target}; expected SOURCE... TARGET")
    horizon = family_class(target).horizon
    if episodes is not None:
        require_worlds_fit(episodes, horizon, f"--episodes {episodes}")
    require_one(find_sources(sources, target), map, names, statistics)
    if out is not None:
        check_output(out, (".json", *PAGES), overwrite=overwrite)
    from metarl.advise.advisor import advise as ask
    from metarl.advise.carried import Reading
    from metarl.runs.config import made_with
    from metarl.runs.run import write_json

    with progress_bar("asking sources") as progress:
        advice = ask(
            sources, target, episodes=episodes, seed=seed, progress=progress,
            reading=Reading(map, names, statistics),
        )  # fmt: skip
    command = own_command()
    saved = {**advice.to_json(), **made_with(command)}
    answer(saved)
    _show(advice)
    if out is not None:
        if out.suffix.lower() in PAGES:
            from metarl.report.advice import advice_report

            advice_report(advice, command).write(out)
        else:
            write_json(out, saved)
        print(f"wrote {out}", file=sys.stderr)
    return 0


def _show(advice: Any) -> None:
    from metarl.advise.advice import COLUMNS

    say(f"{advice.target}: gain over scratch on the same budget of PPO, -1 to 1 [95% interval]")
    table = make_table(*COLUMNS)
    for row in advice.table():
        table.add_row(*map(cell, row))
    make_console().print(table)
    for line in advice.lines():
        say(line)
