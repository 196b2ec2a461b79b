"""What came of each trial: the mean of its seeds, with an interval; best first."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from metarl.adapt.statistics import Estimate, estimate
from metarl.errors import CheckpointError
from metarl.grid.store import Record
from metarl.tune.cells import FAILED, Attempt
from metarl.tune.search import Search

USUAL = 0  # the trial of the method's own settings


@dataclasses.dataclass(frozen=True)
class Trial:
    """Settings, and what they came to.

    Args:
        number: Counted from `USUAL`, the method's own settings.
        settings: What was tried, by field.
        reached: What each seed reached on average over the tasks; () while it is under way or failed.
        value: Their mean with its interval; None likewise.
        failed: Why there is none; "": it is under way, or there is one.
        steps: Control steps of its trainings.
        seconds: Time of its trainings [s].
    """

    number: int
    settings: Mapping[str, Any]
    reached: tuple[float, ...] = ()
    value: Estimate | None = None
    failed: str = ""
    steps: int = 0
    seconds: float = 0.0


def attempts(search: Search, number: int, tried: Mapping[str, Any]) -> list[Attempt]:
    """The cells of a trial, one for each seed."""
    return [
        Attempt(
            trial=number, family=search.family, method=search.method, iterations=search.iterations,
            tried=tried, settings=search.settings, seed=seed, protocol=search.protocol,
            start=search.start,
        )
        for seed in search.training_seeds
    ]  # fmt: skip


def settings_of(records: Mapping[str, Record]) -> dict[int, Mapping[str, Any]]:
    """What was tried in trials that have a finished cell, by number.

    Raises:
        CheckpointError: If a cell is none of a search.
    """
    try:
        return {int(record.cell["trial"]): record.cell["tried"] for record in records.values()}
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"a finished cell is damaged: {error!r}") from error


def trial_of(
    search: Search,
    number: int,
    tried: Mapping[str, Any],
    records: Mapping[str, Record],
    failed: Mapping[str, str],
) -> Trial:
    """Say what came of a trial.

    Args:
        search: Its search.
        number: Which.
        tried: Its settings.
        records: Finished cells, by key.
        failed: Why others failed, by key.
    Raises:
        CheckpointError: If a cell's result is none of a trial.
    """
    cells = attempts(search, number, tried)
    there = [records[cell.key].result for cell in cells if cell.key in records]
    why = [str(result[FAILED]) for result in there if FAILED in result]
    why += [failed[cell.key] for cell in cells if cell.key in failed]
    if why:
        return Trial(number, tried, failed=why[0])
    if len(there) < len(cells):
        return Trial(number, tried)
    try:
        scores = np.array([result[search.metric] for result in there], float)  # (S, K)
        return Trial(
            number, tried, tuple(scores.mean(axis=1).tolist()),
            estimate(scores, np.random.default_rng(0)),
            steps=sum(result["steps"] for result in there),
            seconds=sum(result["seconds"] for result in there),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{cells[0].key} is damaged: {error!r}; delete it") from error


@dataclasses.dataclass(frozen=True)
class Tuned:
    """All that is known of a search.

    Args:
        search: Its definition.
        trials: In the order in which they were tried; those under way are left out.
    """

    search: Search
    trials: tuple[Trial, ...]

    @property
    def ranked(self) -> list[Trial]:
        """The trials, best first; of equals the earlier one; those that failed at the end."""
        done = [trial for trial in self.trials if trial.value is not None]
        return sorted(done, key=_order) + [t for t in self.trials if t.value is None]

    @property
    def best(self) -> Trial | None:
        """The best trial; None: none was finished."""
        return next((trial for trial in self.ranked if trial.value is not None), None)

    @property
    def usual(self) -> Trial | None:
        """The trial of the method's own settings; None: it is not finished, or failed."""
        return next((t for t in self.trials if t.number == USUAL and t.value is not None), None)

    @property
    def failed(self) -> list[Trial]:
        """The trials that failed."""
        return [trial for trial in self.trials if trial.failed]


def _order(trial: Trial) -> tuple[float, int]:
    assert trial.value is not None
    return -trial.value.mean, trial.number


def tuned(
    search: Search,
    records: Mapping[str, Record],
    failed: Mapping[str, str] | None = None,
    tried: Mapping[int, Mapping[str, Any]] | None = None,
) -> Tuned:
    """Say what is known of a search.

    Args:
        search: Its definition.
        records: Finished cells, by key.
        failed: Why others failed, by key.
        tried: Settings of trials of which perhaps no cell is finished, by number.
    Raises:
        CheckpointError: If a cell is none of a search.
    """
    known, failed = {**settings_of(records), **(tried or {})}, failed or {}
    made = (trial_of(search, n, known[n], records, failed) for n in sorted(known))
    return Tuned(search, tuple(t for t in made if t.value is not None or t.failed))


def values_told(trials: Sequence[Trial]) -> Iterator[float | None]:
    """What the search is told of each trial: one that failed counts as bad as the worst, so that its
    neighbours are left alone; None: it is under way, or failed while none was finished."""
    means = [trial.value.mean for trial in trials if trial.value is not None]
    for trial in trials:
        if trial.value is not None:
            yield trial.value.mean
        else:
            yield min(means) if trial.failed and means else None
