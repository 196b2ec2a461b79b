"""Tables of a benchmark as text, and the files that it leaves beside its cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from metarl.adapt.comparison import UNITS
from metarl.adapt.statistics import Estimate
from metarl.benchmark.design import CEILING
from metarl.benchmark.sections import Metric
from metarl.benchmark.summary import BLIND, Result, Row, Summary, to_json
from metarl.errors import counted
from metarl.methods import SCRATCH
from metarl.runs.checkpoint import write_atomically
from metarl.runs.config import made_with
from metarl.runs.run import BENCHMARK_RESULT_FILE, write_json

TABLE_FILE = "tables.md"
COST = (
    "seeds",
    "training [steps]",
    "adapting [s a task]",
)  # columns of a table that tell no outcome
_SHOWN = (0, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500)  # updates, and the last
_FORMATS: dict[Metric, tuple[float, int]] = {
    "success": (100, 0),
    "score": (1, 2),
    "returns": (1, 1),
}
ABOUT_ROWS = (
    "Mean over training seeds and held-out tasks [95% bootstrap interval over seeds, with one seed over"
    " tasks], after exactly so many updates; IQM: mean of the middle half. Every arm of a table meets the"
    " same tasks on the same budget."
)
ABOUT_CONTROL = (
    "`other noise` is the arm before it once more, from the same policies and on the same tasks, with other"
    " first states, actions and weights drawn: a difference as small as between these two means nothing."
)
ABOUT_LEVELS = (
    "`blind` and `ceiling` are the policy that arms start from, without any update: the task hidden, and in"
    " view."
)
ABOUT_COST = (
    "Training is what came before the held-out tasks; a policy that was given is not counted. Seconds are of"
    " this machine, as busy as it was."
)


def number(value: float, metric: Metric) -> str:
    """Write a number as its metric is read: whole percent of success, two digits of a score."""
    scale, digits = _FORMATS[metric]
    text = f"{scale * value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0.0 else text


def interval(found: Estimate, metric: Metric) -> str:
    """Write a mean with its interval; the mean alone where that is unknown."""
    mean = number(found.mean, metric)
    if found.mean_low != found.mean_low:
        return mean
    return f"{mean} [{number(found.mean_low, metric)}, {number(found.mean_high, metric)}]"


def shown_updates(result: Result) -> list[int]:
    """After which updates a table has a column."""
    last = result.table.protocol.updates
    return [u for u in _SHOWN if u < last] + [last]


def columns(result: Result) -> tuple[str, ...]:
    """The heads of a table's columns."""
    updates = shown_updates(result)
    after = [f"after {u}" for u in updates]
    seeds, *cost = COST
    return ("arm", seeds, *after, f"IQM after {updates[-1]}", *cost)


def table(result: Result) -> list[tuple[str, ...]]:
    """The rows of a table, a text for each of `columns`."""
    return [_cells(row, result) for row in result.rows]


def kinds(result: Result) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """How each kind of task went after the last update, where there are several; columns, rows."""
    heads = [f"{kind} ({counted(count, 'task')})" for kind, count in result.kinds.items()]
    rows = [
        (row.name, *(interval(row.by_kind[kind], result.metric) for kind in result.kinds))
        for row in result.rows
    ]
    return ("arm", *heads), rows if heads else []


def by_kind(result: Result) -> str:
    """What stands above a table of `kinds`."""
    return f"by kind of task, after {counted(result.table.protocol.updates, 'update')}"


def _cells(row: Row, result: Result) -> tuple[str, ...]:
    metric, updates = result.metric, shown_updates(result)
    after = [interval(row.after[u], metric) if u < len(row.after) else "" for u in updates]
    if row.arm is None:
        return (row.name, _seeds(row), *after, "", "", "")
    # scratch takes the architecture alone
    trained = "" if row.arm.method.startswith(SCRATCH) else f"{row.training_steps:,.0f}"
    seconds = row.seconds / result.table.protocol.num_tasks
    return (
        row.name, _seeds(row), *after, number(row.after[-1].iqm, metric),
        trained if row.training_steps else "", f"{seconds:.2g}",
    )  # fmt: skip


def _seeds(row: Row) -> str:
    trained = [str(seed) for seed in row.seeds if seed is not None]
    given = len(row.seeds) - len(trained)
    said = [*trained, *([f"{given} given" if given > 1 else "given"] if given else [])]
    return " ".join(said)


