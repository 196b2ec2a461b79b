"""The pictures and the page of a benchmark, from its finished cells alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from metarl.adapt.comparison import UNITS
from metarl.benchmark import output
from metarl.benchmark.cells import Training
from metarl.benchmark.design import CEILING, Arm, Benchmark, Checkpoints, StartOf, Table
from metarl.benchmark.run import read_benchmark
from metarl.benchmark.summary import BLIND, Result, Row, Summary, summarise
from metarl.errors import MetaRLError, counted
from metarl.grid.cell import with_needs
from metarl.grid.store import Store
from metarl.methods import get_method
from metarl.names import slug
from metarl.report.html import Report
from metarl.report.plots import Curve, curves_png
from metarl.report.settings import again
from metarl.runs.checkpoint import write_atomically
from metarl.runs.config import read_json
from metarl.runs.run import BENCHMARK_FILE, BENCHMARK_RESULT_FILE

_BAND = "Mean over seeds and tasks after each update; the band is its 95% interval."
_ASKED = (
    "table", "family", "starts from", "seeds", "tasks", "updates", "episodes an update", "judged by",
)  # fmt: skip
_LEVELS = {
    BLIND: "what arms start from, no update made, the task hidden",
    CEILING: "what arms start from, no update made, the task in view",
}
_ARMS = ("arm", "what it is", "trained for", "settings", "in")


def benchmark_report(folder: Path) -> Report:
    """Build the page of a benchmark.

    Args:
        folder: Of the benchmark; its cells may be unfinished.
    Raises:
        CheckpointError: If its file or a cell is missing or damaged.
    """
    benchmark = read_benchmark(folder)
    summary = summarise(benchmark, Store(folder).read())
    report = Report(benchmark.title, _size(benchmark))
    about = [line for line in benchmark.about.split("\n\n") if line.strip()]
    if summary.missing:
        about.append(output.unfinished(summary))
    report.text("What is asked", [line for line in (*about, output.beside(summary)) if line])
    _add_asked(report, benchmark.tables)
    if summary.results:
        columns, rows = output.short(summary)
        report.table("In short", columns, _dashed(rows))
    for result in summary.results:
        _add_result(report, result)
    words = (output.ABOUT_ROWS, output.ABOUT_CONTROL, output.ABOUT_LEVELS, output.ABOUT_COST)
    report.text("How to read it", [line.replace("`", "") for line in words])
    report.table("What each name means", _ARMS, list(_arms(benchmark)))
    if trained := _trainings(benchmark):
        report.text("What was trained, by hand (other seeds likewise)", trained)
    report.facts("How to run it again", _again(folder))
    return report


def _add_result(report: Report, result: Result) -> None:
    name = result.table.name
    caption = " ".join((output.budget(result), _BAND, *output.sentences(result)))
    report.picture(f"{name}: curves", curves(result), caption=caption, alt=_alt(result))
    columns, rows = output.columns(result), output.table(result)
    told = [i for i, column in enumerate(columns) if column not in output.COST]
    cost = [i for i, column in enumerate(columns) if column in ("arm", *output.COST)]
    for heading, chosen in (
        (output.heading(result), told),
        (f"{name}: what it took", cost),
    ):
        cells = [[row[i] for i in chosen] for row in rows]
        report.table(heading, [columns[i] for i in chosen], _dashed(cells))
    if result.kinds:
        heads, each = output.kinds(result)
        report.table(f"{output.heading(result)}, {output.by_kind(result)}", heads, _dashed(each))


def _alt(result: Result) -> str:
    """What the curves show, in words."""
    last = result.table.protocol.updates
    ends = ", ".join(
        f"{row.name} {output.number(row.after[-1].mean, result.metric)}"
        for row in result.rows
        if row.arm is not None
    )
    return f"{output.heading(result)}, a line an arm over {counted(last, 'update')}; at the end: {ends}"


def _dashed(rows: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """Let what is empty be a dash, so that columns of numbers are such."""
    return [[cell or None for cell in row] for row in rows]


def curves(result: Result) -> bytes:
    """Draw a table's arms after each update, as a PNG."""
    unit = UNITS[result.metric].removesuffix(" [%]")
    return curves_png(
        [_curve(row) for row in result.rows if row.arm is not None] or [_curve(result.rows[0])],
        title=result.table.name,
        xlabel=f"updates of {result.table.protocol.episodes} episodes",
        ylabel=unit,
        ylim=None if result.metric == "returns" else (0, 1),
    )


def _curve(row: Row) -> Curve:
    mean, low, high = (
        np.array([getattr(found, side) for found in row.after])
        for side in ("mean", "mean_low", "mean_high")
    )
    return Curve(row.name, np.arange(len(mean)), mean, low, high)


