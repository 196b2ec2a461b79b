"""The tables and curves of adaptation: from cells to rows, and from rows to text and pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from metarl_kitchen.skills import Skills

from metarl.adapt.protocol import Protocol, held_out_tasks
from metarl.adapt.results import AdaptationResult
from metarl.adapt.statistics import estimate
from metarl.grid.store import Record
from metarl.report import Curve, curves_png
from shared.recipes import FEW_EPISODES, ONCE, PUBLISHED, REUSES, STRATEGIES, metric

SHOWN = (0, 1, 2, 3, 5, 10)
AFTER = 5  # updates, in the summary
OTHER_NOISE = ", other noise"  # of a control arm's name
IN_SHORT = (
    "scratch", "fine-tune", f"fine-tune{OTHER_NOISE}", "maml", "pearl", "bayesian-optimization",
)  # fmt: skip
OTHERS = (
    "untrained-inner-loop", "rl2", "strategy-optimization", "residual-search", "scratch-dagger",
    "fine-tune-dagger",
)  # fmt: skip
UNITS = {"success": "success [%]", "score": "score", "returns": "return"}
INTRODUCTION = """Made by `python benchmarks/adaptation.py --finished` from the cells in \
`adaptation/cells.jsonl`. \
Mean over training seeds and {} held-out tasks [95% bootstrap interval], after exactly so many \
updates of 10 episodes, where no other number is given; IQM: mean of the middle half. `blind` and \
`ceiling` are the pretrained policy without updates, the task hidden and in view. Rows that end in `-dagger` are taught by the \
family's expert, all others by reward. Rows that end in `other noise` are control arms: the row above \
once more, from the same policies, on the same tasks, with other first states, actions and weights \
drawn; a difference as large as between these two means nothing. Training is what came before the held-out tasks; compare its \
steps, for its minutes are of crowded machines of different days."""


def tables(family: str, records: Sequence[Record]) -> dict[int, list[dict[str, Any]]]:
    """Make a table of the cells of each number of episodes an update."""
    numbers = dict.fromkeys(r.cell["protocol"]["episodes"] for r in records)
    return {
        n: _table(family, [r for r in records if r.cell["protocol"]["episodes"] == n])
        for n in numbers
    }


def _table(family: str, records: Sequence[Record]) -> list[dict[str, Any]]:
    """Mean and IQM over seeds and tasks, after each update; what belongs together stands together."""
    rng, found = np.random.default_rng(0), _by_name(records)
    added = [name for name in found if name in REUSES or name.endswith(OTHER_NOISE)]
    rows = [_row(family, name, found[name], rng) for name in found if name not in added]
    levels = _levels(family, records, rng)
    # Drawn last, so that intervals of the rows above do not depend on whether these are there.
    rows += [_row(family, name, found[name], rng) for name in added]
    return sorted(rows, key=lambda row: _place(row["method"], list(found))) + levels


def _row(
    family: str, name: str, records: Sequence[Record], rng: np.random.Generator
) -> dict[str, Any]:
    """One row of a table."""
    what, protocol = metric(family), records[0].cell["protocol"]
    told = name.removesuffix(OTHER_NOISE)
    results = [AdaptationResult.from_json(r.result["results"][told]) for r in records]
    count = min(len(r.success) for r in results)
    scores = np.stack([getattr(r, what)[:count] for r in results])  # (S, U+1, K)
    cost = [t for r in records for t in r.result["training"].values()]
    row = {
        "family": family,
        "episodes": protocol["episodes"],
        "method": name,
        "metric": what,
        what: [asdict(estimate(scores[:, u], rng)) for u in range(count)],
        "num_seeds": len(results),
        "seeds": _seeds(records),
        "steps": results[0].steps,
        "seconds": float(np.mean([r.seconds for r in results])),
        "training_steps": sum(c["steps"] for c in cost) / len(results),
        "training_seconds": sum(c["seconds"] for c in cost) / len(results),
    }
    if family == "kitchen/skills":
        skills = _skills(protocol)
        row["by-skill"] = {s: scores[..., own].mean((0, 2)).tolist() for s, own in skills.items()}
    return row


def _levels(
    family: str, records: Sequence[Record], rng: np.random.Generator
) -> list[dict[str, Any]]:
    """The pretrained policy without updates."""
    what, known = metric(family), [r for r in records if "levels" in r.result]
    rows = []
    for level in ("blind", "ceiling") if known else ():
        values = np.array([r.result["levels"][level][what] for r in known])
        rows.append(
            {
                "family": family,
                "episodes": known[0].cell["protocol"]["episodes"],
                "method": level,
                "metric": what,
                "num_seeds": len(known),
                "seeds": _seeds(known),
                what: [asdict(estimate(values, rng))],
            }
        )
    return rows


