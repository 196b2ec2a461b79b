"""The tables and curves of adaptation: from cells to rows, and from rows to text and pictures."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from metarl_kitchen.skills import Skills

from metarl.adapt.protocol import Protocol, held_out_tasks
from metarl.adapt.statistics import estimate
from metarl.report import Curve, curves_png
from shared.grid import results_by_name
from shared.recipes import FEW_EPISODES, ONCE, PUBLISHED, metric

SHOWN = (0, 1, 2, 3, 5, 10)
AFTER = 5  # updates, in the summary
SUMMARY = (
    *("scratch", "fine-tune", "untrained-inner-loop", "maml", "rl2", "pearl"),
    *("strategy-optimization", "residual-search"),
    *("scratch-dagger", "fine-tune-dagger"),
)
UNITS = {"success": "success [%]", "score": "score", "returns": "return"}
INTRODUCTION = """Made by `python benchmarks/adaptation.py --finished` from the cells in `adaptation/`. \
Mean over training seeds and {} held-out tasks [95% bootstrap interval], after exactly so many \
updates of 10 episodes, where no other number is given; IQM: mean of the middle half. `blind` and \
`ceiling` are the pretrained policy without updates, the task hidden and in view. Rows that end in `-dagger` are taught by the \
family's expert, all others by reward. Training is what came before the held-out tasks; compare its \
steps, for its minutes are of crowded machines of different days."""


def tables(family: str, cells: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    """Make a table of the cells of each number of episodes an update."""
    numbers = dict.fromkeys(c["protocol"]["episodes"] for c in cells)
    return {
        n: _table(family, n, [c for c in cells if c["protocol"]["episodes"] == n]) for n in numbers
    }


def _table(family: str, episodes: int, cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and IQM over seeds and tasks, after each update."""
    rng, what = np.random.default_rng(0), metric(family)
    skills = _skills(cells[0]["protocol"]) if family == "kitchen/skills" else {}
    rows: list[dict[str, Any]] = []
    for name, results in results_by_name(cells).items():
        count = min(len(r.success) for r in results)
        scores = np.stack([getattr(r, what)[:count] for r in results])  # (S, U+1, K)
        cost = [t for c in cells if name in c["results"] for t in c["training"].values()]
        rows.append(
            {
                "family": family,
                "episodes": episodes,
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
        if skills:
            apart = {s: scores[..., own].mean((0, 2)).tolist() for s, own in skills.items()}
            rows[-1]["by-skill"] = apart
    for level in ("blind", "ceiling"):
        found = [c["levels"][level][what] for c in cells if "levels" in c]
        if found:
            row = {"family": family, "episodes": episodes, "method": level, "metric": what}
            row["num_seeds"] = len(found)
            rows.append({**row, what: [asdict(estimate(np.array(found), rng))]})
    return rows


def _skills(protocol: dict[str, Any]) -> dict[str, np.ndarray]:
    """Which held-out tasks of `kitchen/skills` are of which skill, (K,) bool each."""
    family = Skills()
    same = {name: protocol[name] for name in ("num_tasks", "seed", "split")}
    tasks = held_out_tasks(family, Protocol(**same))
    found = {
        p.name: (tasks.model >= p.first) & (tasks.model < p.first + p.models) for p in family.parts
    }
    return {name: own for name, own in found.items() if own.any()}


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
    for mine in _by_table(rows):
        lines = [f"## {_title(mine[0], ': ')}", "", "| " + " | ".join(head) + " |"]
        lines.append("|" + " --- |" * len(head))
        lines += ["| " + " | ".join(_cells(row, num_tasks)) + " |" for row in mine]
        parts.append("\n".join(lines))
        parts += _by_skill([row for row in mine if "by-skill" in row])
    return "\n\n".join(parts) + "\n"


def _by_skill(rows: list[dict[str, Any]]) -> list[str]:
    """One table more, of every skill by itself; none where there is one."""
    if not rows:
        return []
    skills = rows[0]["by-skill"]
    lines = ["| of these | " + " | ".join(f"{s}, after {u}" for s in skills for u in SHOWN) + " |"]
    lines.append("|" + " --- |" * (1 + len(skills) * len(SHOWN)))
    for row in rows:
        found = [(row["by-skill"][s], u) for s in skills for u in SHOWN]
        cells = [_number(means[u], row["metric"]) if u < len(means) else "" for means, u in found]
        lines.append(f"| `{row['method']}` | " + " | ".join(cells) + " |")
    return ["\n".join(lines)]


def summary(rows: list[dict[str, Any]]) -> str:
    """One line a family: the metric after five updates, and with the task in view."""
    lines = ["| after five updates | " + " | ".join(f"`{m}`" for m in SUMMARY) + " | ceiling |"]
    lines.append("|" + " --- |" * (len(SUMMARY) + 2))
    for one in _by_table(rows):
        mine, what = {row["method"]: row for row in one}, one[0]["metric"]
        found = [(mine[m][what], AFTER) if m in mine else ([], AFTER) for m in SUMMARY]
        found.append((mine["ceiling"][what] if "ceiling" in mine else [], 0))
        cells = [_number(x[u]["mean"], what) if u < len(x) else "" for x, u in found]
        lines.append(f"| {_title(one[0], ', ')} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _by_table(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Rows of one family and one number of episodes an update."""
    keys = dict.fromkeys((row["family"], row["episodes"]) for row in rows)
    return [[row for row in rows if (row["family"], row["episodes"]) == key] for key in keys]


def _title(row: dict[str, Any], between: str) -> str:
    """A family, how it was met, and what its numbers are."""
    family, episodes = row["family"], row["episodes"]
    once = " (once, one seed)" if family in ONCE else ""
    many = f", {episodes} episodes an update" * (episodes != FEW_EPISODES)
    return f"`{family}`{once}{many}{between}{UNITS[row['metric']]}"


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


def curves(family: str, rows: list[dict[str, Any]]) -> bytes:
    """Draw a family's curves, as PNG."""
    what, lines = metric(family), []
    for row in rows:
        if len(row[what]) == 1:
            continue
        mean, low, high = (
            np.array([e[k] for e in row[what]]) for k in ("mean", "mean_low", "mean_high")
        )
        lines.append(Curve(row["method"], np.arange(len(mean)), mean, low, high))
    if family in PUBLISHED:
        found = np.array(PUBLISHED[family])
        unknown = np.full(len(found), np.nan)
        lines.append(Curve("MAML (2017)", np.arange(len(found)), found, unknown, unknown))
    seeds = {row["num_seeds"] for row in rows}
    many = f"{min(seeds)} to {max(seeds)} seeds" if len(seeds) > 1 else f"{max(seeds)} seed"
    many += "s" * (len(seeds) == 1 and max(seeds) > 1)
    return curves_png(
        lines,
        title=f"{family}: held-out tasks, {many}",
        xlabel=f"updates of {rows[0]['episodes']} episodes",
        ylabel=what,
        ylim=None if what == "returns" else (0, 1),
    )
