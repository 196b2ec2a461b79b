"""What one network for all skills came to: a table with intervals over seeds, and a picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from metarl.adapt.statistics import t_interval
from metarl.grid.store import Record
from metarl.report.heatmap import heatmap_png
from metarl.runs.checkpoint import write_atomically
from metarl.runs.config import made_with
from metarl.runs.run import write_json
from shared.skill_design import ALONE, ONE_HEAD, OTHER_NOISE, TOGETHER, Design

RESULT, TABLE, PICTURE = "network.json", "network.md", "network.png"
_WORDS = {
    ALONE: "a network for each skill",
    TOGETHER: "one trunk, a head for each skill",
    ONE_HEAD: "one trunk, one head that sees which skill it is",
    OTHER_NOISE: f"`{TOGETHER}` again with the same first weights and other noise",
}


@dataclasses.dataclass(frozen=True)
class Row:
    """An arm's line.

    Args:
        arm: Which.
        rates: Success of each skill, a number a seed, (skills, seeds).
        behind_each: By how much each skill is behind the networks of one skill each, (skills, seeds);
            None: it is these, or they have not been run.
        skills: Their names.
    """

    arm: str
    rates: np.ndarray
    behind_each: np.ndarray | None
    skills: tuple[str, ...]

    @property
    def mean(self) -> str:
        """Over skills, with its interval over seeds [%]."""
        return _percent(self.rates.mean(0))

    @property
    def behind(self) -> str:
        """The same of how far it is behind."""
        return "" if self.behind_each is None else _percent(self.behind_each.mean(0), signed=True)

    @property
    def worst(self) -> str:
        """The skill that is furthest behind, or that succeeds least."""
        if self.behind_each is None:
            least = int(self.rates.mean(1).argmin())
            return f"{self.skills[least]} {100 * self.rates.mean(1)[least]:.0f}"
        most = int(self.behind_each.mean(1).argmax())
        return f"{self.skills[most]} {_percent(self.behind_each[most], signed=True)} behind"


def _percent(each: np.ndarray, *, signed: bool = False) -> str:
    around, least = t_interval(100 * each), -100.0 if signed else 0.0
    mean = f"{100 * np.mean(each):.1f}"
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
        """Every arm of which there is a seed, the networks of one skill each first."""
        alone, found = self._alone(), list[Row]()
        if alone:
            skills = self.design.skills
            found.append(Row(ALONE, np.array(list(alone.values())).T, None, skills))
        for arm in self.design.together:
            rates = self._together(arm)
            seeds = [seed for seed in rates if seed in alone] or list(rates)
            if not seeds:
                continue
            own, behind = np.array([rates[seed] for seed in seeds]).T, None
            if alone.keys() >= set(seeds):
                behind = np.array([alone[seed] for seed in seeds]).T - own
            found.append(Row(arm, own, behind, self.design.skills))
        return found

    def _alone(self) -> dict[int, list[float]]:
        """Success by skill, of those seeds of which every skill is finished."""
        found = dict[int, list[float]]()
        for seed in range(self.num_seeds):
            keys = [f"judge.{ALONE}.{skill}.s{seed}" for skill in self.design.skills]
            if all(key in self.records for key in keys):
                own = zip(keys, self.design.skills)
                found[seed] = [self._success(key, skill) for key, skill in own]
        return found

    def _together(self, arm: str) -> dict[int, list[float]]:
        keys = {seed: f"judge.{arm}.s{seed}" for seed in range(self.num_seeds)}
        return {
            seed: [self._success(key, skill) for skill in self.design.skills]
            for seed, key in keys.items()
            if key in self.records
        }

    def _success(self, key: str, skill: str) -> float:
        return self.records[key].result["success"][self.design.family(skill)]

    def minutes(self, arm: str) -> float:
        """What an arm's trainings took, a seed [min]."""
        start = f"train.{arm}."
        spent = {key: r.seconds for key, r in self.records.items() if key.startswith(start)}
        seeds = {key.rpartition(".")[2] for key in spent}  # of several skills' networks, too
        return sum(spent.values()) / 60 / max(1, len(seeds))


def markdown(results: Results) -> str:
    """Write the table."""
    design, rows = results.design, results.rows()
    lines = [
        f"{len(design.skills)} skills, imitation of the families' experts, {design.iterations} iterations,"
        f" {_seeds(rows)}; success [%] on {design.protocol.num_tasks} held-out tasks of each"
        " skill without an update, mean over seeds [95% t interval over seeds].",
        "",
        *(f"- `{row.arm}`: {_said(row.arm)}." for row in rows),
        _behind(rows),
        "",
        f"| arm | {' | '.join(design.skills)} | mean | behind | worst skill | minutes |",
        f"|{' --- |' * (len(design.skills) + 5)}",
    ]
    for row in rows:
        each = " | ".join(f"{100 * rate:.0f}" for rate in row.rates.mean(1))
        lines.append(
            f"| {row.arm} | {each} | {row.mean} | {row.behind} | {row.worst} |"
            f" {results.minutes(row.arm):.1f} |"
        )
    return "\n".join(lines) + "\n"


def _seeds(rows: Sequence[Row]) -> str:
    counts = sorted({row.rates.shape[1] for row in rows})
    return f"{' or '.join(map(str, counts)) or 'no'} seed{'' if counts == [1] else 's'}"


def _behind(rows: Sequence[Row]) -> str:
    if any(row.arm == ALONE for row in rows):
        return "- behind: `alone` less the arm, of the same seed, in points; negative is ahead."
    return "- behind: not known, for no network of one skill has been trained; none succeeds in more than 100%."


def _said(arm: str) -> str:
    return _WORDS.get(arm, f"`{TOGETHER}` with the skills' gradients added by `{arm}`")


def picture(rows: Sequence[Row]) -> bytes:
    """Draw success by arm and skill."""
    return heatmap_png(
        100 * np.array([row.rates.mean(1) for row in rows]), [row.arm for row in rows],
        rows[0].skills, title="Success on held-out tasks [%]", diverging=False, reach=100.0,
    )  # fmt: skip


def write(results: Results, folder: Path, command: str) -> list[Path]:
    """Write the rows as JSON, the table, and the picture if there is a row."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = results.rows()
    said = [
        {
            "arm": row.arm, "success": dict(zip(row.skills, row.rates.tolist())), "mean": row.mean,
            "behind": row.behind, "worst": row.worst, "minutes": results.minutes(row.arm),
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
