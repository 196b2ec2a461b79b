"""What `metarl transfer-matrix` and `metarl compare` share: names, running, and telling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarl.commands.output import answer, make_console, make_table, say
from metarl.errors import ConfigError, UnknownNameError, counted
from metarl.methods import rule_names, training_config
from metarl.registry import family_class
from metarl.runs.command import command_of, own_command

if TYPE_CHECKING:
    from metarl.grid.workers import Workers

ALL = "all"
SCRATCH = "scratch"
_OF_ARMS = ("log_std", "exploration", "noise", "strategy_settings")


def require_families(names: Sequence[str]) -> None:
    """Check names of families before anything slow is loaded.

    Raises:
        MetaRLError: If one is unknown, or stands there twice.
    """
    for name in names:
        family_class(name)
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"{twice[0]} stands there twice; expected each family once")


def settings_of(pairs: Sequence[str]) -> dict[str, Any]:
    """Read what is set of PPO.

    Raises:
        ConfigError: If a setting is unknown, or has an option of its own.
    """
    from metarl.learn.train import parse_settings
    from metarl.runs.config import require_settings

    given = parse_settings(pairs)
    require_settings(training_config("ppo"), given)
    if mine := [name for name in _OF_ARMS if name in given]:
        raise ConfigError(f"setting {mine[0]!r} is what arms differ in; leave it out of --set")
    return given


def strategies_of(names: Sequence[str]) -> tuple[str, ...]:
    """Check names of strategies; ``all`` stands for every one.

    Raises:
        UnknownNameError: If one is unknown.
        ConfigError: If scratch is among them, or one stands there twice.
    """
    valid = [name for name in rule_names() if name != SCRATCH]
    if ALL in names:
        return tuple(valid)
    for name in names:
        if name == SCRATCH:
            raise ConfigError("strategy 'scratch' needs no name: everything is held against it")
        if name not in valid:
            raise UnknownNameError("strategy", name, [*valid, ALL])
    if len(set(names)) < len(names):
        raise ConfigError(f"strategies {' '.join(names)}: one stands there twice")
    return tuple(names)


def run_group(
    name: str,
    sources: Sequence[str],
    targets: Sequence[str],
    folder: Path,
    *,
    checkpoints: Sequence[Path],
    mapping: tuple[str, ...] = (),
    strategies: Sequence[str],
    explorations: Sequence[Any],
    seeds: int,
    iterations: int,
    source_iterations: int,
    settings: Mapping[str, Any],
    adapt: int = 0,
    workers: Workers,
    again: bool,
) -> int:
    """Let every source meet every target in one group of a matrix, then write and tell what it says.

    Args:
        name: Of the group.
        sources: Families that are trained as sources.
        targets: Families.
        folder: Where cells are kept.
        checkpoints: Sources that are there already.
        mapping: Which of their columns and actions go where.
        strategies: How a source starts, and what of it learns; ``all`` stands for every one.
        explorations: Whether its spread of actions goes along.
        seeds: Trainings of each.
        iterations: Of a target.
        source_iterations: Of a source.
        settings: Of PPO.
        adapt: Updates of adaptation to hidden tasks, which is measured too; 0: it is not.
        workers: Who runs the cells.
        again: Run cells anew that have changed since they were finished.
    Returns:
        The exit status: 1 if cells failed.
    Raises:
        MetaRLError: If a strategy is unknown, a value out of range, or the folder cannot be used.
    """
    chosen = strategies_of(strategies)
    from metarl.adapt.protocol import Protocol
    from metarl.grid.processes import LOG
    from metarl.grid.store import Store
    from metarl.matrix.benchmark import Group, Matrix, every_pair
    from metarl.matrix.cells import Budget
    from metarl.matrix.given import take_sources
    from metarl.matrix.run import run_matrix

    given = take_sources(checkpoints, folder, mapping)
    group = Group(
        name=name, pairs=every_pair([*sources, *(g.name for g in given)], targets),
        strategies=chosen, explorations=tuple(explorations),
    )  # fmt: skip
    matrix = Matrix(
        groups=(group,),
        num_seeds=seeds,
        budget=Budget(iterations=iterations, settings=settings),
        source_budget=Budget(iterations=source_iterations, settings=settings),
        given=tuple(given),
        adapting=Protocol(updates=adapt) if adapt else None,
    )
    done = run_matrix(matrix, Store(folder), workers=workers, again=again)
    write_and_tell(folder)
    if done.failed:
        say(f"{counted(len(done.failed), 'cell')} failed; what they printed is in {folder / LOG}")
    return 1 if done.failed else 0


def write_and_tell(folder: Path, *, anew: bool = False) -> None:
    """Write everything that is made of finished cells, and print the tables.

    Args:
        folder: Where the cells are.
        anew: Whether it was written before: then the command that it names stays.
    """
    from metarl.grid.store import Store
    from metarl.matrix.benchmark import read_matrix
    from metarl.matrix.output import COLUMNS, MATRIX_RESULT_FILE, table
    from metarl.matrix.summary import best_of, summarise
    from metarl.report.transfer import write_results
    from metarl.runs.config import read_json

    summary = summarise(read_matrix(folder), Store(folder).read())
    for level in summary.levels:
        say(f"{level.target} ({level.regime}), {level.steps:,} control steps [95% interval]")
        shown = make_table(*COLUMNS)
        for row in table(summary, level.regime, level.target):
            shown.add_row(*(cell.replace("[", r"\[") for cell in row))
        make_console().print(shown)
    for source, target, why in summary.left_out:
        say(f"{source} to {target} is left out: {why}")
    if summary.missing:
        say(f"{counted(summary.missing, 'cell')} not finished yet")
    made = folder / MATRIX_RESULT_FILE
    command = command_of(read_json(made)) if anew and made.exists() else ""
    for path in write_results(folder, command or own_command()):
        say(f"wrote {path}")
    for level in summary.levels:
        say(best_of(summary.of(level.regime, level.target), level))
    answer({"folder": str(folder), **read_json(folder / MATRIX_RESULT_FILE)})