def heading(result: Result, between: str = ", ") -> str:
    """What a table is about, and what its numbers are."""
    family = result.table.family
    name = result.table.name if family in result.table.name else f"{result.table.name} ({family})"
    return f"{name}{between}{UNITS[result.metric]}"


def budget(result: Result) -> str:
    """How a table's adaptation is measured, in one sentence."""
    p = result.table.protocol
    steps = sorted({row.steps for row in result.rows if row.arm is not None})
    spent = " to ".join(f"{n:,}" for n in dict.fromkeys((steps[0], steps[-1]))) if steps else "no"
    return (
        f"{p.num_tasks} held-out tasks (split {p.split}, seed {p.seed}), {p.updates} updates of"
        f" {p.episodes} episodes each: {spent} control steps an arm. Judged by {p.eval_episodes} further"
        " episodes of each task after each update."
    )


def sentences(result: Result) -> list[str]:
    """What must be said of a table: what noise alone does, what is missing."""
    said = []
    if result.noise == 0:
        said.append(
            "Another noise alone ended where it did: here the control does not say how large noise is."
        )
    elif result.noise is not None:
        moved = number(result.noise, result.metric)
        points = " point" if moved == "1" else " points"
        unit = {"success": points, "score": " of score", "returns": " of return"}[result.metric]
        said.append(
            f"Another noise alone moved the mean by {moved}{unit}:"
            " differences as small as that mean nothing."
        )
    if any(len(row.seeds) == 1 for row in result.rows):
        said.append("Of rows with one policy the interval says nothing about other trainings.")
    if missing := result.num_cells - result.num_done:
        said.append(f"{missing} of {counted(result.num_cells, 'measurement')} not finished yet.")
    if diverged := sum(row.diverged for row in result.rows):
        said.append(f"Physics ended {counted(diverged, 'episode')}.")
    return said


def short(summary: Summary) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """One row an arm, and the ceiling: what every table's arm reached after all updates; columns, rows."""
    names = list(dict.fromkeys(r.name for x in summary.results for r in x.rows if r.name != BLIND))
    names = [n for n in names if n != CEILING] + [n for n in names if n == CEILING]
    heads = [f"{heading(x)}, after {x.table.protocol.updates}" for x in summary.results]
    return ("arm", *heads), [(name, *(_ended(x, name) for x in summary.results)) for name in names]


def _ended(result: Result, name: str) -> str:
    row = result.row(name)
    return "" if row is None else number(row.after[-1].mean, result.metric)


def beside(summary: Summary) -> str:
    """Say what stands in the tables that the file does not name, and what it leaves out; "": nothing."""
    added = dict.fromkeys(a.name for t in summary.benchmark.tables for a in t.arms if a.added)
    without = summary.benchmark.without
    said = f"Put beside the file's arms: {', '.join(added)}." if added else ""
    left = f"The file leaves out what every table needs: {', '.join(without)}." if without else ""
    return " ".join(filter(None, (said, left)))


def unfinished(summary: Summary) -> str:
    """Say how much is missing."""
    return f"{counted(summary.missing, 'cell')} not finished yet: what stands here is without."


def markdown(summary: Summary) -> str:
    """Write every table as Markdown."""
    benchmark = summary.benchmark
    parts = [f"# {benchmark.title}", benchmark.about.strip(), beside(summary)]
    if summary.missing:
        parts.append(unfinished(summary))
    parts += [" ".join((ABOUT_ROWS, ABOUT_CONTROL, ABOUT_LEVELS, ABOUT_COST))]
    if summary.results:
        parts.append(_markdown_table(*short(summary)))
    for result in summary.results:
        parts += [f"## {heading(result, ': ')}", budget(result)]
        parts += [_markdown_table(columns(result), table(result)), " ".join(sentences(result))]
        if result.kinds:
            parts += [f"The same {by_kind(result)}:", _markdown_table(*kinds(result))]
    return "\n\n".join(filter(None, parts)) + "\n"


def _markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def write_tables(summary: Summary, folder: Path, command: str) -> list[Path]:
    """Write the rows as JSON and as Markdown.

    Raises:
        CheckpointError: If they cannot be written.
    """
    write_json(folder / BENCHMARK_RESULT_FILE, {**to_json(summary), **made_with(command)})
    write_atomically(folder / TABLE_FILE, markdown(summary).encode())
    return [folder / BENCHMARK_RESULT_FILE, folder / TABLE_FILE]
