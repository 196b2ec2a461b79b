"""`metarl adapt`: names are checked before anything slow is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarl.commands.output import answer, make_console, make_table, progress_bar, say
from metarl.commands.policies import fit, require_source, tell_changes, tell_taken
from metarl.errors import MetaRLError, UnknownNameError
from metarl.machine import require_worlds_fit
from metarl.methods import adapting_config, choose_adapting, method_names
from metarl.names import slug, with_physics
from metarl.registry import family_class, make_family
from metarl.runs.command import own_command
from metarl.runs.shipped import find_checkpoint
from metarl.types import Split, variations

if TYPE_CHECKING:
    from metarl.adapt.adaptation import State
    from metarl.adapt.comparison import Comparison
    from metarl.adapt.protocol import Protocol
    from metarl.family import TaskFamily
    from metarl.runs.checkpoint import Checkpoint


def adapt(
    checkpoint: Path,
    family: str,
    *,
    updates: int,
    episodes: int,
    num_tasks: int,
    eval_episodes: int,
    seed: int,
    strategy: str | None,
    set: tuple[str, ...],
    split: Split,
    film: bool,
    out: Path | None,
    strict: bool,
    map: tuple[str, ...],
    names: tuple[str, ...],
    statistics: Path | None,
    physics: str | None = None,
) -> int:
    """Adapt a trained policy to tasks it has not seen, and say how well it then does.

    The folder gets the result, curves, the states after each update, a film of the first task
    before and after, and a report.

    Returns:
        The exit status.
    Raises:
        MetaRLError: If a name is unknown or the checkpoint does not load.
    """
    if strategy is not None and strategy not in (known := method_names()):
        raise UnknownNameError("strategy", strategy, known)
    given = _settings_of(strategy, set)
    family = with_physics(family, physics)
    require_source(True, "", map, names, statistics)
    num_worlds = num_tasks * max(episodes, eval_episodes)
    asked = f"--num-tasks {num_tasks} of {max(episodes, eval_episodes)} episodes"
    require_worlds_fit(num_worlds, family_class(family).horizon, asked)
    source = find_checkpoint(checkpoint, family)
    from metarl.adapt.comparison import compare, next_to_try
    from metarl.adapt.evaluate import settings_of
    from metarl.adapt.protocol import Protocol
    from metarl.adapt.record import new_folder, write_record
    from metarl.runs.config import made_with, read_json
    from metarl.runs.run import ADAPTATION_FILE, START_FILE, write_json
    from metarl.sources import read_source

    made, keep = make_family(family), list[Any]()
    found = read_source(source, family=made, names=names, statistics=statistics)
    tell_taken(found, str(checkpoint))
    tell_changes(found, made, strict=strict)
    found, surgery = fit(found, made, map, str(checkpoint))
    method = choose_adapting(found.meta, strategy)
    settings = settings_of(method, given)
    protocol = Protocol(
        num_tasks=num_tasks, episodes=episodes, updates=updates, eval_episodes=eval_episodes,
        seed=seed, split=split,
    )  # fmt: skip
    folder = new_folder(out, f"{slug(family)}-{checkpoint.stem}-{method}-s{seed}")
    with progress_bar("adapting, again with other noise, and from scratch") as progress:
        comparison = compare(
            made, method, found, protocol, settings=settings, keep=keep, progress=progress
        )
    hides = any(field.hidden for field in variations(made.task_type).values())
    tip = next_to_try(comparison, found, made, hides=hides)
    command = own_command()
    about = {"checkpoint": str(checkpoint), "next": tip, **made_with(command)}
    if surgery is not None:
        write_json(folder / START_FILE, surgery.to_json())
    write_record(folder, comparison, keep, protocol=protocol, settings=settings, about=about)
    _show(comparison, protocol, tip)
    if film and protocol.updates:
        _film(made, found, comparison, protocol, settings, keep, folder)
    _report(folder)
    answer({"folder": str(folder), **read_json(folder / ADAPTATION_FILE)})
    return 0


def _settings_of(strategy: str | None, pairs: Sequence[str]) -> dict[str, Any]:
    """Read what is set, and check it before torch is loaded, where a strategy is named."""
    from metarl.learn.train import parse_settings
    from metarl.runs.config import require_settings

    given = parse_settings(pairs)
    config = adapting_config(strategy) if strategy is not None and given else None
    if config is not None:
        require_settings(config, given)
    return given


def _show(comparison: Comparison, protocol: Protocol, tip: str) -> None:
    from metarl.adapt.comparison import UNITS

    result, unit = comparison.result, UNITS[comparison.metric]
    columns, rows = comparison.table()
    say(f"{result.method} on {result.family}: {unit}, {protocol.num_tasks} tasks [95% interval]")
    table = make_table(*columns)
    for row in rows:
        table.add_row(*(cell.replace("[", r"\[") for cell in row))
    make_console().print(table)
    say(f"{result.steps:,} control steps, {result.seconds:.1f} s")
    if result.diverged:
        say(f"{result.diverged} episodes were ended by physics that diverged")
    for line in (comparison.verdict(), comparison.note(), tip):
        if line:
            say(line)


def _film(
    family: TaskFamily[Any],
    checkpoint: Checkpoint,
    comparison: Comparison,
    protocol: Protocol,
    settings: Any,
    states: Sequence[State],
    folder: Path,
) -> None:
    """Film the first task; results stand without it."""
    from metarl.report.before_after import film_adaptation, lapse

    method, times = comparison.result.method, lapse(family)
    path = folder / "before-after.mp4"
    pace = f", {times} times as fast as life" if times > 1 else ""
    try:
        film_adaptation(family, method, checkpoint, protocol, states, path, settings=settings)
    except MetaRLError as error:
        say(f"no film: {error}")
    else:
        say(f"wrote {path}{pace}")


def _report(folder: Path) -> None:
    """Write the page and the curves; results stand without them."""
    from metarl.adapt.record import read_record
    from metarl.report.adaptation import adaptation_report, curves
    from metarl.runs.checkpoint import write_atomically

    try:
        comparison, saved = read_record(folder)
        write_atomically(folder / "curves.png", curves(comparison, saved["protocol"]["episodes"]))
        say(f"wrote {adaptation_report(folder).write(folder / 'report.html')}")
    except MetaRLError as error:
        say(f"no report: {error}")
