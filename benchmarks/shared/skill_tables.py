"""What one network for all skills came to: a table with intervals over seeds, and a picture."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from metarl.adapt.statistics import t_interval
from metarl.grid.store import Record
from metarl.multitask.config import BETWEEN, COSINE
from metarl.report.heatmap import heatmap_png
from metarl.runs.checkpoint import write_atomically
from metarl.runs.config import made_with
from metarl.runs.metrics import read_metrics
from metarl.runs.run import write_json
from shared.skill_design import ALONE, OTHER_NOISE, TOGETHER, Design

RESULT, TABLE, PICTURE = "network.json", "network.md", "network.png"
CONFLICTS = "conflicts.json"
_WORDS = {
    ALONE: "a network of one skill",
    TOGETHER: "one trunk, a head for each skill",
    OTHER_NOISE: f"`{TOGETHER}` again with the same first weights and other noise",
}


@dataclasses.dataclass(frozen=True)
class Row:
    """A line: an arm of all skills, or the networks of one skill.

    Args:
        arm: Which.
        rates: Success of each skill that it learned, a number a seed, (seeds,).
        ceilings: What a network of one skill had of the same seeds, of those skills of which every seed
            has one; None: these are those networks.
        skills: Every skill's name.
    """

    arm: str
    rates: Mapping[str, np.ndarray]
    ceilings: Mapping[str, np.ndarray] | None
    skills: tuple[str, ...]

    @property
    def mean(self) -> str:
        """Over all skills, with its interval over seeds [%]; empty where one was not learned."""
        return _percent(self._mean(self.rates)) if self.rates.keys() >= set(self.skills) else ""

    @property
    def behind(self) -> str:
        """How far the mean is behind that of networks of one skill [points].

        "at most": of skills without one, it is taken to succeed in 100%.
        """
        if self.ceilings is None:
            return ""
        known = self.ceilings.keys() >= set(self.skills)
        behind = {skill: self._behind(skill) for skill in self.skills}
        return "at most " * (not known) + _percent(self._mean(behind), signed=True)

    @property
    def furthest(self) -> str:
        """The skill that is furthest behind its own network, or what it would be at most."""
        if self.ceilings is None:
            return ""
        skill = max(self.skills, key=lambda skill: self._behind(skill).mean())
        known = skill in self.ceilings
        return f"{skill}, {'at most ' * (not known)}{_percent(self._behind(skill), signed=True)}"

    def _behind(self, skill: str) -> np.ndarray:
        return (self.ceilings or {}).get(skill, np.array(1.0)) - self.rates[skill]

    def _mean(self, each: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.array([each[skill] for skill in self.skills]).mean(0)


def _percent(each: np.ndarray, *, signed: bool = False) -> str:
    around, least = t_interval(100 * each), -100.0 if signed else 0.0
    mean = f"{round(100 * np.mean(each), 1) + 0.0:.1f}"  # never -0.0
    if np.isnan(around.low):
        return mean
    return f"{mean} [{max(least, around.low):.1f}, {min(100.0, around.high):.1f}]"


class Results:
    """The finished cells of a design.

    Args:
        design: What was asked for.
        records: The cells, by key.
        num_seeds: How many trainings of each.
    """

    def __init__(self, design: Design, records: Mapping[str, Record], num_seeds: int):
        self.design, self.records, self.num_seeds = design, records, num_seeds

    def rows(self) -> list[Row]:
        """Every arm of which there is a seed, the networks of one skill first."""
        skills = self.design.skills
        alone = {skill: self._alone(skill) for skill in skills}
        alone = {skill: rates for skill, rates in alone.items() if rates}
        found = list[Row]()
        if alone:
            own = {skill: np.array(list(rates.values())) for skill, rates in alone.items()}
            found.append(Row(ALONE, own, None, skills))
        for arm in (TOGETHER, OTHER_NOISE):
            rates = self._together(arm)
            if not rates:
                continue
            own = {skill: np.array([each[skill] for each in rates.values()]) for skill in skills}
            ceilings = {
                skill: np.array([each[seed] for seed in rates])
                for skill, each in alone.items()
                if each.keys() >= rates.keys()
            }
            found.append(Row(arm, own, ceilings, skills))
        return found

    def _alone(self, skill: str) -> dict[int, float]:
        keys = self._keys(f"{ALONE}.{skill}")
        return {seed: self._success(key, skill) for seed, key in keys.items()}

    def _together(self, arm: str) -> dict[int, dict[str, float]]:
        return {
            seed: {skill: self._success(key, skill) for skill in self.design.skills}
            for seed, key in self._keys(arm).items()
        }

    def _keys(self, arm: str) -> dict[int, str]:
        keys = {seed: f"judge.{arm}.s{seed}" for seed in range(self.num_seeds)}
        return {seed: key for seed, key in keys.items() if key in self.records}

    def _success(self, key: str, skill: str) -> float:
        return self.records[key].result["success"][self.design.family(skill)]


def markdown(results: Results) -> str:
    """Write the table."""
    design, rows = results.design, results.rows()
    lines = [
        f"{len(design.skills)} skills, imitation of the families' experts, {design.iterations} iterations,"
        f" {_seeds(rows)}; success [%] on {design.protocol.num_tasks} held-out tasks of each"
        " skill without an update, mean over seeds [95% t interval over seeds].",
        "",
        *(f"- `{row.arm}`: {_WORDS[row.arm]}." for row in rows),
        "- behind: `alone` less the arm, of the same seeds, in points; negative is ahead. At most: skills"
        " without a network of their own count as if it succeeded in 100%.",
        "",
        f"| arm | {' | '.join(design.skills)} | mean | behind | furthest behind |",
        f"|{' --- |' * (len(design.skills) + 4)}",
    ]
    for row in rows:
        each = " | ".join(_share(row.rates.get(skill)) for skill in design.skills)
        lines.append(f"| {row.arm} | {each} | {row.mean} | {row.behind} | {row.furthest} |")
    return "\n".join(lines) + "\n"


def _share(rates: np.ndarray | None) -> str:
    return "" if rates is None else f"{100 * rates.mean():.0f}"


def _seeds(rows: Sequence[Row]) -> str:
    counts = sorted({rates.size for row in rows for rates in row.rates.values()})
    return f"{' or '.join(map(str, counts)) or 'no'} seed{'' if counts == [1] else 's'}"


def picture(rows: Sequence[Row]) -> bytes:
    """Draw success by arm and skill."""
    skills, none = rows[0].skills, np.array(np.nan)
    rates = np.array([[row.rates.get(skill, none).mean() for skill in skills] for row in rows])
    return heatmap_png(
        100 * rates, [row.arm for row in rows], skills, title="Success on held-out tasks [%]",
        diverging=False, reach=100.0,
    )  # fmt: skip


def write(results: Results, folder: Path, command: str) -> list[Path]:
    """Write the rows as JSON, the table, and the picture if there is a row."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = results.rows()
    said = [
        {
            "arm": row.arm, "success": {skill: each.tolist() for skill, each in row.rates.items()},
            "mean": row.mean,
            "behind": row.behind, "furthest_behind": row.furthest,
        }
        for row in rows
    ]  # fmt: skip
    design = dataclasses.asdict(results.design)
    write_json(folder / RESULT, {"design": design, "rows": said, **made_with(command)})
    write_atomically(folder / TABLE, markdown(results).encode())
    if not rows:
        return [folder / RESULT, folder / TABLE]
    write_atomically(folder / PICTURE, picture(rows))
    return [folder / name for name in (RESULT, TABLE, PICTURE)]


def write_conflicts(runs: Path, folder: Path, command: str) -> list[Path]:
    """Write how much skills hindered each other, of the trainings whose run folders are still there.

    Of every two skills, the cosine between their gradients, mean over iterations; and the mean over pairs.
    What is kept of other trainings stays.
    """
    found, kept = {}, folder / CONFLICTS
    for run in sorted((runs / "trainings").glob("*")):
        rows = read_metrics(run)
        pairs = [name for name in (rows[0] if rows else {}) if name.startswith(f"{COSINE}/")]
        pairs = [name for name in pairs if BETWEEN in name]
        each = {
            name.removeprefix(f"{COSINE}/"): float(np.mean([row[name] for row in rows]))
            for name in pairs
        }
        if each:
            arm = run.name.rpartition("-")[0]
            found[arm] = {"mean": float(np.mean(list(each.values()))), "pairs": each}
    if not found:
        return []
    known = json.loads(kept.read_text())["trainings"] if kept.exists() else {}
    write_json(kept, {"trainings": known | found, **made_with(command)})
    return [kept]