def _by_name(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Gather the cells of several seeds under the name of what adapted."""
    found: dict[str, list[Record]] = {}
    for record in records:
        noise = OTHER_NOISE * (record.cell["protocol"]["noise"] > 0)
        for name in record.result["results"]:
            found.setdefault(name + noise, []).append(record)
    return found


def _seeds(records: Iterable[Record]) -> list[int]:
    return [record.cell["start"]["seed"] for record in records]


def _place(name: str, order: list[str]) -> tuple[int, int]:
    """Where a row stands: a control behind what it repeats, what else reuses a policy behind the
    strategies that do."""
    if name.endswith(OTHER_NOISE) and name.removesuffix(OTHER_NOISE) in order:
        return order.index(name.removesuffix(OTHER_NOISE)), 1
    if name in REUSES and STRATEGIES[-1] in order:
        return order.index(STRATEGIES[-1]), 1 + REUSES.index(name)
    return order.index(name), 0


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
    parts = [
        "# Adaptation to held-out tasks",
        INTRODUCTION.format(num_tasks),
        in_short(rows),
        summary(rows, IN_SHORT),
        summary(rows, OTHERS),
    ]
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
        lines.append(f"| {_name(row['method'])} | " + " | ".join(cells) + " |")
    return ["\n".join(lines)]


def in_short(rows: list[dict[str, Any]]) -> str:
    """The summary of what was met with every seed, ten episodes an update, by what most would ask for."""
    usual = [r for r in rows if r["episodes"] == FEW_EPISODES and r["family"] not in ONCE]
    return summary(usual, IN_SHORT)


def summary(rows: list[dict[str, Any]], methods: Sequence[str]) -> str:
    """One line a family that met one of some methods: the metric after five updates, and the task in view."""
    names = [m for m in methods if any(row["method"] == m for row in rows)]
    lines = ["| after five updates | " + " | ".join(map(_name, names)) + " | ceiling |"]
    lines.append("|" + " --- |" * (len(names) + 2))
    for one in _by_table(rows):
        mine, what = {row["method"]: row for row in one}, one[0]["metric"]
        if not any(name in mine for name in names):
            continue
        found = [(mine[m][what], AFTER) if m in mine else ([], AFTER) for m in names]
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
    name = _name(row["method"]) if len(found) > 1 else row["method"]
    cells = [name, " ".join(map(str, row["seeds"])), *after]
    if len(found) == 1:
        return [*cells, "", "", "", ""]
    iqm = _number(found[AFTER]["iqm"], what) if len(found) > AFTER else ""
    untrained = row["method"].startswith("scratch")
    steps = "" if untrained else f"{row['training_steps']:,.0f}"
    minutes = "" if untrained else f"{row['training_seconds'] / 60:.0f}"
    return [*cells, iqm, steps, minutes, f"{row['seconds'] / num_tasks:.1f}"]


def _name(method: str) -> str:
    plain = method.removesuffix(OTHER_NOISE)
    return f"`{plain}`{method[len(plain) :]}"


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
        print(f"{row['family']:<26}{row['method']:<25}{seeds:<9}{cells}")


def pictures(family: str, rows: Sequence[dict[str, Any]]) -> dict[str, bytes]:
    """Draw a family's curves, as PNG by name: of the methods, and of what reuses a policy."""
    name = family.split("/")[-1]
    name += f"-{rows[0]['episodes']}-episodes" * (rows[0]["episodes"] != FEW_EPISODES)
    added = [r for r in rows if r["method"] in REUSES or r["method"].endswith(OTHER_NOISE)]
    others = [row for row in rows if row not in added]
    found = {name: _curves(family, others, PUBLISHED.get(family, ()))}
    if any(row["method"] in REUSES for row in added):
        ours = [r for r in rows if r["method"].removesuffix(OTHER_NOISE) in (*STRATEGIES, *REUSES)]
        found[f"{name}-strategies"] = _curves(family, ours)
    return found


def _curves(family: str, rows: Sequence[dict[str, Any]], published: Sequence[float] = ()) -> bytes:
    what, lines = metric(family), []
    for row in rows:
        if len(row[what]) == 1:
            continue
        mean, low, high = (
            np.array([e[k] for e in row[what]]) for k in ("mean", "mean_low", "mean_high")
        )
        lines.append(Curve(row["method"], np.arange(len(mean)), mean, low, high))
    if published:
        found = np.array(published)
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
