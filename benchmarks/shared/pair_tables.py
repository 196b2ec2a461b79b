"""What unseen pairs came to: rates with their intervals over seeds, a table, and a picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metarl.adapt.statistics import t_interval
from metarl.grid.store import Record
from metarl.names import split_name
from metarl.report import canvas
from metarl.report.colors import OTHERS
from metarl.runs.checkpoint import write_atomically
from metarl.runs.config import made_with
from metarl.runs.run import write_json
from shared.pair_design import (
    ALONE,
    MAIN,
    OTHER_NOISE,
    RESTRICTED,
    SPLITS,
    Design,
    alone,
)

RESULT, TABLE, PICTURE = "pairs.json", "pairs.md", "features.png"
TRAINED, UNSEEN, NEAREST, CEILING = "trained", "unseen", "nearest", "ceiling"
Rates = Mapping[tuple[str, str], Sequence[float]]  # of each pair, a number a seed
_WORDS = {
    TRAINED: "pairs that were trained",
    UNSEEN: "unseen pairs, no update",
    NEAREST: "nearest trained pair's policy on the unseen ones",
    CEILING: "trained on the unseen pair alone",
}
_RATIO = "unseen, as a share of trained alone"


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of the table.

    Args:
        split: Which pairs met in training.
        what: Whose success.
        each: Mean over pairs, a number a seed.
        worst: The pair with the least mean over seeds, and that mean; empty where it is a share.
    """

    split: str
    what: str
    each: tuple[float, ...]
    worst: tuple[str, float] | None

    def __str__(self) -> str:
        around = t_interval(np.array(self.each))
        mean = f"{100 * np.mean(self.each):.0f}"
        if np.isnan(around.low):
            return mean
        return f"{mean} [{max(0.0, 100 * around.low):.0f}, {100 * self._most(around.high):.0f}]"

    def _most(self, high: float) -> float:
        return high if self.worst is None else min(1.0, high)


class Results:
    """The finished cells of a design.

    Args:
        design: What was asked for.
        records: The cells, by key.
        num_seeds: How many trainings of each.
    """

    def __init__(self, design: Design, records: Mapping[str, Record], num_seeds: int):
        self.design, self.records, self.num_seeds = design, records, num_seeds

    def rates(self, split: str, what: str) -> Rates:
        """Success of each pair, of those seeds whose cells are finished."""
        trained = what == TRAINED
        arm = MAIN if split == OTHER_NOISE else split
        pairs = self.design.trained(arm) if trained else self.design.unseen(arm)
        found = {pair: [self._rate(split, what, pair, s) for s in self._seeds] for pair in pairs}
        whole = [all(r[s] is not None for r in found.values()) for s in self._seeds]
        return {
            pair: [rate for rate, done in zip(each, whole) if done and rate is not None]
            for pair, each in found.items()
        }

    @property
    def _seeds(self) -> range:
        return range(self.num_seeds)

    def _rate(self, split: str, what: str, pair: tuple[str, str], seed: int) -> float | None:
        key = {
            NEAREST: f"nearest.{split}.s{seed}",
            CEILING: f"judge.{alone(pair)}.s{seed}",
        }.get(what, f"judge.{split}.s{seed}")
        if key not in self.records:
            return None
        found = self.records[key].result["success"].get(self.design.family(pair))
        return max(found.values()) if isinstance(found, dict) else found

    def rows(self) -> list[Row]:
        """Every line for which there is a seed."""
        found = list[Row]()
        for split in (MAIN, OTHER_NOISE, RESTRICTED):
            whats = (TRAINED, UNSEEN) if split == OTHER_NOISE else tuple(_WORDS)
            for what in whats:
                found += self._row(split, what)
            found += self._ratio(split)
        return found

    def _row(self, split: str, what: str) -> list[Row]:
        rates = self.rates(split, what)
        each = np.array(list(rates.values()))
        if not each.size:
            return []
        pairs = list(rates)
        least = int(each.mean(1).argmin())
        worst = (" ".join(pairs[least]), float(each.mean(1)[least]))
        return [Row(split, _WORDS[what], tuple(each.mean(0).tolist()), worst)]

    def _ratio(self, split: str) -> list[Row]:
        arm = MAIN if split == OTHER_NOISE else split
        shares = list[float]()
        for s in self._seeds:
            unseen, ceiling = (
                [self._rate(x, what, pair, s) for pair in self.design.unseen(arm)]
                for x, what in ((split, UNSEEN), (arm, CEILING))
            )
            if None not in (*unseen, *ceiling) and any(ceiling):
                shares.append(float(np.mean(np.array(unseen)) / np.mean(np.array(ceiling))))
        return [Row(split, _RATIO, tuple(shares), None)] if shares else []

    def features(self) -> Mapping[str, Any] | None:
        """Of the first seed's main training; None: not finished."""
        record = self.records.get(f"features.{MAIN}.s0")
        return None if record is None else record.result


