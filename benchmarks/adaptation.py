"""How well does each method adapt to held-out tasks whose goals and constants are hidden?

    python benchmarks/adaptation.py

One cell is a family, a method and a training seed: a policy that sees its task is trained by
PPO (or by imitation, where PPO finds no way), the method goes on from it with the task
hidden, and then adapts to the same held-out tasks as every other, on the same budget. What
needs the pretrained policy alone (scratch, fine-tuning, the ceiling) is a cell of its own.
Finished cells are kept as JSON and not run again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from grid import LEVELS, Grid, results_by_name
from machine import RESULTS, write_result
from recipes import PRETRAINING, PUBLISHED, methods, metric

from metarl.report import Curve, curves_png
from metarl.statistics import estimate

SHOWN = (0, 1, 2, 3, 5, 10)
AFTER = 5  # updates, in the summary
SUMMARY = (
    *("scratch", "fine-tune", "untrained-inner-loop", "maml", "rl2", "pearl"),
    *("scratch-dagger", "fine-tune-dagger"),
)
UNITS = {"success": "success [%]", "score": "score", "returns": "return"}
INTRODUCTION = """Made by `python benchmarks/adaptation.py --finished` from the cells in `adaptation/`. \
Mean over training seeds and {} held-out tasks [95% bootstrap interval], after exactly so many \
updates of 10 episodes; IQM: mean of the middle half. `blind` and `ceiling` are the pretrained \
policy without updates, the task hidden and in view. Rows that end in `-dagger` are taught by the \
family's expert, all others by reward. Training is what came before the held-out tasks."""


@dataclass(frozen=True)
class Config:
    """Which cells, and how adaptation is measured."""

    families: tuple[str, ...] = tuple(PRETRAINING)
    """The families."""
    methods: tuple[str, ...] = ()
    """Methods, `baselines` or `taught` (by the expert); none: all that a family is to meet."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds."""
    num_tasks: int = 20
    """Held-out tasks."""
    updates: int = 10
    """Updates of adaptation."""
    finished: bool = False
    """Run nothing; make the table from the cells that are there."""
    folder: Path = RESULTS / "adaptation"
    """Where finished cells are kept."""
    runs: Path = Path("runs/adaptation")
    """Where the runs are kept."""
    ship: Path | None = None
    """Copy the networks of the cells that are run into this folder."""
    name: str = "adaptation"
    """Name of the result file and picture."""


