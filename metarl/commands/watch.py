"""`metarl watch`: a film anywhere, and a live window where there is a display."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from metarl.commands.filming import MOST_AT_ONCE, film_episodes, film_grid, film_updates
from metarl.commands.live import show as show_live
from metarl.commands.output import say
from metarl.commands.policies import (
    NAMED,
    find_policy,
    fit,
    learns_to_adapt,
    make_act,
    require_source,
    tell_changes,
    tell_taken,
)
from metarl.errors import ConfigError, UnknownNameError
from metarl.family import TaskFamily
from metarl.film.encoder import check_film
from metarl.film.gl import display_answers, has_display
from metarl.methods import method_names
from metarl.names import full_name, split_name, with_physics
from metarl.registry import family_class, make_family
from metarl.runs.files import free_name
from metarl.runs.policies import sees_task
from metarl.types import Split
from metarl.viewer import LOOPBACK, PORT

FILM = Path("film.mp4")  # unless told otherwise; never over one that is there
MOST_UPDATES = 6  # that one film shows side by side

if TYPE_CHECKING:
    from metarl.runs.checkpoint import Checkpoint
    from metarl.sim.worlds import Worlds
    from metarl.types import Act


def watch(
    family: str,
    policy: str,
    *,
    dish: str | None,
    split: Split,
    seed: int,
    episodes: int | None,
    out: Path | None,
    overwrite: bool,
    live: bool,
    strict: bool = False,
    map: tuple[str, ...] = (),
    names: tuple[str, ...] = (),
    statistics: Path | None = None,
    show: str | None = None,
    grid: str | None = None,
    updates: tuple[int, ...] = (),
    strategy: str | None = None,
    web: bool = False,
    port: int = PORT,
    host: str = LOOPBACK,
    physics: str | None = None,
) -> int:
    """Run a policy on sampled tasks, film it, and show it where there is a display.

    Args:
        family: A family's name.
        policy: random, expert, still, reference, a checkpoint file or a run folder, or the name
            of a shipped checkpoint.
        dish: The family's option ``dish``; None: as the family's name says.
        split: Where the tasks come from.
        seed: Of tasks, worlds and the random policy.
        episodes: How many, each on a task of its own; None: 3, or 1 of each task of a grid.
        out: The film, .mp4 or .gif; None: film.mp4, or the first of film-2.mp4, film-3.mp4, ...
            that is free.
        overwrite: Whether a film that is there may be replaced.
        live: Open a window where there is a display.
        strict: Refuse a checkpoint whose family has changed since it was trained.
        map: Which columns and actions of the policy go where, as for `metarl.sources.carry`.
        names: Which tensor of a file of others is which, as for `metarl.sources.read_source`.
        statistics: Of the observations in such a file, likewise.
        show: ``camera``: what the family's camera sees stands beside.
        grid: ROWSxCOLUMNS: so many tasks at once.
        updates: One task after so many updates each, side by side, in place of episodes.
        strategy: With updates: how it adapts; None: the way it was trained for, or fine-tune.
        web: In place of a film, serve a page until a signal comes.
        port: Its port, or the next one that is free.
        host: The interface on which it listens.
        physics: What moves the worlds; None: as the family's name says.
    Returns:
        The exit status.
    Raises:
        MetaRLError: If a name is unknown, or nothing can be drawn or written.
    """
    if dish is not None:
        base, options = split_name(family)
        family = full_name(base, {**options, "dish": dish})
    family = with_physics(family, physics)
    family_class(family)
    policy = find_policy(policy, family)
    require_source(policy not in NAMED, f"policy {policy}", map, names, statistics)
    shape = _shape(grid)
    _require_one_kind(policy, show, shape, updates, strategy, episodes)
    if web:
        _require_page_alone(show, shape, out, overwrite)
    elif (port, host) != (PORT, LOOPBACK):
        raise ConfigError("--port and --host have no effect without --web")
    episodes = (1 if shape else 3) if episodes is None else episodes
    if episodes < 1:
        raise ConfigError(f"--episodes is {episodes}; expected at least 1")
    if seed < 0:
        raise ConfigError(f"--seed is {seed}; expected an integer >= 0")
    if not web:
        out = check_film(free_name(FILM) if out is None else out, overwrite=overwrite)
    checkpoint = None
    if policy not in NAMED:
        from metarl.sources import read_source

        checkpoint = read_source(
            Path(policy), family=make_family(family), names=names, statistics=statistics
        )
        tell_taken(checkpoint, policy)
        tell_changes(checkpoint, make_family(family), strict=strict)
        if map:  # else what does not fit is refused: half a policy is not worth a film
            checkpoint, _ = fit(checkpoint, make_family(family), map, policy)
    if updates and not web:
        assert checkpoint is not None
        assert out is not None
        film_updates(
            make_family(family), checkpoint, updates, split=split, seed=seed, strategy=strategy,
            out=out,
        )  # fmt: skip
        return 0
    start = _starter(family, policy, checkpoint, split, seed)
    if web:
        from metarl.commands.web import record_episodes, record_updates, serve
        from metarl.viewer.page import require_interface

        require_interface(host)  # before episodes are run
        if updates:
            assert checkpoint is not None
            takes, title = record_updates(
                make_family(family), checkpoint, updates, split=split, seed=seed, strategy=strategy
            )
        else:
            takes, title = record_episodes(*start(1), Path(policy).name, split, episodes)
        serve(takes, title, make_family(family).film_camera, host=host, port=port)
        return 0
    before = checkpoint is not None and learns_to_adapt(checkpoint)
    if before:
        say(
            f"{Path(policy).name} was trained to adapt and has not adapted yet: this is how it"
            f" begins; metarl watch {family} --policy {policy} --updates 0 1 5 films what it becomes"
        )
    if live and shape is None and not display_answers():
        none = "the display does not answer" if has_display() else "no display"
        say(f"{none}, so no live window; the film shows the same")
    elif live and shape is None:
        show_live(*start(1), split, episodes)
    rows, columns = shape or (1, 1)
    worlds, act = start(rows * columns)
    title = f"{worlds.family.id}, {Path(policy).name}" + ", not adapted yet" * before
    assert out is not None
    if shape is None:
        results = film_episodes(worlds, act, title, split, episodes, out, eye=show is not None)
    else:
        results = film_grid(worlds, act, title, split, episodes, out, columns)
    graded = type(worlds.family).score is not TaskFamily.score
    score = f", mean score {np.mean([s for _, s in results]):.2f}" if graded else ""
    good = sum(success for success, _ in results)
    where = f"{title}, split {split}, seed {seed}"
    say(f"{good} of {len(results)} episodes succeeded{score} ({where})")
    say(f"wrote {out}")
    return 0


def _require_page_alone(
    show: str | None, shape: tuple[int, int] | None, out: Path | None, overwrite: bool
) -> None:
    """Refuse what belongs to films, where a page is asked for."""
    given = {"--show": show, "--grid": shape, "--out": out, "--overwrite": overwrite}
    for name, value in given.items():
        if value:
            raise ConfigError(f"{name} does not go with --web, which writes no film; leave one out")


def _shape(grid: str | None) -> tuple[int, int] | None:
    """Read ``ROWSxCOLUMNS``."""
    if grid is None:
        return None
    found = re.fullmatch(r"([1-9]\d?)x([1-9]\d?)", grid)
    if found is None or int(found[1]) * int(found[2]) > MOST_AT_ONCE:
        raise ConfigError(
            f"--grid is {grid}; expected ROWSxCOLUMNS, for example 3x3, at most {MOST_AT_ONCE} tasks"
        )
    return int(found[1]), int(found[2])


def _require_one_kind(
    policy: str,
    show: str | None,
    shape: tuple[int, int] | None,
    updates: Sequence[int],
    strategy: str | None,
    episodes: int | None,
) -> None:
    """Refuse kinds of film that do not go together, before anything slow starts."""
    kinds = {"--show": show, "--grid": shape, "--updates": updates}
    given = [name for name, value in kinds.items() if value]
    if len(given) > 1:
        raise ConfigError(f"{given[0]} does not go with {given[1]}; give one of them")
    if strategy is not None:
        if not updates:
            raise ConfigError("--strategy has no effect without --updates, for example 0 1 5")
        if strategy not in (known := method_names()):
            raise UnknownNameError("strategy", strategy, known)
    if not updates:
        return
    if policy in NAMED:
        raise ConfigError(f"policy {policy} does not adapt; --updates needs a checkpoint")
    if episodes is not None:
        raise ConfigError("--episodes has no effect with --updates, which films one task")
    if len(updates) > MOST_UPDATES or sorted(set(updates)) != list(updates):
        raise ConfigError(
            f"--updates is {' '.join(map(str, updates))}; expected at most {MOST_UPDATES} numbers that"
            " grow, for example 0 1 5"
        )


def _starter(
    family: str,
    policy: str,
    checkpoint: Checkpoint | None,
    split: Split,
    seed: int,
) -> Callable[[int], tuple[Worlds, Act]]:
    """Make a function that starts the same episodes anew, in so many worlds: once live, once on film."""
    from metarl.sim.kinds import make_worlds

    visible = checkpoint is not None and sees_task(checkpoint)

    def start(num_worlds: int) -> tuple[Worlds, Act]:
        worlds = make_worlds(
            make_family(family), num_worlds, seed=seed, split=split, task_visible=visible
        )
        return worlds, make_act(policy, worlds, seed, checkpoint)

    return start