def markdown(results: Results) -> str:
    """Write the tables."""
    design = results.design
    n = len(design.pairs)
    lines = [
        f"{len(design.robots)} robots x {len(design.skills)} skills = {n} pairs, imitation of the"
        f" families' experts, {design.iterations} iterations, {results.num_seeds} seeds; success [%] on"
        " held-out tasks without an update, mean over pairs and seeds [95% t interval over seeds].",
        "",
        *(f"- `{split}`: {_said(design, split)}" for split in SPLITS),
        f"- `{OTHER_NOISE}`: `{MAIN}` again with the same first weights and other noise.",
        *_of_pivot(design),
        f"- nearest: the policy of a pair of the same skill that `{MAIN}` or `{RESTRICTED}` was trained on,"
        " of every other robot; the best of these counts. Columns go along by name, joints by their order"
        " from the base, the gripper as the gripper; joints that are too many are left out, those that"
        " are missing hardly move.",
        f"- `{ALONE}`: that pair's worlds, iterations and steps, and no other pair's.",
        "",
        "| split | whose success | success [%] | worst pair |",
        "| --- | --- | --- | --- |",
    ]
    for row in results.rows():
        worst = "" if row.worst is None else f"{row.worst[0]} {100 * row.worst[1]:.0f}"
        lines.append(f"| {row.split} | {row.what} | {row} | {worst} |")
    for split in SPLITS:
        lines += _by_pair(results, split)
    return "\n".join([*lines, *_of_features(results)]) + "\n"


def _of_pivot(design: Design) -> list[str]:
    if not design.pivot:
        return []
    names = ", ".join(f"`{split_name(name)[0].rpartition(':')[2]}`" for name in design.pivot)
    return [
        f"- But for `{ALONE}`, all robots learn {names} as well, in which the hand goes wherever it is"
        " told."
    ]


def _said(design: Design, split: str) -> str:
    unseen = ", ".join(" ".join(pair) for pair in design.unseen(split))
    return f"trained on {len(design.trained(split))}; unseen {unseen}."


def _by_pair(results: Results, split: str) -> list[str]:
    """Each pair's success, unseen ones in bold with the nearest's and the ceiling's."""
    design = results.design
    trained, *others = (results.rates(split, w) for w in (TRAINED, UNSEEN, NEAREST, CEILING))
    robots, skills = sorted(design.robots), sorted(design.skills)
    lines = [
        "",
        f"`{split}`, success [%] by pair; **unseen** (nearest / alone)",
        "",
        f"| skill | {' | '.join(robots)} |",
        f"|{' --- |' * (len(robots) + 1)}",
    ]
    for skill in skills:
        cells = []
        for robot in robots:
            pair = (robot, skill)
            if pair in trained:
                cells.append(_mean(trained[pair]))
            else:
                unseen, near, top = (_mean(rates[pair]) for rates in others)
                cells.append(f"**{unseen}** ({near} / {top})")
        lines.append(f"| {skill} | {' | '.join(cells)} |")
    return lines


def _mean(each: Sequence[float]) -> str:
    return f"{100 * np.mean(each):.0f}" if each else "–"


def _of_features(results: Results) -> list[str]:
    found = results.features()
    if found is None:
        return []
    skill, robot = (100 * found["explained"][n] for n in ("skill", "robot"))
    return [
        "",
        f"Of the variance of what the cores tell the decoders (seed 0, all {len(results.design.pairs)}"
        f" pairs), {skill:.0f}% lies between skills and {robot:.0f}% between robots.",
    ]


def picture(features: Mapping[str, Any]) -> bytes:
    """Draw the features' two first components, coloured by skill and by robot."""
    figure = canvas.bare_figure(11.0, 5.2)
    points, first = np.array(features["points"]), None
    for axes, by in zip(figure.subplots(1, 2), ("skill", "robot")):
        canvas.quiet(axes)
        labels = np.array(features[f"{by}s"])
        for name, color in zip(sorted(set(labels)), OTHERS * 3):
            axes.scatter(*points[labels == name].T, s=9, color=color, label=name, linewidths=0)
        share = features["explained"][by]
        title = f"{share:.0%} of the variance lies between {by}s"
        axes.set_title(title, loc="left", color=canvas.INK)
        axes.set_xlabel(f"first component ({features['variance'][0]:.0%})")
        axes.legend(frameon=False, fontsize=9, markerscale=2, loc="best")
        first = first or axes
    assert first is not None
    first.set_ylabel(f"second component ({features['variance'][1]:.0%})")
    return canvas.png(figure)


def write(results: Results, folder: Path, command: str) -> list[Path]:
    """Write the rows as JSON, the tables, and the picture if its cell is finished."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{**dataclasses.asdict(row), "said": str(row)} for row in results.rows()]
    by_pair = {
        f"{split} {what}": {" ".join(p): list(r) for p, r in results.rates(split, what).items()}
        for split in (MAIN, OTHER_NOISE, RESTRICTED)
        for what in _WORDS
        if split != OTHER_NOISE or what in (TRAINED, UNSEEN)
    }
    seconds = {key: record.seconds for key, record in results.records.items()}
    design = dataclasses.asdict(results.design)
    said = {"design": design, "rows": rows, "success": by_pair, "seconds": sum(seconds.values())}
    write_json(folder / RESULT, {**said, **made_with(command)})
    write_atomically(folder / TABLE, markdown(results).encode())
    features = results.features()
    if features is None:
        return [folder / RESULT, folder / TABLE]
    write_atomically(folder / PICTURE, picture(features))
    return [folder / name for name in (RESULT, TABLE, PICTURE)]
