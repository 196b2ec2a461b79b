"""What the finished cells of a benchmark say: a row an arm, in a table a family."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metarl.adapt.protocol import held_out_tasks
from metarl.adapt.results import AdaptationResult, Outcome
from metarl.adapt.statistics import Estimate, estimate
from metarl.benchmark.cells import Meeting
from metarl.benchmark.design import CEILING, Arm, Benchmark, Table
from metarl.benchmark.sections import Metric
from metarl.errors import CheckpointError, MetaRLError
from metarl.family import TaskFamily
from metarl.grid.cell import with_needs
from metarl.grid.store import Record
from metarl.registry import family_class, make_family

BLIND = "blind"


@dataclasses.dataclass(frozen=True)
class Row:
    """One arm on one table, over its seeds.

    Args:
        name: How it is called there.
        arm: Its definition; None: the start without updates.
        seeds: The trainings that are finished; None for what stands on a checkpoint that was given.
        after: The estimate after each update, the first before any.
        steps: Control steps of adapting, all tasks together.
        seconds: Wall time of adapting [s], mean over seeds.
        training_steps: Control steps of all training that came before, mean over seeds.
        training_seconds: Likewise [s].
        diverged: Episodes that physics ended.
        by_kind: The estimate after the last update, of each kind of task alone.
    """

    name: str
    arm: Arm | None
    seeds: tuple[int | None, ...]
    after: tuple[Estimate, ...]
    steps: int = 0
    seconds: float = 0.0
    training_steps: float = 0.0
    training_seconds: float = 0.0
    diverged: int = 0
    by_kind: Mapping[str, Estimate] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Result:
    """What is known of a table.

    Args:
        table: Its definition.
        metric: What is judged.
        rows: One an arm that has a finished cell, then the start without updates.
        num_done: Finished cells.
        num_cells: Of all.
        kinds: How many of the tasks are of each kind, where there are several.
    """

    table: Table
    metric: Metric
    rows: tuple[Row, ...]
    num_done: int
    num_cells: int
    kinds: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def row(self, name: str) -> Row | None:
        """Look a row up."""
        return next((row for row in self.rows if row.name == name), None)

    @property
    def noise(self) -> float | None:
        """By how much at most a control arm ended away from what it repeats; None: not known."""
        gaps = []
        for row in self.rows:
            twin = self.row(row.arm.repeats) if row.arm is not None and row.arm.repeats else None
            if twin is not None:
                gaps.append(abs(row.after[-1].mean - twin.after[-1].mean))
        return max(gaps) if gaps else None


@dataclasses.dataclass(frozen=True)
class Summary:
    """All that the finished cells say.

    Args:
        benchmark: Its definition.
        results: What is known of each table that has a finished cell.
        missing: How many cells are not finished, trainings among them.
    """

    benchmark: Benchmark
    results: tuple[Result, ...]
    missing: int


def summarise(benchmark: Benchmark, records: Mapping[str, Record]) -> Summary:
    """Summarise what is finished of a benchmark.

    Args:
        benchmark: Its definition.
        records: Finished cells, by key.
    Raises:
        CheckpointError: If a cell's result is none of a meeting.
    """
    every = with_needs(benchmark.cells())
    try:
        found = [_result(benchmark, table, records) for table in benchmark.tables]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"a finished cell is damaged: {type(error).__name__} {error}"
        ) from error
    missing = sum(cell.key not in records for cell in every)
    return Summary(benchmark, tuple(result for result in found if result.rows), missing)


def _result(benchmark: Benchmark, table: Table, records: Mapping[str, Record]) -> Result:
    cells = {arm.name: benchmark.meetings(table, arm) for arm in table.arms}
    levels = benchmark.ceilings(table)
    met = {name: _finished(mine, records) for name, mine in cells.items()}
    results = {
        arm.name: [
            AdaptationResult.from_json(dict(record.result["results"][arm.method]))
            for record in met[arm.name].values()
        ]
        for arm in table.arms
    }
    metric = table.metric or _metric([r for mine in results.values() for r in mine])
    kinds = _kinds(table)
    rows = [
        _row(arm, metric, met[arm.name], results[arm.name], cells[arm.name], kinds)
        for arm in table.arms
        if results[arm.name]
    ]
    rows += _levels(metric, _finished(levels, records), levels, kinds)
    every = [cell for mine in (*cells.values(), levels) for cell in mine.values()]
    done = sum(cell.key in records for cell in every)
    counts = {kind: len(where) for kind, where in kinds.items()}
    return Result(table, metric, tuple(rows), done, len(every), counts)


def _kinds(table: Table) -> dict[str, np.ndarray]:
    """Which of a table's tasks are of each kind; {}: all are of one, or their family is not here."""
    try:
        if family_class(table.family).kinds is TaskFamily.kinds:
            return {}  # some are costly to make
        family = make_family(table.family)
        names = np.array(family.kinds(held_out_tasks(family, table.protocol)))
    except MetaRLError:
        return {}
    found = {str(kind): np.flatnonzero(names == kind) for kind in dict.fromkeys(names)}
    return found if len(found) > 1 else {}


