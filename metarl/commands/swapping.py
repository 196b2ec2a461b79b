"""`metarl perceive swap` and `compare`: names are checked before torch is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metarl.commands.output import answer, cell, make_console, make_table, progress_bar, say
from metarl.errors import ConfigError, UnknownNameError
from metarl.methods import rule_names, rules_config
from metarl.names import slug
from metarl.perception.given import SMALL_CNN, require_data, usual_size
from metarl.runs.command import own_command
from metarl.runs.config import CONFIG_FILE, NO_FIELDS, configure, read_json, require_settings

ALL, USUAL = "all", "frozen-trunk"
_FIELDS = {"epochs": "max_epochs"}  # flags, and what the config calls them
_SHOWN = ("strategy", "error", "constant error", "accuracy", "within interval", "seconds", "epochs")


def swap(
    *,
    data: str | None,
    strategy: str | None,
    out: Path | None,
    set: tuple[str, ...],
    resume: bool,
    **flags: Any,
) -> int:
    """Swap a head in a run folder.

    Returns:
        The exit status.
    Raises:
        MetaRLError: If a name is unknown, a value out of range, or pictures cannot be read.
    """
    saved = _saved(out) if resume and out is not None else {}
    if data is None and not saved:
        raise ConfigError("metarl perceive swap lacks --data; see metarl perceive swap --help")
    given = {"data": data, "strategy": strategy, **flags}
    asked = _usual({**saved, **_fields(given)})
    if set or not saved:
        asked["strategy_settings"] = _settings(asked["strategy"], set)
    require_data(asked["data"], asked.get("test"))
    folder = out or Path("runs") / _name(asked, asked["strategy"], f"s{asked.get('seed', 0)}")
    from metarl.perception.swap import pictures_of
    from metarl.perception.swap import swap as swap_head
    from metarl.perception.swap_config import SwapConfig

    config = configure(SwapConfig, asked)
    with progress_bar("pictures") as progress:
        pictures = pictures_of(config, progress)
    for line in pictures.told:
        say(line)
    done = swap_head(config, folder, resume=resume, command=own_command(), tell=say, data=pictures)
    _show([done.result])
    answer({"folder": str(folder), **done.result})
    say(f"wrote {folder}; ask it: metarl perceive predict {folder} PICTURE...")
    return 0


def compare(
    *,
    strategies: Sequence[str],
    seeds: int,
    out: Path | None,
    **flags: Any,
) -> int:
    """Swap a head by several strategies on the same pictures.

    Returns:
        The exit status.
    Raises:
        MetaRLError: As for `swap`.
    """
    chosen = _strategies(strategies)
    asked = _usual(_fields(flags))
    require_data(asked["data"], asked.get("test"))
    folder = out or Path("comparisons") / f"perceive-{_name(asked)}"
    from metarl.perception.headswap import for_pictures
    from metarl.perception.swap import swap_all
    from metarl.perception.swap_config import SwapConfig
    from metarl.report.perception import write_comparison

    if left := [name for name in chosen if name not in for_pictures()]:
        say(f"left out, since they imitate the source's answers: {', '.join(left)}")
    names = [name for name in chosen if name in for_pictures()]
    base = configure(SwapConfig, asked)
    results = swap_all(base, names, seeds, folder, command=own_command(), tell=say)
    _show(results)
    answer({"folder": str(folder), "results": results})
    say(f"wrote {write_comparison(folder, results, base, own_command())}")
    return 0


def _fields(flags: Mapping[str, Any]) -> dict[str, Any]:
    """What is given, by the config's own names."""
    solve = {"solve": False} if flags["descend"] else {}
    given = {name: v for name, v in flags.items() if v is not None and name != "descend"}
    return {_FIELDS.get(name, name): v for name, v in given.items()} | solve


def _usual(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in what hangs on the backbone and nobody has given."""
    backbone = asked.get("backbone", SMALL_CNN)
    return {"size": usual_size(backbone), "strategy": USUAL, **asked}


def _settings(strategy: str, pairs: Sequence[str]) -> dict[str, Any]:
    from metarl.learn.train import parse_settings

    own = rules_config(strategy)
    settings = parse_settings(pairs)
    require_settings(own, settings)
    return settings


def _strategies(names: Sequence[str]) -> list[str]:
    valid = rule_names()
    if ALL in names:
        return valid
    for name in names:
        if name not in valid:
            raise UnknownNameError("strategy", name, [*valid, ALL])
    return list(dict.fromkeys(names))


def _saved(folder: Path) -> dict[str, Any]:
    """The config of the run in a folder, by field; empty if there is none."""
    if not (folder / CONFIG_FILE).exists():
        return {}
    saved = read_json(folder / CONFIG_FILE)
    return {name: value for name, value in saved.items() if name not in NO_FIELDS}


def _name(asked: Mapping[str, Any], *more: str) -> str:
    stem = Path(asked["data"]).stem or "pictures"
    return slug("-".join((stem.replace(":", "-"), asked.get("backbone", SMALL_CNN), *more)))


def _show(results: Sequence[Mapping[str, Any]]) -> None:
    columns = [name for name in _SHOWN if any(name in result for result in results)]
    table = make_table(*columns)
    for result in results:
        table.add_row(*(cell(_written(result.get(name))) for name in columns))
    make_console().print(table)


def _written(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
