"""The pictures and the page of a transfer matrix, from its finished cells alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metarl.errors import counted
from metarl.grid.store import Store
from metarl.matrix import overview
from metarl.matrix.benchmark import Group, Matrix, read_matrix
from metarl.matrix.names import short_names
from metarl.matrix.output import COLUMNS, table, write_tables
from metarl.matrix.score import HARMED, HELPED, Score
from metarl.matrix.summary import ADAPTING, LEARNING, Level, Row, Summary, best_of, summarise
from metarl.report import settings
from metarl.report.heatmap import heatmap_png
from metarl.report.html import Report
from metarl.report.plots import Curve, curves_png
from metarl.runs.checkpoint import write_atomically
from metarl.runs.config import read_json
from metarl.runs.run import MATRIX_RESULT_FILE

_MARKS = {HELPED: 1, HARMED: -1}
_COLUMNS_ARE = {
    "source": "the policy that training starts from; (none): from nothing",
    "strategy": "what of it is taken, and what of that learns; metarl methods NAME says more",
    "exploration": "whether actions spread as in the source at first, or anew (fresh)",
    "mean return": "mean of the learning curve, over seeds",
    "last": "return in the last iteration, mean over seeds",
    "success [%]": "share of episodes that ended well, in the last iteration",
    "score": "gain over scratch, as written beneath the heat map",
    "verdict": "helped or harmed, where that is sure; control: scratch again with other noise",
}
_DRAWN = 2  # of the best arms, and of the worst
SCORE = (
    "Score: area between the return curves of an arm and of scratch with the same seed, over what"
    " lies between scratch's start and the best that anyone reached there; within [-1, 1], negative"
    " is harm. In brackets the 95% t interval over seeds. Marked are cells whose interval is wholly"
    " on one side of zero and whose mean is beyond what other noise alone brought about."
)


def transfer_report(folder: Path) -> Report:
    """Build the page of a transfer matrix or of a comparison.

    Args:
        folder: Of the matrix; its cells may be unfinished.
    Raises:
        CheckpointError: If its definition or a cell is missing or damaged.
    """
    matrix = read_matrix(folder)
    summary = summarise(matrix, Store(folder).read())
    targets = matrix.targets
    what = f"{len(targets)} targets" if len(targets) > 1 else targets[0]
    report = Report(f"What carries over to {what}", _budgets(matrix))
    words = [best_of(summary.of(x.regime, x.target), x) for x in summary.levels]
    report.text("What to start from", [*words, *_left_out(summary)])
    for regime in overview.regimes(summary):
        said, pairs = overview.overview(summary, regime)
        report.text(f"What is sure ({regime})", [said])
        if pairs:
            report.table(f"Pairs that help and harm most ({regime})", overview.COLUMNS, pairs)
    for name, png in pictures(matrix, summary):
        heading = name.replace("-", " ").capitalize()
        alt = f"Heat map of scores. {' '.join(words)} The table below has every number."
        report.picture(heading, png, caption=SCORE, alt=alt)
    for level in summary.levels:
        rows = summary.of(level.regime, level.target)
        heading = f"{level.target} ({level.regime})"
        caption = "Mean over seeds; the band holds every seed. Best and worst arms alone are drawn."
        png = arms_png(rows, level)
        alt = f"Return of scratch and of the best and worst arms on {level.target}, over the budget"
        report.picture(f"Curves: {heading}", png, caption=caption, alt=alt)
        report.table(heading, COLUMNS, table(summary, level.regime, level.target))
    report.facts("What the columns are", _COLUMNS_ARE)
    report.facts("How to run it again", _again(folder))
    return report


def _again(folder: Path) -> dict[str, object]:
    path = folder / MATRIX_RESULT_FILE
    return settings.again(read_json(path) if path.exists() else {}, folder)


def write_pictures(matrix: Matrix, summary: Summary, folder: Path) -> list[Path]:
    """Write every heat map, and the curves where there is one target.

    Raises:
        CheckpointError: If one cannot be written.
    """
    named = {f"{name}.png": png for name, png in pictures(matrix, summary)}
    if len(matrix.targets) == 1:
        for level in summary.levels:
            rows = summary.of(level.regime, level.target)
            named[f"curves-{level.regime}.png"] = arms_png(rows, level)
    for name, png in named.items():
        write_atomically(folder / name, png)
    return [folder / name for name in named]


def pictures(matrix: Matrix, summary: Summary) -> Iterator[tuple[str, bytes]]:
    """Draw heat maps, each with its name: a group by sources and targets for every strategy and
    exploration; or, where it has one target or not every pair, by pairs and arms."""
    for group in matrix.groups:
        sources, targets = (dict.fromkeys(names) for names in zip(*group.pairs))
        whole = len(group.pairs) == len(sources) * len(targets)
        for regime in (LEARNING, ADAPTING):
            arms = _arms(group, regime)
            if len(targets) == 1 or not whole:
                yield from _picture_of_arms(group, summary, regime, arms)
            else:
                for strategy, exploration in arms:
                    yield from _picture(group, summary, regime, strategy, exploration)


def _arms(group: Group, regime: str) -> list[tuple[str, str]]:
    """Strategies and explorations that meet; adaptation has no exploration."""
    explorations = group.explorations if regime == LEARNING else ("",)
    return list(itertools.product(group.strategies, explorations))


def _words(*explorations: str) -> str:
    if "" in explorations:
        return "hidden tasks, few updates"
    return f"{' and '.join(explorations)} exploration"


def _picture(
    group: Group, summary: Summary, regime: str, strategy: str, exploration: str
) -> Iterator[tuple[str, bytes]]:
    found = {
        (row.source, row.target): row.score
        for row in summary.of(regime)
        if (row.strategy, row.exploration) == (strategy, exploration)
    }
    sources, targets = (list(dict.fromkeys(names)) for names in zip(*group.pairs))
    if not any(pair in found for pair in group.pairs):
        return
    noise = {x.target: Score(x.noise) for x in summary.levels if x.regime == regime and x.noise}
    scores = [[found.get((source, target)) for target in targets] for source in sources]
    png = _heatmap(
        [*scores, [noise.get(target) for target in targets]],
        [*short_names(sources), "scratch, other noise"],
        short_names(targets),
        title=f"{group.name}: {strategy}, {_words(exploration)}",
        apart=1,
        row_name="source",
        col_name="target",
    )
    yield "-".join(filter(None, (group.name, regime, strategy, exploration))), png


def _picture_of_arms(
    group: Group, summary: Summary, regime: str, arms: Sequence[tuple[str, str]]
) -> Iterator[tuple[str, bytes]]:
    found = {
        (row.source, row.target, row.strategy, row.exploration): row.score
        for row in summary.of(regime)
    }
    scores = [[found.get((*pair, *arm)) for arm in arms] for pair in group.pairs]
    if not any(score for row in scores for score in row):
        return
    targets = list(dict.fromkeys(target for _, target in group.pairs))
    explored = list(dict.fromkeys(exploration for _, exploration in arms))
    names = short_names([source for source, _ in group.pairs])
    if len(targets) > 1:
        ends = dict(zip(targets, short_names(targets)))
        names = [f"{name} → {ends[target]}" for name, (_, target) in zip(names, group.pairs)]
    png = _heatmap(
        scores,
        names,
        [" ".join(arm).strip() for arm in arms] if len(explored) > 1 else [arm[0] for arm in arms],
        title=f"{group.name}: {targets[0] if len(targets) == 1 else _words(*explored)}",
        apart=0,
        row_name="source" if len(targets) == 1 else "source → target",
        col_name="strategy" if len(explored) == 1 else "strategy, exploration",
    )
    yield f"{group.name}-{regime}", png


def _heatmap(
    scores: Sequence[Sequence[Score | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    title: str,
    apart: int,
    row_name: str,
    col_name: str,
) -> bytes:
    """Draw scores; the last rows, which stand apart, are marked in no way."""
    marks = _table(scores, lambda score: _MARKS.get(score.verdict, 0), 0)
    marks[len(scores) - apart :] = 0
    return heatmap_png(
        _table(scores, lambda score: score.mean), rows, columns, title=title, diverging=True,
        intervals=_table(scores, lambda s: (s.interval.low, s.interval.high), (np.nan, np.nan)),
        marks=marks, reach=1.0, apart=apart, row_name=row_name, col_name=col_name,
    )  # fmt: skip


def _table(
    scores: Sequence[Sequence[Score | None]], number: Callable[[Score], Any], empty: Any = np.nan
) -> np.ndarray:
    return np.array([[empty if s is None else number(s) for s in row] for row in scores], float)


def arms_png(rows: Sequence[Row], level: Level) -> bytes:
    """Draw the learning curves of the best and the worst arms beside scratch, as a PNG."""
    ranked = sorted(rows, key=lambda row: -np.nan_to_num(row.score.mean))
    shown = ranked if len(ranked) <= 2 * _DRAWN else [*ranked[:_DRAWN], *ranked[-_DRAWN:]]
    drawn = [_curve("scratch", [np.array(curve) for curve in level.curves.values()])]
    sources = [*dict.fromkeys(row.source for row in rows)]
    short = dict(zip(sources, short_names(sources)))
    for row in shown:
        name = " ".join(filter(None, (short[row.source], row.strategy, row.exploration)))
        drawn.append(_curve(name, [np.array(curve) for curve in row.curves]))
    unit = "iterations" if level.regime == LEARNING else "updates"
    return curves_png(drawn, title=level.target, xlabel=unit, ylabel="return")


def _curve(name: str, curves: Sequence[np.ndarray]) -> Curve:
    each = np.stack(curves)  # (S, I)
    return Curve(name, np.arange(each.shape[1]), each.mean(0), each.min(0), each.max(0))


def _budgets(matrix: Matrix) -> str:
    seeds = counted(matrix.num_seeds, "seed")
    each = dict.fromkeys(str(matrix.budget_of(target).iterations) for target in matrix.targets)
    return f"PPO, {' or '.join(each)} iterations, {seeds}"


def _left_out(summary: Summary) -> list[str]:
    lines = [f"{source} to {target} is left out: {why}" for source, target, why in summary.left_out]
    if summary.missing:
        lines.append(
            f"{counted(summary.missing, 'cell')} not finished yet: what stands here is without."
        )
    return lines


def write_results(folder: Path, command: str) -> list[Path]:
    """Write everything that is made of a matrix's finished cells: tables, pictures, page.

    Args:
        folder: Of the matrix.
        command: The command line that asked for it.
    Returns:
        The files.
    Raises:
        CheckpointError: If its definition or a cell is missing or damaged, or a file cannot be
            written.
    """
    matrix = read_matrix(folder)
    summary = summarise(matrix, Store(folder).read())
    tables = write_tables(matrix, summary, folder, command)
    page = transfer_report(folder).write(folder / "report.html")
    return [*tables, *write_pictures(matrix, summary, folder), page]