def table(family: str, cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and IQM over seeds and tasks, after each update."""
    rng, what = np.random.default_rng(0), metric(family)
    rows: list[dict[str, Any]] = []
    for name, results in results_by_name(cells).items():
        count = min(len(r.success) for r in results)
        scores = np.stack([getattr(r, what)[:count] for r in results])  # (S, U+1, K)
        cost = [t for c in cells if name in c["results"] for t in c["training"].values()]
        rows.append(
            {
                "family": family,
                "method": name,
                "metric": what,
                what: [asdict(estimate(scores[:, u], rng)) for u in range(count)],
                "num_seeds": len(results),
                "steps": results[0].steps,
                "seconds": float(np.mean([r.seconds for r in results])),
                "training_steps": sum(c["steps"] for c in cost) / len(results),
                "training_seconds": sum(c["seconds"] for c in cost) / len(results),
            }
        )
    for level in ("blind", "ceiling"):
        found = [c["levels"][level][what] for c in cells if "levels" in c]
        if found:
            row = {"family": family, "method": level, "metric": what, "num_seeds": len(found)}
            rows.append({**row, what: [asdict(estimate(np.array(found), rng))]})
    return rows


def markdown(rows: list[dict[str, Any]], num_tasks: int) -> str:
    """One table a family: the metric after so many updates, and what it cost."""
    head = (
        "method",
        "seeds",
        *(f"after {u}" for u in SHOWN),
        f"IQM after {AFTER}",
        "training [steps]",
    )
    head += ("training [min]", "adapting [s a task]")
    parts = ["# Adaptation to held-out tasks", INTRODUCTION.format(num_tasks), summary(rows)]
    for family in dict.fromkeys(row["family"] for row in rows):
        mine = [row for row in rows if row["family"] == family]
        what = mine[0]["metric"]
        lines = [f"## `{family}`: {UNITS[what]}", "", "| " + " | ".join(head) + " |"]
        lines.append("|" + " --- |" * len(head))
        lines += ["| " + " | ".join(_cells(row, num_tasks)) + " |" for row in mine]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def summary(rows: list[dict[str, Any]]) -> str:
    """One line a family: the metric after five updates, and with the task in view."""
    lines = ["| after five updates | " + " | ".join(f"`{m}`" for m in SUMMARY) + " | ceiling |"]
    lines.append("|" + " --- |" * (len(SUMMARY) + 2))
    for family in dict.fromkeys(row["family"] for row in rows):
        mine = {row["method"]: row for row in rows if row["family"] == family}
        what = mine["ceiling"]["metric"]
        cells = [_number(mine[m][what][AFTER]["mean"], what) if m in mine else "" for m in SUMMARY]
        cells.append(_number(mine["ceiling"][what][0]["mean"], what))
        lines.append(f"| `{family}`, {UNITS[what]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cells(row: dict[str, Any], num_tasks: int) -> list[str]:
    found, what = row[row["metric"]], row["metric"]
    after = [_text(found[u], what) if u < len(found) else "" for u in SHOWN]
    name = f"`{row['method']}`" if len(found) > 1 else row["method"]
    cells = [name, str(row["num_seeds"]), *after]
    if len(found) == 1:
        return [*cells, "", "", "", ""]
    iqm = _number(found[AFTER]["iqm"], what) if len(found) > AFTER else ""
    untrained = row["method"].startswith("scratch")
    steps = "" if untrained else f"{row['training_steps']:,.0f}"
    minutes = "" if untrained else f"{row['training_seconds'] / 60:.0f}"
    return [*cells, iqm, steps, minutes, f"{row['seconds'] / num_tasks:.1f}"]


def _text(found: dict[str, float], what: str) -> str:
    mean, low, high = (_number(found[k], what) for k in ("mean", "mean_low", "mean_high"))
    return f"{mean} [{low}, {high}]"


def _number(x: float, what: str) -> str:
    scale, digits = {"success": (100, 0), "score": (1, 2), "returns": (1, 1)}[what]
    text = f"{scale * x:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0.0 else text


def show(rows: list[dict[str, Any]]) -> None:
    """Print the metric after 0, 1, 2, 3, 5 and 10 updates."""
    for row in rows:
        found, what = row[row["metric"]], row["metric"]
        cells = "  ".join(
            f"{u}: {_text(found[u], what)} iqm {_number(found[u]['iqm'], what)}"
            for u in SHOWN
            if u < len(found)
        )
        seeds = f"{row['num_seeds']} seed" + "s" * (row["num_seeds"] > 1)
        print(f"{row['family']:<26}{row['method']:<22}{seeds:<9}{cells}")


def draw(family: str, rows: list[dict[str, Any]], config: Config) -> None:
    """Write the family's curves beside the result."""
    what, curves = metric(family), []
    for row in rows:
        if len(row[what]) == 1:
            continue
        mean, low, high = (
            np.array([e[k] for e in row[what]]) for k in ("mean", "mean_low", "mean_high")
        )
        curves.append(Curve(row["method"], np.arange(len(mean)), mean, low, high))
    if family in PUBLISHED:
        found = np.array(PUBLISHED[family])
        unknown = np.full(len(found), np.nan)
        curves.append(Curve("MAML (2017)", np.arange(len(found)), found, unknown, unknown))
    seeds = {row["num_seeds"] for row in rows}
    many = f"{min(seeds)} to {max(seeds)}" if len(seeds) > 1 else f"{max(seeds)}"
    png = curves_png(
        curves,
        title=f"{family}: held-out tasks, {many} seeds",
        xlabel="updates of 10 episodes",
        ylabel=what,
        ylim=None if what == "returns" else (0, 1),
    )
    (RESULTS / f"{config.name}-{family.split('/')[-1]}.png").write_bytes(png)


def main(config: Config) -> None:
    """Run what is missing, then write the table, the curves and the JSON."""
    grid = Grid(config.folder, config.runs, config.num_tasks, config.updates, config.ship)
    rows = []
    for family in config.families:
        of_family = config.methods or (LEVELS, *methods(family))
        wanted = [(m, seed) for m in of_family for seed in config.seeds]
        if config.finished:
            wanted = [(m, seed) for m, seed in wanted if grid.path(family, m, seed).exists()]
        if not wanted:
            continue
        cells = [grid.cell(family, method, seed) for method, seed in wanted]
        mine = table(family, cells)
        show(mine)
        draw(family, mine, config)
        rows += mine
    (RESULTS / f"{config.name}.md").write_text(markdown(rows, config.num_tasks))
    print(f"wrote {write_result(config.name, {'rows': rows})}")


if __name__ == "__main__":
    main(tyro.cli(Config))
