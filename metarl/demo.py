"""`metarl demo`: shipped policies meet tasks they have never seen, and adapt."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metarl.adaptation import State
from metarl.checkpoint import load_checkpoint
from metarl.commands.output import make_console, make_table, say
from metarl.errors import ConfigError
from metarl.evaluate import (
    AdaptationResult,
    Protocol,
    evaluate_adaptation,
    summarise,
)
from metarl.perception.headswap import SwapResult, compare, load_classifier
from metarl.perception.pictures import get_scene
from metarl.registry import make_family
from metarl.report import Curve, Report, bars_png, curves_png
from metarl.report.adaptation_film import film_adaptation
from metarl.shipped import shipped

FAMILIES = ("kitchen/season", "kitchen/heat")
SCENE = "kitchen/ingredients"
META_TRAINED = ("maml", "pearl")
METHODS = ("scratch", "fine-tune", "untrained-inner-loop", *META_TRAINED)
SHOWN = (0, 1, 3, 5)  # updates in the printed table
SWAP_SEED = 200  # of the pictures; it took no part in choosing the settings
PROTOCOL = Protocol(eval_episodes=5)
COMMAND = "metarl demo"


def run(out: Path) -> list[Path]:
    """Adapt, swap a head, film, and write the report.

    Args:
        out: The folder to write to.
    Returns:
        The files written.
    """
    torch.set_num_threads(1)
    start = time.perf_counter()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write to {out}: {error.strerror}; give another --out") from error
    report = Report(
        "metarl demo",
        f"A pretrained and two meta-trained policies meet {PROTOCOL.num_tasks} held-out tasks"
        " whose goals and constants are hidden from them.",
    )
    written: list[Path] = []
    for family in FAMILIES:
        written.append(_show_family(family, report, out))
    _show_head_swap(report)
    seconds = time.perf_counter() - start
    report.text("How to run it again", f"{COMMAND} --out {out}; it took {seconds:.0f} s.")
    written.append(report.write(out / "report.html"))
    say(f"the demo took {seconds:.0f} s")
    return written


def _show_family(family: str, report: Report, out: Path) -> Path:
    slug = family.split("/")[-1]
    results, stages = [], []
    for method in METHODS:
        name = f"{slug}-{method if method in META_TRAINED else 'ppo'}"
        source = load_checkpoint(shipped(family, name))
        say(f"{family}: adapting by {method} to {PROTOCOL.num_tasks} held-out tasks")
        keep: list[State] = []
        results.append(
            evaluate_adaptation(
                make_family(family), method, source, PROTOCOL,
                keep=keep, progress=_updates(method),
            )
        )  # fmt: skip
        stages.append((source, keep))
    _report_results(family, results, report)
    path = out / "films" / f"{slug}.mp4"
    say(f"{family}: filming a held-out task before and after adaptation")
    source, keep = stages[-1]
    film_adaptation(make_family(family), METHODS[-1], source, PROTOCOL, keep, path)
    report.film(
        f"{family}: before and after",
        path,
        caption=f"The same held-out task (the first one drawn), {METHODS[-1]} before and after"
        f" {PROTOCOL.updates} updates of {PROTOCOL.episodes} episodes.",
    )
    return path


def _updates(method: str) -> Callable[[int, int], None]:
    def show(done: int, total: int) -> None:
        say(f"  {method}: {done} of {total} updates")

    return show


def _report_results(family: str, results: list[AdaptationResult], report: Report) -> None:
    rng = np.random.default_rng(0)
    columns = ("method", *(f"{u} updates" for u in SHOWN), "steps", "seconds")
    rows, curves = [], []
    for result in results:
        found = summarise([result], rng)
        rows.append(
            (
                result.method,
                *(found[u].format_percent() for u in SHOWN),
                f"{result.steps:,}",
                f"{result.seconds:.1f}",
            )
        )
        mean, low, high = (
            np.array([getattr(e, k) for e in found]) for k in ("mean", "mean_low", "mean_high")
        )
        curves.append(Curve(result.method, np.arange(len(found)), mean, low, high))
    title = f"{family}: success on held-out tasks [%]"
    print_table(title, columns, rows)
    note = f"{COMMAND} (1 training seed, {PROTOCOL.num_tasks} tasks, 95% bootstrap over tasks)"
    report.table(title, columns, rows, note=note)
    png = curves_png(
        curves, title=family, xlabel="updates of 10 episodes", ylabel="success", ylim=(0, 1)
    )
    report.picture(
        f"{family}: curves", png, caption="Success after each update.", alt="success curves"
    )


def print_table(title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Print a table for the terminal."""
    table = make_table(*columns)
    table.title = title
    for row in rows:
        table.add_row(*(str(x) for x in row))
    make_console().print(table)


def _show_head_swap(report: Report) -> None:
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
    print_table(title, columns, rows)
    note = f"{COMMAND} (one seed; five seeds with intervals: python benchmarks/headswap.py)"
    report.table(title, columns, rows, note=note)
    png = bars_png(
        [r.strategy for r in results], [r.seconds for r in results], None, None,
        title="Seconds to learn doneness from 200 pictures", ylabel="seconds",
    )  # fmt: skip
    report.picture("Head swap: time", png, caption="The same pictures for all.", alt="seconds")
