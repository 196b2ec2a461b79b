"""`metarl tune`: what is searched is checked before anything slow is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarl.commands.output import answer, cell, make_console, make_table, say
from metarl.commands.workers import workers_of
from metarl.errors import ConfigError, MetaRLError, UnknownNameError, counted
from metarl.methods import (
    defaults_of,
    get_method,
    get_training,
    strategy_names,
    takes_several,
    training_config,
    training_names,
)
from metarl.names import slug
from metarl.registry import family_class

if TYPE_CHECKING:
    from metarl.tune.search import Search
    from metarl.tune.trials import Tuned

RUNS = Path("runs")  # where metarl runs looks
SHOWN = 10  # trials in the table on a terminal; the page has all


def tune(
    family: str,
    method: str,
    *,
    search: tuple[str, ...],
    trials: int,
    seeds: int,
    iterations: int | None,
    metric: Any,
    num_tasks: int,
    eval_episodes: int,
    episodes: int | None,
    updates: int | None,
    seed: int,
    together: int,
    start: Path | None,
    set: tuple[str, ...],
    jobs: int | None,
    ray: str | None,
    out: Path | None,
) -> int:
    """Search settings of a method on the training tasks of a family, then write and tell what was found.

    Returns:
        The exit status: 1 if trials failed.
    Raises:
        MetaRLError: If a name is unknown, a value out of range, or the folder cannot be used.
    """
    workers = workers_of(ray, jobs)
    _require_method(method, family)
    _require_names(search, set, method, start)
    family_class(family)
    from metarl.tune.propose import require_optuna

    require_optuna()
    asked = {
        name: value
        for name, value in {"episodes": episodes, "updates": updates}.items()
        if value is not None
    }
    if asked and get_method(method).adapting is None:
        raise ConfigError(
            f"--{next(iter(asked))} has no effect: {method} meets tasks as it was trained, without an"
            " update; leave it out"
        )
    from metarl.benchmark.given import look_up
    from metarl.grid.processes import LOG
    from metarl.grid.store import Store
    from metarl.tune.run import num_trials, run_search

    folder = out or RUNS / f"tune-{slug(family)}-{method}-s{seed}"
    given = {} if start is None else look_up([(family, str(start))], Path("."), folder)
    defined = _search_of(
        family, method, search, set, iterations=iterations, metric=metric, seeds=seeds, seed=seed,
        together=together, num_tasks=num_tasks, eval_episodes=eval_episodes,
        start=next((one.given for one in given.values()), None), **asked,
    )  # fmt: skip
    trials = num_trials(defined, trials)
    if ray is None:
        _tell_idle(workers.size, defined, trials)
    found = run_search(defined, Store(folder), trials=trials, given=given, workers=workers)
    _write_and_tell(found, folder, trials)
    if found.failed:
        say(f"{counted(len(found.failed), 'trial')} failed; what was printed is in {folder / LOG}")
    return 1 if found.failed else 0


def _tell_idle(size: int, search: Search, trials: int) -> None:
    """Say if processes will have nothing to do."""
    from metarl.tune.search import STARTUP

    busy = search.seeds * search.together
    if busy < size and trials > STARTUP:
        more = -(-size // search.seeds)
        say(
            f"from trial {STARTUP} on {busy} of {size} processes are busy; --together {more} runs more"
            " trials side by side"
        )


def _require_method(method: str, family: str) -> None:
    """Check that a method trains on one family, and is judged without anything else."""
    if method not in (names := training_names()):
        if method in strategy_names():
            raise ConfigError(
                f"{method} trains nothing, so there is nothing to search; expected one of"
                f" {', '.join(names)}"
            )
        raise UnknownNameError("method", method, names)
    if takes_several(method):
        raise ConfigError(
            f"{method} trains on several families at once; a search has one family, and a method that"
            " trains on one"
        )
    if method == "eyes":
        raise ConfigError("eyes act on pictures, and a search cannot judge that yet")


def _require_names(
    search: tuple[str, ...], pairs: tuple[str, ...], method: str, start: Path | None
) -> None:
    """Check what is searched and set, before torch is loaded."""
    from metarl.learn.following import require_start
    from metarl.learn.train import parse_settings
    from metarl.runs.config import require_settings
    from metarl.tune.space import parse_space

    config = training_config(method)
    settings, space = parse_settings(pairs), parse_space(search, config)
    require_settings(config, settings)
    if start is None:
        require_start(settings)
    for name in settings:
        if name in space:
            raise ConfigError(f"{name} is searched and set; leave one of them out")


def _search_of(
    family: str,
    method: str,
    pairs: tuple[str, ...],
    settings: tuple[str, ...],
    *,
    iterations: int | None,
    **rest: Any,
) -> Search:
    """Make the search; what nobody says is the method's own."""
    from metarl.learn.train import parse_settings
    from metarl.tune.search import Search
    from metarl.tune.space import parse_space, usual_space

    config, training, given = (
        training_config(method),
        get_training(method),
        parse_settings(settings),
    )
    space = parse_space(pairs, config)
    if not pairs:
        usual = {**defaults_of(training), **given}
        space = usual_space({n: v for n, v in usual.items() if n not in given}, config)
        if not space:
            raise ConfigError(
                f"{method} has no learning rate that could be searched; say by --search what is"
            )
    return Search(
        family=family, method=method, settings=given,
        iterations=iterations or defaults_of(training)["iterations"],
        search={name: str(one) for name, one in space.items()}, **rest,
    )  # fmt: skip


def _write_and_tell(found: Tuned, folder: Path, trials: int) -> None:
    """Write everything that is made of finished trials, and print the table."""
    from metarl.report.tuning import write_tuning_page
    from metarl.runs.command import own_command
    from metarl.runs.config import read_json
    from metarl.runs.run import TUNING_FILE
    from metarl.tune import output

    search = found.search
    say(f"{search.method} on {search.family}: {output.unit(search)} [95% interval], best first")
    columns, rows = output.columns(search), output.rows(found)
    table = make_table(*map(cell, columns))
    for row in rows[:SHOWN]:
        table.add_row(*map(cell, row))
    make_console().print(table)
    if len(rows) > SHOWN:
        say(f"{len(rows) - SHOWN} more are on the page")
    for line in (output.about(search), *output.sentences(found)):
        say(line)
    written = [output.write_tuning(found, folder, trials, own_command())]
    try:
        written += write_tuning_page(folder)
    except MetaRLError as error:  # results stand without it
        say(f"no page: {error}")
    for path in written:
        say(f"wrote {path}")
    if command := output.best_command(found, folder):
        say(
            f"trained with the best settings: {', '.join(map(str, output.best_runs(found, folder)))}"
        )
        say(f"with a seed that no trial had:\n{command}")
    answer({"folder": str(folder), **read_json(folder / TUNING_FILE)})
