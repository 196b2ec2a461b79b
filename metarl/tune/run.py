"""Run a search: trial after trial, and on where it was stopped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from metarl.benchmark.given import Found, keep_given
from metarl.grid.families import require_same_families
from metarl.grid.plan import plan
from metarl.grid.run import run_cells
from metarl.grid.store import Record, Store
from metarl.grid.workers import Workers
from metarl.methods import defaults_of, get_training, training_config
from metarl.tune import output
from metarl.tune.cells import Attempt
from metarl.tune.propose import Told, propose
from metarl.tune.search import STARTUP, Search, keep_search, require_same_search
from metarl.tune.space import holds, size_of, usual_settings
from metarl.tune.trials import (
    USUAL,
    Trial,
    Tuned,
    attempts,
    settings_of,
    trial_of,
    tuned,
    values_told,
)


def run_search(
    search: Search,
    store: Store,
    *,
    trials: int,
    given: Mapping[tuple[str, str], Found] | None = None,
    workers: Workers | None = None,
    console: Console | None = None,
) -> Tuned:
    """Run what is missing of a search.

    Args:
        search: What is searched.
        store: Where its trials are kept.
        trials: How many in all; those that are finished count.
        given: The policy that trainings start from, where there is one.
        workers: Who runs trainings; None: a process a core.
        console: Where progress is told; None: on stderr.
    Returns:
        What is known then.
    Raises:
        ConfigError: If the folder holds another search, another process writes to it, or the family has
            changed.
        CheckpointError: If something cannot be written, or is damaged.
        Stopped: After a signal; at most the trainings that were under way go back to their last
            checkpoints.
    """
    console = console or Console(stderr=True)
    require_same_search(search, store.folder)
    known = store.read()
    trying = _Trying(search, num_trials(search, trials), known, console)
    first = trying(known, {})
    plan(first, known, store.folder)  # refuses before anything is written
    require_same_families([search.family], store.folder)
    store.prepare()
    keep_search(search, store.folder)
    if given:
        keep_given(given, store.folder)
    done = run_cells(
        first, store, workers=workers, console=console, more=trying,
        total=trying.count * search.seeds, things="trainings",
    )  # fmt: skip
    return tuned(search, {**known, **done.records}, done.failed, trying.tried)


def num_trials(search: Search, asked: int) -> int:
    """How many trials there are: as many as are asked for, or as many as there are different settings."""
    size = size_of(search.space)
    if math.isinf(size):
        return asked
    outside = not holds(search.space, usual_of(search))
    return min(asked, int(size) + outside)


def usual_of(search: Search) -> dict[str, Any]:
    """The method's own values of what is searched."""
    usual = {**defaults_of(get_training(search.method)), **search.settings}
    return usual_settings(search.space, usual, training_config(search.method))


class _Trying:
    """Gives the cells of the next trials, as soon as what they depend on is known.

    A trial is proposed from those before it that have ended when it may begin at the latest: which these
    are depends on its number alone, not on which process was faster. The first ones depend on none.
    """

    def __init__(self, search: Search, count: int, known: Mapping[str, Record], console: Console):
        self.search, self.count, self.console = search, count, console
        self.tried: dict[int, Mapping[str, Any]] = {}
        self._before, self._usual = settings_of(known), usual_of(search)
        self._ended: dict[int, Trial] = {}
        done = tuned(search, known)
        self._said = {trial.number for trial in done.trials}
        self._best = done.best

    def __call__(self, records: Mapping[str, Record], failed: Mapping[str, str]) -> list[Attempt]:
        """Give the cells of trials that may begin now and were not given before."""
        self._say(records, failed)
        cells = list[Attempt]()
        while len(self.tried) < self.count:
            number = len(self.tried)
            told = self._told(number, records, failed)
            if told is None:
                break
            self.tried[number] = self._settings(number, told)
            cells += attempts(self.search, number, self.tried[number])
        return cells

    def _told(
        self, number: int, records: Mapping[str, Record], failed: Mapping[str, str]
    ) -> list[Told] | None:
        """What a trial may know of those before it; None: it has to wait."""
        ended = max(0, number - self.search.together + 1) if number >= STARTUP else 0
        trials = [self._trial(n, records, failed) for n in range(ended)]
        if any(trial.value is None and not trial.failed for trial in trials):
            return None
        told = list[Told](zip((t.settings for t in trials), values_told(trials)))
        return told + [(self.tried[n], None) for n in range(ended, number)]

    def _settings(self, number: int, told: list[Told]) -> Mapping[str, Any]:
        if number in self._before:  # what was run is not proposed anew, also by another Optuna
            return self._before[number]
        if number == USUAL:
            return self._usual
        return propose(self.search.space, told, seed=self.search.seed, number=number)

    def _trial(
        self, number: int, records: Mapping[str, Record], failed: Mapping[str, str]
    ) -> Trial:
        """What came of a trial; of one that has ended it is worked out once."""
        if number not in self._ended:
            trial = trial_of(self.search, number, self.tried[number], records, failed)
            if trial.value is None and not trial.failed:
                return trial
            self._ended[number] = trial
        return self._ended[number]

    def _say(self, records: Mapping[str, Record], failed: Mapping[str, str]) -> None:
        """Tell trials that have ended."""
        for number in sorted(self.tried.keys() - self._said):
            trial = self._trial(number, records, failed)
            if trial.value is None and not trial.failed:
                continue
            self._said.add(number)
            self._best = Tuned(self.search, tuple(filter(None, (self._best, trial)))).best
            line = output.line(trial, self._best, self.search)
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)
