"""What the finished cells of a transfer matrix say: a row an arm, and what each is held against."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metarl.errors import CheckpointError
from metarl.grid.cell import Cell
from metarl.grid.store import Record
from metarl.matrix.benchmark import Matrix
from metarl.matrix.cells import LEFT_OUT, NOISE, Adapting, Learning
from metarl.matrix.score import NOTHING, Score, ahead, area_score, signed

LEARNING, ADAPTING = "learning", "adapting"


@dataclasses.dataclass(frozen=True)
class Level:
    """What a target's arms are held against.

    Args:
        regime: Learning with the task in view, or adapting to hidden tasks.
        target: The family.
        first: Return of scratch at its start, mean over seeds.
        best: The best return that any arm reached there.
        curves: Return of scratch in each iteration or after each update, one curve a seed.
        success: Success likewise.
        noise: Score of each seed's control arm: scratch again, with other noise.
        steps: Control steps of the budget.
    """

    regime: str
    target: str
    first: float
    best: float
    curves: Mapping[int, Sequence[float]]
    success: Mapping[int, Sequence[float]]
    noise: tuple[float, ...]
    steps: int

    @property
    def reach(self) -> float:
        """The largest score, in size, that noise alone brought about; NaN: unknown."""
        return max(map(abs, self.noise)) if self.noise else math.nan


@dataclasses.dataclass(frozen=True)
class Row:
    """One arm on one target, over its seeds.

    Args:
        regime: As of `Level`.
        source: Its name.
        target: The family.
        strategy: How it starts, and what of it learns.
        exploration: Whose spread of actions it begins with; empty in adaptation.
        seeds: The seeds that are finished.
        score: Theirs, against scratch of the same seed.
        curves: Return, a curve a seed.
        success: Success likewise.
    """

    regime: str
    source: str
    target: str
    strategy: str
    exploration: str
    seeds: tuple[int, ...]
    score: Score
    curves: tuple[tuple[float, ...], ...]
    success: tuple[tuple[float, ...], ...]

    @property
    def name(self) -> str:
        """How it is called beside others of its target."""
        return " ".join(filter(None, (self.strategy, self.exploration, "from", self.source)))


@dataclasses.dataclass(frozen=True)
class Summary:
    """All that the finished cells say.

    Args:
        levels: One a target and regime.
        rows: One an arm.
        left_out: Pairs that cannot be, with the reason, each once.
        missing: How many cells are not finished.
    """

    levels: tuple[Level, ...]
    rows: tuple[Row, ...]
    left_out: tuple[tuple[str, str, str], ...]
    missing: int

    def level(self, row: Row) -> Level:
        """What a row is held against."""
        return next(x for x in self.levels if (x.regime, x.target) == (row.regime, row.target))

    def of(self, regime: str, target: str | None = None) -> list[Row]:
        """The rows of a regime, and of a target, if one is given."""
        return [r for r in self.rows if r.regime == regime and target in (None, r.target)]


def summarise(matrix: Matrix, records: Mapping[str, Record]) -> Summary:
    """Summarise what is finished of a matrix.

    Args:
        matrix: Its definition.
        records: Finished cells, by key.
    Raises:
        CheckpointError: If a cell's result is none of a training or of an adaptation.
    """
    try:
        results = {key: _Result.read(record.result) for key, record in records.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"a finished cell is damaged: {type(error).__name__} {error}"
        ) from error
    cells, seeds = matrix.cells(), range(matrix.num_seeds)
    arms: dict[tuple[str, str, str, str, str], dict[int, str]] = {}
    scratch: dict[tuple[str, str], dict[int, tuple[str, str]]] = {}
    for seed in seeds:
        for target in matrix.targets:
            one, other = matrix.scratch(target, seed), matrix.scratch(target, seed, NOISE)
            scratch.setdefault((LEARNING, target), {})[seed] = one.key, other.key
            if levels := matrix.adapting_levels(target, seed):
                scratch.setdefault((ADAPTING, target), {})[seed] = levels[0].key, levels[1].key
        for _, source, arm in matrix.arms(seed):
            place = (LEARNING, source, arm.family, arm.strategy, str(arm.exploration))
            arms.setdefault(place, {})[seed] = arm.key
        for source, met in matrix.adaptations(seed):
            arms.setdefault((ADAPTING, source, met.family, met.strategy, ""), {})[seed] = met.key
    bests = _bests(cells, results)
    levels_of = {
        place: _level(place, keys, results, bests[place])
        for place, keys in scratch.items()
        if any(one in results for one, _ in keys.values())
    }
    rows = [
        _row(place, keys, results, levels_of[place[0], place[2]])
        for place, keys in arms.items()
        if (place[0], place[2]) in levels_of
    ]
    left = {
        (place[1], place[2], results[key].left_out): None
        for place, keys in arms.items()
        for key in keys.values()
        if key in results and results[key].left_out
    }
    missing = sum(cell.key not in records for cell in {c.key: c for c in cells}.values())
    return Summary(
        tuple(levels_of.values()), tuple(row for row in rows if row), tuple(left), missing
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Result:
    """A cell's result: a number an iteration, or the mean over tasks after each update."""

    curve: tuple[float, ...] = ()
    success: tuple[float, ...] = ()
    steps: int = 0
    left_out: str = ""

    @classmethod
    def read(cls, saved: Mapping[str, Any]) -> _Result:
        if LEFT_OUT in saved:
            return cls(left_out=str(saved[LEFT_OUT]))
        curves = []
        for name in ("return", "success"):
            table = np.array(saved[name], float)
            curve = table.mean(axis=1) if table.ndim == 2 else table  # over tasks
            if curve.ndim != 1 or not curve.size or not np.isfinite(curve).all():
                raise ValueError(f"{name} has the shape {table.shape}, or is not finite")
            curves.append(tuple(curve.tolist()))
        return cls(curves[0], curves[1], int(saved["steps"]))