def _size(benchmark: Benchmark) -> str:
    arms = dict.fromkeys(arm.label for table in benchmark.tables for arm in table.arms)
    sizes = (len(benchmark.tables), "table"), (len(arms), "arm"), (len(benchmark.cells()), "cell")
    return ", ".join(counted(*size) for size in sizes)


def _add_asked(report: Report, tables: Sequence[Table]) -> None:
    """Say what each table asks; its family, where the table has another name."""
    rows = [dict(zip(_ASKED, _asked(table))) for table in tables]
    named = any(table.name != table.family for table in tables)
    columns = [column for column in _ASKED if named or column != "family"]
    report.table("What meets what", columns, [[row[column] for column in columns] for row in rows])


def _asked(table: Table) -> tuple[object, ...]:
    p = table.protocol
    return (
        table.name, table.family, _start(table), " ".join(map(str, table.seeds)), p.num_tasks,
        p.updates, p.episodes, counted(p.eval_episodes, "episode"),
    )  # fmt: skip


def _start(table: Table) -> str:
    start = table.start
    if isinstance(start, Checkpoints):
        return ", ".join(start.names)
    if isinstance(start, StartOf):
        return f"what {start.table} starts from"
    return ", ".join(filter(None, (start.method, _length(start.iterations), _set(start.settings))))


def _length(iterations: int | None) -> str:
    return (
        "its own number of iterations" if iterations is None else counted(iterations, "iteration")
    )


def _set(settings: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={json.dumps(value)}" for name, value in settings.items())


def _arms(benchmark: Benchmark) -> Iterator[tuple[str | None, ...]]:
    """Each arm, once for all tables in which it is the same, and what needs no training."""
    known = dict[tuple[str, str, str, str], list[str]]()
    for table in benchmark.tables:
        for arm in table.arms:
            said = (arm.label, _meaning(arm), _trained(arm), _set(arm.settings))
            known.setdefault(said, []).append(table.name)
    for said, tables in known.items():
        where = "every table" if len(tables) == len(benchmark.tables) else ", ".join(tables)
        yield tuple(part or None for part in (*said, where))
    judged = [table.name for table in benchmark.tables if table.ceiling]
    where = "every table" if len(judged) == len(benchmark.tables) else ", ".join(judged)
    for name, meaning in _LEVELS.items() if judged else ():
        yield name, meaning, None, None, where


def _meaning(arm: Arm) -> str:
    if arm.repeats:
        return f"{arm.repeats} once more, under another noise: what differs means nothing"
    try:
        doc = get_method(arm.method).doc
    except MetaRLError:  # of a package that is gone
        doc = ""
    return doc if arm.name == arm.method else f"{arm.method}: {doc}"


def _trained(arm: Arm) -> str:
    if arm.repeats:
        return ""
    if arm.checkpoint:
        return f"nothing; given: {', '.join(arm.checkpoint)}"
    if not arm.trains:
        return "nothing"
    return f"{_length(arm.iterations)}{', from nothing' * arm.fresh}"


def _trainings(benchmark: Benchmark) -> list[str]:
    """Commands that train what the benchmark trains, of each the first seed."""
    found = dict[tuple[str, str, str], str]()
    for cell in with_needs(benchmark.cells()):
        if isinstance(cell, Training):
            found.setdefault((cell.family, cell.method, cell.label), cell.command)
    return list(found.values())


def _again(folder: Path) -> dict[str, object]:
    path = folder / BENCHMARK_RESULT_FILE
    same = f"metarl benchmark {folder / BENCHMARK_FILE} --out {folder}"
    return {**again(read_json(path) if path.exists() else {}, folder), "from the copies here": same}


def write_results(folder: Path, command: str) -> list[Path]:
    """Write everything that is made of a benchmark's finished cells: tables, pictures, page.

    Args:
        folder: Of the benchmark.
        command: The command line that asked for it.
    Returns:
        The files.
    Raises:
        CheckpointError: If its file or a cell is missing or damaged, or a file cannot be written.
    """
    summary = summarise(read_benchmark(folder), Store(folder).read())
    written = output.write_tables(summary, folder, command)
    for result in summary.results:
        path = folder / f"curves-{slug(result.table.name)}.png"
        write_atomically(path, curves(result))
        written.append(path)
    return [*written, benchmark_report(folder).write(folder / "report.html")]


def summary_of(folder: Path) -> Summary:
    """Summarise what is finished in a benchmark's folder.

    Raises:
        CheckpointError: If its file or a cell is missing or damaged.
    """
    return summarise(read_benchmark(folder), Store(folder).read())