def _finished(cells: Mapping[int, Meeting], records: Mapping[str, Record]) -> dict[int, Record]:
    return {seed: records[cell.key] for seed, cell in cells.items() if cell.key in records}


def _metric(results: Sequence[AdaptationResult]) -> Metric:
    """Score where it is finer than success, return where nobody ever succeeds."""
    if any(not np.array_equal(result.score, result.success) for result in results):
        return "score"
    return "success" if any(result.success.any() for result in results) else "returns"


def _row(
    arm: Arm,
    metric: Metric,
    records: Mapping[int, Record],
    results: Sequence[AdaptationResult],
    cells: Mapping[int, Meeting],
    kinds: Mapping[str, np.ndarray],
) -> Row:
    scores = np.stack([getattr(result, metric) for result in results])  # (S, U+1, K)
    costs = [cost for r in records.values() for cost in r.result["training"].values()]
    count = len(results)
    return Row(
        name=arm.label,
        arm=arm,
        seeds=_seeds(records, cells),
        after=_estimates(scores),
        steps=results[0].steps,
        seconds=float(np.mean([result.seconds for result in results])),
        training_steps=sum(cost["steps"] for cost in costs) / count,
        training_seconds=sum(cost["seconds"] for cost in costs) / count,
        diverged=sum(result.diverged for result in results),
        by_kind=_by_kind(scores, kinds),
    )


def _levels(
    metric: Metric,
    records: Mapping[int, Record],
    cells: Mapping[int, Meeting],
    kinds: Mapping[str, np.ndarray],
) -> list[Row]:
    """The start without updates: the task hidden, and in view."""
    rows = []
    for name in (BLIND, CEILING):
        there = [r.result["levels"][name] for r in records.values() if name in r.result["levels"]]
        if there:
            outcomes = [
                Outcome(**{k: np.asarray(v, float) for k, v in one.items()}) for one in there
            ]
            scores = np.stack([getattr(outcome, metric) for outcome in outcomes])[:, None]
            by_kind = _by_kind(scores, kinds)
            rows.append(
                Row(name, None, _seeds(records, cells), _estimates(scores), by_kind=by_kind)
            )
    return rows


def _estimates(scores: np.ndarray) -> tuple[Estimate, ...]:
    """Estimate after each update; intervals depend on no other row."""
    rng = np.random.default_rng(0)
    return tuple(estimate(scores[:, u], rng) for u in range(scores.shape[1]))


def _by_kind(scores: np.ndarray, kinds: Mapping[str, np.ndarray]) -> dict[str, Estimate]:
    """Estimate after the last update, of some tasks alone; scores (S, U+1, K)."""
    rng = np.random.default_rng(0)
    return {kind: estimate(scores[:, -1, where], rng) for kind, where in kinds.items()}


def _seeds(records: Mapping[int, Record], cells: Mapping[int, Meeting]) -> tuple[int | None, ...]:
    return tuple(seed if cells[seed].seeded else None for seed in records)


def to_json(summary: Summary) -> dict[str, Any]:
    """Give everything as JSON values."""
    return {
        "title": summary.benchmark.title,
        "tables": [_result_json(result) for result in summary.results],
        "missing": summary.missing,
        "without": list(summary.benchmark.without),
    }


def _result_json(result: Result) -> dict[str, Any]:
    return {
        "table": result.table.name,
        "family": result.table.family,
        "protocol": dataclasses.asdict(result.table.protocol),
        "metric": result.metric,
        "noise": result.noise,
        "finished": result.num_done,
        "cells": result.num_cells,
        "kinds": dict(result.kinds),
        "rows": [_row_json(row) for row in result.rows],
    }


def _row_json(row: Row) -> dict[str, Any]:
    said = {k: v for k, v in dataclasses.asdict(row).items() if k not in ("arm", "name")}
    arm = row.arm
    about = {} if arm is None else {"arm": arm.name, "method": arm.method, "added": arm.added}
    return {"row": row.name, **about, **said}