def _bests(cells: Sequence[Cell], results: Mapping[str, _Result]) -> dict[tuple[str, str], float]:
    """The best return that anyone reached on each target, trainings of sources among them."""
    found: dict[tuple[str, str], float] = {}
    every = [*cells, *(needed for cell in cells for needed in cell.needs())]
    for cell in every:
        result = results.get(cell.key)
        if result is not None and result.curve and isinstance(cell, Learning | Adapting):
            place = (LEARNING if isinstance(cell, Learning) else ADAPTING, cell.family)
            found[place] = max(found.get(place, -math.inf), *result.curve)
    return found


def _level(
    place: tuple[str, str],
    keys: Mapping[int, tuple[str, str]],
    results: Mapping[str, _Result],
    best: float,
) -> Level:
    there = {seed: results[one] for seed, (one, _) in keys.items() if one in results}
    first = float(np.mean([result.curve[0] for result in there.values()]))
    noise = tuple(
        area_score(_array(results[keys[seed][1]]), _array(result), best, first)
        for seed, result in there.items()
        if keys[seed][1] in results
    )
    return Level(
        *place, first, best,
        {seed: result.curve for seed, result in there.items()},
        {seed: result.success for seed, result in there.items()},
        tuple(score for score in noise if not math.isnan(score)),
        next(iter(there.values())).steps,
    )  # fmt: skip


def _row(
    place: tuple[str, str, str, str, str],
    keys: Mapping[int, str],
    results: Mapping[str, _Result],
    level: Level,
) -> Row | None:
    there = {
        seed: results[key]
        for seed, key in keys.items()
        if key in results and seed in level.curves and not results[key].left_out
    }
    if not there:
        return None
    each = tuple(
        area_score(_array(result), np.array(level.curves[seed]), level.best, level.first)
        for seed, result in there.items()
    )
    return Row(
        *place, tuple(there), Score(each, level.reach),
        tuple(result.curve for result in there.values()),
        tuple(result.success for result in there.values()),
    )  # fmt: skip


def _array(result: _Result) -> np.ndarray:
    return np.array(result.curve)


def best_of(rows: Sequence[Row], level: Level) -> str:
    """Say in one sentence which arm of a target is best, and by how much it is ahead of the next.

    Args:
        rows: Of one target and regime.
        level: What they are held against; scratch is one of the candidates.
    """
    seeds = tuple(level.curves)
    ranked = [("scratch", dict.fromkeys(seeds, 0.0))]
    ranked += [(row.name, dict(zip(row.seeds, row.score.each))) for row in rows]
    ranked = [(name, each) for name, each in ranked if np.isfinite(list(each.values())).all()]
    ranked.sort(key=lambda pair: -float(np.mean(list(pair[1].values()))))
    if len(ranked) < 2:
        return "Nothing can be compared: nobody got better there than scratch was at its start."
    (name, mine), (second, others) = ranked[:2]
    both = [seed for seed in mine if seed in others]
    score = float(np.mean(list(mine.values())))
    regime = "" if level.regime == LEARNING else f" ({level.regime})"
    said = f"Best on {level.target}{regime}: {name}, score {signed(score)}"
    if not both:
        return f"{said}; {second} has no seed in common with it."
    first, other = ([each[seed] for seed in both] for each in (mine, others))
    gap, around = float(np.mean(np.subtract(first, other))), ahead(first, other)
    said += f"; ahead of the next, {second}, by {signed(gap)}"
    if math.isnan(around.low):
        return f"{said} with one seed: {NOTHING}."
    said += f" [{signed(around.low)}, {signed(around.high)}]"
    return f"{said}." if around.low > 0.0 else f"{said}: no sure difference."
