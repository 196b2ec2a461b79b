"""`metarl perceive few-shot`: names are checked before torch is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metarl.commands.output import answer, cell, make_console, make_table, progress_bar, say
from metarl.errors import ConfigError, UnknownNameError
from metarl.names import slug
from metarl.perception.fewshot.config import METHODS, FewShotConfig
from metarl.perception.fewshot.given import require_pool_data
from metarl.perception.given import SMALL_CNN, usual_size
from metarl.runs.command import own_command
from metarl.runs.config import configure, require_settings

ALL = "all"


def few_shot(
    *,
    data: str,
    methods: Sequence[str],
    shots: Sequence[int],
    seeds: int,
    set: tuple[str, ...],
    out: Path | None,
    **flags: Any,
) -> int:
    """Judge few-shot methods on classes that they have not seen.

    Returns:
        The exit status.
    Raises:
        MetaRLError: If a name is unknown, a value out of range, or pictures are too few.
    """
    chosen = _methods(methods)
    require_pool_data(data)
    if not shots or min(shots) < 1:
        raise ConfigError(f"--shots is {' '.join(map(str, shots))}; expected numbers, at least 1")
    given = {name: value for name, value in flags.items() if value is not None}
    usual = {"size": usual_size(given.get("backbone", SMALL_CNN))}
    base = configure(FewShotConfig, {"data": data, **usual, **given, **_settings(set, given)})
    backbone = (
        base.backbone if base.weights is None else f"{base.backbone}-{Path(base.weights).stem}"
    )
    stem = (Path(data).stem or "pictures").replace(":", "-")
    folder = out or Path("comparisons") / slug(f"few-shot-{stem}-{backbone}")
    from metarl.perception.fewshot.table import TABLE_FILE, few_shot_all
    from metarl.report.perception import write_few_shot

    command = own_command()
    with progress_bar("pictures") as progress:
        rows = few_shot_all(
            base, chosen, list(dict.fromkeys(shots)), seeds, folder, command=command, tell=say,
            progress=progress,
        )  # fmt: skip
    _show(rows, base, seeds)
    answer({"folder": str(folder), "rows": rows})
    say(f"wrote {folder / TABLE_FILE}")
    say(f"wrote {write_few_shot(folder, rows, base, seeds, command)}")
    return 0


def _methods(names: Sequence[str]) -> list[str]:
    for name in names:
        if name not in (*METHODS, ALL):
            raise UnknownNameError("few-shot method", name, [*METHODS, ALL])
    return list(METHODS) if ALL in names else list(dict.fromkeys(names))


def _settings(pairs: Sequence[str], given: Mapping[str, Any]) -> dict[str, Any]:
    from metarl.learn.train import parse_settings

    settings = parse_settings(pairs)
    require_settings(FewShotConfig, settings)
    own = [name for name in ("data", "method", "shots", *given) if name in settings]
    if own:
        raise ConfigError(f"--set {own[0]}= has a flag of its own; give --{own[0]}")
    return settings


def _show(rows: Sequence[Mapping[str, Any]], base: FewShotConfig, seeds: int) -> None:
    """Print accuracies in percent."""
    table = make_table(
        "method",
        "shots",
        "accuracy %",
        "over tasks",
        "over seeds",
        "against centroids",
        "over tasks",
    )
    for row in rows:
        gain = "-" if row["gain"] is None else f"{100 * row['gain']:+.1f}"
        table.add_row(
            cell(row["method"]), cell(str(row["shots"])), cell(f"{100 * row['accuracy']:.1f}"),
            cell(_interval(row["episodes"])), cell(_interval(row["seeds"])), cell(gain),
            cell(_interval(row["gain episodes"])),
        )  # fmt: skip
    make_console().print(table)
    say(
        f"{base.ways} ways, {base.episodes} tasks of unseen classes for each of {seeds} seeds; chance"
        f" is {100 / base.ways:.3g} %; intervals are of 95 %"
    )


def _interval(ends: Sequence[float | None] | None) -> str:
    if ends is None or None in ends:
        return "-"
    low, high = (100 * end for end in ends if end is not None)
    return f"{low:.1f} to {high:.1f}"
