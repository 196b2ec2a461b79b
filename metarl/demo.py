"""`metarl demo`: shipped policies meet tasks they have never seen, and adapt."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metarl.adapt.adaptation import State
from metarl.adapt.evaluate import evaluate_adaptation, settings_of
from metarl.adapt.protocol import Protocol
from metarl.adapt.results import AdaptationResult, summarise
from metarl.ambient import steady
from metarl.commands.output import answer, make_console, make_table, say
from metarl.errors import ConfigError, counted
from metarl.names import slug
from metarl.perception.headswap import SwapResult, compare, load_classifier
from metarl.perception.pictures import get_scene
from metarl.registry import make_family
from metarl.report import Curve, Report, bars_png, curves_png
from metarl.report.before_after import film_adaptation
from metarl.runs.checkpoint import load_checkpoint
from metarl.runs.files import check_output
from metarl.runs.shipped import shipped

SCENE = "kitchen/ingredients"
SWAP_SEED = 200  # of the pictures; it took no part in choosing the settings
COMMAND = "metarl demo"
REPORT = "report.html"


@dataclass(frozen=True)
class Show:
    """A family of the demo, and what meets its held-out tasks.

    Args:
        family: Its name.
        starts: Methods, the best one last, and the shipped checkpoints they start from.
        protocol: How adaptation is measured.
        settings: Of methods, where they are not the usual ones.
        metric: ``success`` or ``score``.
        every: The film shows each so manyth control step.
        shown: After which numbers of updates the printed table says how well it goes.
    """

    family: str
    starts: Mapping[str, str]
    protocol: Protocol
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    metric: str = "success"
    every: int = 1
    shown: Sequence[int] = (0, 1, 2, 3)


# How a whole dish is adapted to. Within an episode of 600 steps no action says what the kitchen's
# constants are, so each episode tries a guess of them; fine-tuning at its usual rate ruins the cook.
DISH_INNER_LOOP: Mapping[str, Any] = {
    "context_std": 0.5, "context_decay": 0.7, "log_std": -2.5, "gamma": 0.99, "lam": 0.95,
}  # fmt: skip
DISH_FINE_TUNING: Mapping[str, Any] = {"rate": 5e-4, "gamma": 0.99, "log_std": -2.5}

SHOWS = (
    Show(
        "kitchen/season",
        {
            "scratch": "season-ppo",
            "fine-tune": "season-ppo",
            "pearl": "season-pearl",
        },
        Protocol(updates=3, eval_episodes=3),
    ),
    # Two skills that the policy never had: it pours and flips, from what eight others taught it.
    Show(
        "kitchen/repertoire",
        {
            "scratch": "repertoire-dagger",
            "fine-tune": "repertoire-dagger",
            "bayesian-optimization": "repertoire-dagger",
        },
        Protocol(num_tasks=10, updates=8, eval_episodes=2),
        shown=(0, 2, 4, 8),
    ),
    # A dish that no policy here was trained on, in kitchens whose stove and salt are new.
    Show(
        "kitchen/dishes@dish=tomato-egg-soup",
        {
            "scratch": "dishes-dagger",
            "fine-tune": "dishes-dagger",
            "untrained-inner-loop": "dishes-dagger",
        },
        Protocol(num_tasks=8, updates=1, eval_episodes=2),
        {
            "scratch": DISH_FINE_TUNING,
            "fine-tune": DISH_FINE_TUNING,
            "untrained-inner-loop": DISH_INNER_LOOP,
        },
        metric="score",
        every=12,
    ),
)


@steady(num_threads=1)
def run(out: Path) -> list[Path]:
    """Adapt, swap a head, film, and write the report.

    Args:
        out: The folder to write to.
    Returns:
        The files written.
    """
    start = time.perf_counter()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write to {out}: {error.strerror}; give another --out") from error
    targets = [_film_path(out, show) for show in SHOWS]
    for path in (*targets, out / REPORT):
        check_output(path, (path.suffix,), overwrite=True)  # before any work
    report = Report(
        "metarl demo",
        "Pretrained and meta-trained policies meet held-out tasks whose goals and constants are"
        " hidden from them.",
    )
    tables = list[dict[str, Any]]()
    written = [_present(show, report, out, tables) for show in SHOWS]
    tables.append(_show_head_swap(report))
    seconds = time.perf_counter() - start
    report.text("How to run it again", f"{COMMAND} --out {out}; it took {seconds:.0f} s.")
    written.append(report.write(out / REPORT))
    say(f"the demo took {seconds:.0f} s")
    answer({"folder": str(out), "files": [str(path) for path in written], "tables": tables})
    return written


def _present(show: Show, report: Report, out: Path, tables: list[dict[str, Any]]) -> Path:
    family = make_family(show.family)
    results, stages = [], []
    for method, name in show.starts.items():
        source = load_checkpoint(shipped(show.family, name))
        say(f"{show.family}: adapting by {method} to {show.protocol.num_tasks} held-out tasks")
        keep: list[State] = []
        progress, settings = _updates(method), settings_of(method, show.settings.get(method))
        results.append(
            evaluate_adaptation(
                family, method, source, show.protocol,
                settings=settings, keep=keep, progress=progress,
            )
        )  # fmt: skip
        stages.append((method, source, keep, settings))
    tables.append(_report_results(show, results, report))
    path = _film_path(out, show)
    say(f"{show.family}: filming a held-out task before and after adaptation")
    method, source, keep, settings = stages[-1]
    film_adaptation(
        family, method, source, show.protocol, keep, path, every=show.every, settings=settings
    )
    lapse = f", {show.every} times as fast as life" if show.every > 1 else ""
    report.film(
        f"{show.family}: before and after",
        path,
        caption=f"The same held-out task (the first one drawn), {method} before and after"
        f" {counted(show.protocol.updates, 'update')} of {show.protocol.episodes} episodes{lapse}.",
    )
    return path


def _film_path(out: Path, show: Show) -> Path:
    return out / "films" / f"{slug(show.family)}.mp4"


def _updates(method: str) -> Callable[[int, int], None]:
    def show(done: int, total: int) -> None:
        say(f"  {method}: {done} of {total} updates")

    return show


def _report_results(show: Show, results: list[AdaptationResult], report: Report) -> dict[str, Any]:
    rng, percent = np.random.default_rng(0), show.metric == "success"
    shown = [u for u in show.shown if u <= show.protocol.updates]
    columns = ("method", *(f"after {u}" for u in shown), "steps", "seconds")
    rows, curves = [], []
    for result in results:
        found = summarise([result], rng, show.metric)
        rows.append(
            (
                result.method,
                *(found[u].format_percent() if percent else f"{found[u]}" for u in shown),
                f"{result.steps:,}",
                f"{result.seconds:.1f}",
            )
        )
        mean, low, high = (
            np.array([getattr(e, k) for e in found]) for k in ("mean", "mean_low", "mean_high")
        )
        curves.append(Curve(result.method, np.arange(len(found)), mean, low, high))
    unit = " [%]" if percent else ""
    title = f"{show.family}: {show.metric} on held-out tasks{unit}, after so many updates"
    said = print_table(title, columns, rows)
    note = f"{COMMAND} (1 training seed, {show.protocol.num_tasks} tasks, 95% bootstrap over tasks)"
    report.table(title, columns, rows, note=note)
    png = curves_png(
        curves, title=show.family, xlabel=f"updates of {show.protocol.episodes} episodes",
        ylabel=show.metric, ylim=(0, 1),
    )  # fmt: skip
    report.picture(
        f"{show.family}: curves", png, caption=f"{show.metric.capitalize()} after each update.",
        alt=f"{show.metric}, before and after: "
        + ", ".join(f"{curve.label} {curve.mean[0]:.2f} to {curve.mean[-1]:.2f}" for curve in curves),
    )  # fmt: skip
    return said


def print_table(
    title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]
) -> dict[str, Any]:
    """Print a table for the terminal; returns it for programs."""
    table = make_table(*columns)
    table.title = title
    for row in rows:
        table.add_row(*(str(x) for x in row))
    make_console().print(table)
    return {"title": title, "rows": [dict(zip(columns, row)) for row in rows]}


def _show_head_swap(report: Report) -> dict[str, Any]:
    say("swapping the head of a CNN: from what an ingredient is to how done it is")
    network, _ = load_classifier(shipped("kitchen/season", "ingredients"))
    results: list[SwapResult] = compare(
        network,
        get_scene(SCENE),
        seed=SWAP_SEED,
        strategies=("frozen-trunk", "fine-tune", "scratch"),
        progress=lambda done, total: say(f"  {done} of {total} strategies"),
    )
    columns = ("strategy", "error", "of always the median", "seconds")
    rows = [
        (r.strategy, f"{r.mae:.3f}", f"{r.constant_mae:.3f}", f"{r.seconds:.2f}") for r in results
    ]
    title = "Head swap: mean error of doneness (0 raw, 1 burnt), 200 pictures"
    said = print_table(title, columns, rows)
    note = f"{COMMAND} (one seed; five seeds with intervals: python benchmarks/headswap.py)"
    report.table(title, columns, rows, note=note)
    png = bars_png(
        [r.strategy for r in results], [r.seconds for r in results], None, None,
        title="Seconds to learn doneness from 200 pictures", ylabel="seconds",
    )  # fmt: skip
    report.picture(
        "Head swap: time", png, caption="The same pictures for all.", alt=_seconds(results)
    )
    return said


def _seconds(results: list[SwapResult]) -> str:
    """What the bars of time show, in words."""
    return f"seconds: {', '.join(f'{r.strategy} {r.seconds:.2f}' for r in results)}"
