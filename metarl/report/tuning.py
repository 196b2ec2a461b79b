"""The picture and the page of a search for settings, from its finished trials alone."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from metarl.benchmark.output import number
from metarl.errors import counted
from metarl.grid.store import Store
from metarl.learn.train import setting_text
from metarl.report import canvas
from metarl.report.canvas import FAINT, GRID, INK
from metarl.report.colors import METHODS
from metarl.report.html import Report
from metarl.report.settings import again
from metarl.runs.checkpoint import write_atomically
from metarl.runs.config import read_json
from metarl.runs.fields import field_docs
from metarl.runs.run import TUNING_FILE
from metarl.tune import output
from metarl.tune.search import read_search
from metarl.tune.space import Range, Searched
from metarl.tune.trials import USUAL, Trial, Tuned, tuned

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICTURE, PAGE = "tuning.png", "report.html"
_COLOR, _BEST = METHODS["maml"], METHODS["finetune"]
_CAPTION = (
    "A point a trial, with its 95% interval. Left and first: in the order in which they were tried, with the"
    " best so far as a line; then against each field that was searched. The square is the method's own"
    " settings, the ringed point the best."
)
_MARGIN = 0.05  # beside what is searched, as a share of it
_APART, _ABREAST = 0.05, 7  # trials of the same choice
_LONGEST = 14  # letters of a choice on an axis


def tuning_report(folder: Path) -> Report:
    """Build the page of a search.

    Args:
        folder: Of the search; its trials may be unfinished.
    Raises:
        CheckpointError: If its definition or a trial is missing or damaged.
    """
    found = tuned(read_search(folder), Store(folder).read())
    search = found.search
    size = f"{counted(len(found.trials), 'trial')} of {counted(search.seeds, 'training')}"
    report = Report(f"Settings of {search.method} on {search.family}", size)
    report.text("What was found", [*output.sentences(found), output.about(search)])
    if command := output.best_command(found, folder):
        report.facts(
            "The best settings",
            {
                **dict(output.settings_of_best(found)),
                "train with them, with a seed that no trial had": command,
                "trained already, here": [p.as_posix() for p in output.best_runs(found, Path())],
            },
        )
    if any(trial.value is not None for trial in found.trials):
        report.picture("Trials", tuning_png(found), caption=_CAPTION, alt=_alt(found))
    rows = [[part or None for part in row] for row in output.rows(found)]
    report.table(f"Trials, best first: {output.unit(search)}", output.columns(search), rows)
    if failed := found.failed:
        report.facts("What failed", {f"trial {t.number}": t.failed for t in failed})
    docs = field_docs(output.config_of(search))
    columns = ("field", "searched over", "what it is")
    told = [(name, text, docs.get(name) or None) for name, text in search.search.items()]
    report.table("What was searched", columns, told)
    if search.settings:
        report.facts("The same in every trial", dict(search.settings))
    path = folder / TUNING_FILE
    report.facts("How to run it again", again(read_json(path) if path.exists() else {}, folder))
    return report


def tuning_png(found: Tuned) -> bytes:
    """Draw each trial's value: in their order, and against each field that was searched.

    Args:
        found: At least one of its trials has a value.
    Returns:
        PNG bytes.
    """
    space = found.search.space
    columns = min(2, 1 + len(space))
    rows = math.ceil((1 + len(space)) / columns)
    figure = canvas.bare_figure(3.8 * columns, 0.5 + 2.5 * rows)
    title = f"{found.search.method} on {found.search.family}"
    figure.suptitle(title, x=0.02, ha="left", fontsize=13, fontweight="bold", color=INK)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    done = [trial for trial in found.trials if trial.value is not None]
    for panel in panels[1 + len(space) :]:
        panel.set_visible(False)
    _draw(panels[0], found, done, [float(trial.number) for trial in done])
    _draw_best_so_far(panels[0], done)
    panels[0].set_xlabel("trial")
    canvas.whole_ticks(panels[0], np.array([trial.number for trial in done], float))
    for panel, (name, one) in zip(panels[1:], space.items()):
        _draw(panel, found, done, [_place(one, name, trial) for trial in done])
        _scale(panel, one, [trial.settings[name] for trial in done])
        panel.set_xlabel(name.replace("$", r"\$"))
    for panel in panels[: 1 + len(space) : columns]:
        panel.set_ylabel(output.unit(found.search).removesuffix(" [%]"))
    return canvas.png(figure)


def _draw(panel: Axes, found: Tuned, done: Sequence[Trial], x: Sequence[float]) -> None:
    canvas.quiet(panel)
    panel.grid(axis="y", color=GRID, linewidth=0.8)
    panel.tick_params(labelleft=True)
    means = np.array([trial.value.mean for trial in done if trial.value is not None])
    for place, trial in zip(x, done):
        value = trial.value
        assert value is not None
        marker = "s" if trial.number == USUAL else "o"
        if not math.isnan(value.mean_low):
            ends = [value.mean_low, value.mean_high]
            panel.plot([place, place], ends, color=_COLOR, alpha=0.35, linewidth=1.2)
        panel.plot(place, value.mean, marker, color=_COLOR, markersize=5, alpha=0.85)
        if trial is found.best:
            panel.plot(
                place, value.mean, "o", color=_BEST, markersize=11, fillstyle="none",
                markeredgewidth=2,
            )  # fmt: skip
    canvas.percent_axis(panel, found.search.metric, means, None)


def _draw_best_so_far(panel: Axes, done: Sequence[Trial]) -> None:
    means = np.array([trial.value.mean for trial in done if trial.value is not None])
    numbers = [trial.number for trial in done]
    panel.step(
        numbers, np.maximum.accumulate(means), where="post", color=FAINT, linewidth=1.2, zorder=1
    )


def _place(one: Searched, name: str, trial: Trial) -> float:
    """Where a trial stands on a field's axis; choices that are the same stand side by side."""
    value = trial.settings[name]
    if isinstance(one, Range):
        return float(value) if type(value) in (int, float) else math.nan
    texts = [setting_text(each) for each in one.each]
    place = texts.index(setting_text(value)) if setting_text(value) in texts else -1
    return place + _APART * (trial.number % _ABREAST - _ABREAST // 2)


def _scale(panel: Axes, one: Searched, tried: Sequence[object]) -> None:
    """Show all that is searched, and the method's own setting where that lies outside."""
    if isinstance(one, Range):
        values = [one.low, one.high, *(v for v in tried if isinstance(v, int | float))]
        low, high = min(values), max(values)
        if one.log and low > 0:
            panel.set_xscale("log")
            margin = (high / low) ** _MARGIN
            panel.set_xlim(low / margin, high * margin)
            panel.tick_params(which="minor", color=GRID)
        else:
            panel.set_xlim(low - _MARGIN * (high - low), high + _MARGIN * (high - low))
            if one.whole:
                canvas.whole_ticks(panel, np.array([one.low, one.high]))
        return
    names = [
        textwrap.shorten(setting_text(each), _LONGEST, placeholder="…").replace("$", r"\$")
        for each in one.each
    ]
    outside = any(not one.holds(value) for value in tried)
    panel.set_xticks(range(-1, len(names)), ["other", *names])
    panel.set_xlim(-1.6 if outside else -0.6, len(names) - 0.4)


def _alt(found: Tuned) -> str:
    """What the picture shows, in words."""
    best, usual, search = found.best, found.usual, found.search
    assert best is not None
    assert best.value is not None
    ends = f"the best, trial {best.number}, {number(best.value.mean, search.metric)}"
    if usual is not None and usual.value is not None:
        ends += f"; the method's own settings {number(usual.value.mean, search.metric)}"
    fields = ", ".join(search.search)
    return f"{output.unit(search)} of {counted(len(found.trials), 'trial')}, in their order and against {fields}: {ends}"


def write_tuning_page(folder: Path) -> list[Path]:
    """Write the picture and the page of a search.

    Returns:
        The files.
    Raises:
        CheckpointError: If its definition or a trial is missing or damaged, or a file cannot be written.
    """
    found, written = tuned(read_search(folder), Store(folder).read()), list[Path]()
    if found.best is not None:
        write_atomically(folder / PICTURE, tuning_png(found))
        written.append(folder / PICTURE)
    return [*written, tuning_report(folder).write(folder / PAGE)]
