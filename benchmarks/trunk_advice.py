"""Does `metarl perceive advise` say beforehand which trunk will serve, and which one misleads?

    python benchmarks/trunk_advice.py
    python benchmarks/trunk_advice.py --seeds 1 --strategies frozen-trunk

Three numbers are asked of 100 pictures of the kitchen: how done, how heavy, how dear. Trunks are
EfficientNet-Lite0, 1 and 2 of ImageNet, the shipped small CNN, the same untrained, and two that may
mislead, each trained anew for every seed on the kitchen's own pictures: `any-light` names the ingredient
whatever the light, each picture in training having its brightness and its colours drawn, so that it
learns to pass over what shows how done a thing is; `shuffled` learns ingredients that were dealt out at
random. Each is scored before anything is trained, by LogME and by the pictures that are left out in turn, and
then trained: the head alone, and everything.
The control arm is fine-tuning once more with other noise: how well it foretells itself is what can be
had. Finished cells are kept, and the same command goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from shared.eyes import as_data, read_part, save_parts, swapped
from shared.grid import GridConfig, run_grid
from shared.machine import RESULTS, restart_for_same_bits
from shared.made_trunks import MADE, SCENE, Made

from metarl.adapt.statistics import t_interval
from metarl.advise.judge import Judged, mean_tau, over_targets
from metarl.advise.trunks import score_trunk
from metarl.ambient import steady
from metarl.grid.cell import Cell
from metarl.perception.given import SMALL_CNN
from metarl.perception.own import Labelled
from metarl.perception.pictures import draw_pictures, get_scene
from metarl.perception.swap_config import SwapConfig
from metarl.runs.checkpoint import write_atomically
from metarl.runs.config import made_with
from metarl.runs.run import write_json
from metarl.streams import derive_seed

COMMAND = "python benchmarks/trunk_advice.py"
QUESTIONS = ("doneness", "portion_g", "price_eur")
LITES = ("tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2")
TRUNKS = (*LITES, SMALL_CNN, *MADE)
FROZEN, TUNED = "frozen-trunk", "fine-tune"
LOGME, LEFT_OUT = "LogME", "left-out error"
FIRST_SEED = 300  # 900 to 902 chose how features are scaled, and by what trunks are ranked


@dataclass(frozen=True, kw_only=True)
class Pictures(Cell):
    """A seed's pictures: to learn from, and to judge by."""

    seed: int
    size: int
    num_train: int
    num_test: int

    @property
    def key(self) -> str:
        return f"pictures-s{self.seed}"

    def files(self) -> tuple[str, ...]:
        return (f"pictures/{self.key}.safetensors",)

    def run(self, folder: Path) -> Mapping[str, Any]:
        parts = {}
        for part, n in (("train", self.num_train), ("test", self.num_test)):
            seed = derive_seed(self.seed, f"trunk-advice/{part}")
            drawn = draw_pictures(get_scene(SCENE), n, seed=seed, size=self.size)
            target = np.stack([drawn.measures[name] for name in QUESTIONS], 1)
            parts[part] = Labelled(tuple(map(str, range(n))), drawn.pixels, QUESTIONS, target)
        save_parts(folder / self.files()[0], parts)
        return {"pictures": self.num_train + self.num_test}


@dataclass(frozen=True, kw_only=True)
class _OnPictures(Cell):
    """Something of one trunk and question."""

    trunk: str
    question: str
    pictures: Pictures
    made: Made | None

    def needs(self) -> tuple[Cell, ...]:
        return (self.pictures, *([self.made] if self.made is not None else []))

    @property
    def backbone(self) -> str:
        """Of which the trunk is."""
        return SMALL_CNN if self.made is not None else self.trunk

    def weights(self, folder: Path) -> str | None:
        """The file of a trunk that was made; None: what the backbone brings."""
        return None if self.made is None else str(folder / self.made.files()[0])

    def part(self, folder: Path, name: str) -> Labelled:
        """Read pictures that are asked the question."""
        return read_part(folder / self.pictures.files()[0], name, column=self.question)


@dataclass(frozen=True, kw_only=True)
class Scored(_OnPictures):
    """What is said of a trunk before anything is trained."""

    @property
    def key(self) -> str:
        return f"score-{self.trunk}-{self.question}-s{self.pictures.seed}"

    @steady(1)
    def run(self, folder: Path) -> Mapping[str, Any]:
        train = self.part(folder, "train")
        found = score_trunk(
            as_data(train, train), self.backbone, weights=self.weights(folder),
            seed=self.pictures.seed,
        )  # fmt: skip
        return {
            "score": found.score, "gain": found.gain, "error": found.error,
            "untrained error": found.untrained_error, "harm": [found.harm.low, found.harm.high],
            "verdict": found.verdict, "seconds": found.seconds,
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Swapped(_OnPictures):
    """What came of a trunk."""

    strategy: str
    noise: int
    max_epochs: int

    @property
    def key(self) -> str:
        noise = f"-n{self.noise}" * (self.noise > 0)
        return f"{self.trunk}-{self.strategy}-{self.question}{noise}-s{self.pictures.seed}"

    @steady(1)
    def run(self, folder: Path) -> Mapping[str, Any]:
        seed = self.pictures.seed
        config = SwapConfig(
            data=f"{SCENE}:{self.question}", backbone=self.backbone, weights=self.weights(folder),
            size=self.pictures.size, strategy=self.strategy, max_epochs=self.max_epochs,
            seed=derive_seed(seed, "noise") if self.noise else seed,
        )  # fmt: skip
        data = as_data(self.part(folder, "train"), self.part(folder, "test"))
        return swapped(config, data, folder, self.key)


@dataclass(frozen=True)
class Config(GridConfig):
    """How much of it is run."""

    runs: Path = Path("runs/trunk-advice")
    """Where cells, pictures and runs are kept while it runs."""
    results: Path = RESULTS / "trunk-advice"
    """Where the merged cells and the table go."""
    first_seed: int = FIRST_SEED
    """The first one; 900 to 902 chose by what trunks are ranked."""
    trunks: tuple[str, ...] = TRUNKS
    """Which."""
    questions: tuple[str, ...] = QUESTIONS
    """What is asked of the head alone."""
    tuned_questions: tuple[str, ...] = ("doneness",)
    """What everything is trained for."""
    strategies: tuple[str, ...] = (FROZEN, TUNED)
    """What is trained; with fine-tuning goes its control arm."""
    num_train: int = 100
    """Pictures to learn from."""
    num_test: int = 300
    """Pictures that judge."""
    size: int = 64
    """Width and height of pictures [pixels]."""
    epochs: int = 40
    """Bound on the epochs of a small CNN; the stopping rule usually ends sooner."""
    large_epochs: int = 8
    """That of a larger trunk."""
    trunk_pictures: int = 600
    """Pictures from which trunks are made."""
    trunk_epochs: int = 20
    """Passes over them."""


def cells_of(config: Config) -> list[Cell]:
    """List the cells: the scores, then the head alone, then everything; the cheap ones first."""
    found: list[Cell] = []
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    found += [
        _on(config, Scored, t, q, s) for s in seeds for q in config.questions for t in config.trunks
    ]
    for strategy in config.strategies:
        questions = config.questions if strategy == FROZEN else config.tuned_questions
        for seed in seeds:
            for noise in range(2 if strategy == TUNED else 1):
                for question in questions:
                    for trunk in reversed(config.trunks):
                        epochs = config.large_epochs if trunk in LITES else config.epochs
                        how = {"strategy": strategy, "noise": noise, "max_epochs": epochs}
                        found.append(_on(config, Swapped, trunk, question, seed, **how))
    return found


def _on(config: Config, kind: type[Any], trunk: str, question: str, seed: int, **more: Any) -> Cell:
    pictures = Pictures(
        seed=seed, size=config.size, num_train=config.num_train, num_test=config.num_test
    )
    made = None
    if trunk in MADE:
        epochs, num = config.trunk_epochs, config.trunk_pictures
        made = Made(trunk=trunk, seed=seed, num_pictures=num, epochs=epochs)
    cell: Cell = kind(trunk=trunk, question=question, pictures=pictures, made=made, **more)
    return cell


def table_of(cells: Sequence[Cell], results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Gather scores and errors by trunk, question and arm, a value a finished seed.

    Returns:
        ``scores``, ``gains``, ``left out`` and ``verdicts`` by (question, trunk) and ``errors`` by (arm,
        question, trunk), each a dict of values by seed.
    """
    found: dict[str, Any] = {
        "scores": {}, "gains": {}, "left out": {}, "verdicts": {}, "errors": {}
    }  # fmt: skip
    for cell in cells:
        result = results.get(cell.key)
        if result is None or not isinstance(cell, _OnPictures):
            continue
        seed, where = cell.pictures.seed, (cell.question, cell.trunk)
        if isinstance(cell, Scored):
            for name, value in (
                ("scores", "score"), ("gains", "gain"), ("left out", "error"),
                ("verdicts", "verdict"),
            ):  # fmt: skip
                found[name].setdefault(where, {})[seed] = result[value]
        elif isinstance(cell, Swapped):
            arm = cell.strategy + ", other noise" * cell.noise
            found["errors"].setdefault((arm, *where), {})[seed] = result["error"]
    return found


def foretold(table: Mapping[str, Any], arm: str, by: str = LOGME) -> dict[str, Any] | None:
    """How well a ranking of trunks was foretold, over every question and seed that has all of them.

    Args:
        table: Of `table_of`.
        arm: Whose errors came true.
        by: What foretells: `LOGME`, `LEFT_OUT`, or the arm whose errors do.
    Returns:
        ``tau``, the mean weighted tau, with its 95% bootstrap interval over questions and seeds;
        ``best named``, the share in which the first of the ranking was the best; ``cost``, the error of the
        first over the best's error, less 1; ``rankings``, their number; None where there are none.
    """
    truth = {key[1:]: v for key, v in table["errors"].items() if key[0] == arm}
    if by == LOGME:
        said = table["scores"]
    else:
        own = {key[1:]: v for key, v in table["errors"].items() if key[0] == by}
        errors = table["left out"] if by == LEFT_OUT else own
        said = {key: {s: -e for s, e in values.items()} for key, values in errors.items()}
    trunks = {trunk for _, trunk in truth}
    rows = [
        Judged(
            source=trunk, target=f"{question}, seed {seed}", strategy=arm, exploration="",
            predicted=said[question, trunk][seed], measured=-error,
        )
        for (question, trunk), values in truth.items()
        for seed, error in values.items()
        if all(
            seed in side.get((question, t), {}) for t in trunks for side in (truth, said)
        )
    ]  # fmt: skip
    if not rows or len(trunks) < 2:
        return None
    around = over_targets(rows, mean_tau)
    groups = [[r for r in rows if r.target == t] for t in dict.fromkeys(r.target for r in rows)]
    firsts = [max(g, key=lambda r: r.predicted).measured for g in groups]
    bests = [max(r.measured for r in g) for g in groups]
    return {
        "tau": mean_tau(rows),
        "interval": [around.low, around.high],
        "best named": float(np.mean([a == b for a, b in zip(firsts, bests, strict=True)])),
        "cost": float(np.mean([a / b - 1.0 for a, b in zip(firsts, bests, strict=True)])),
        "rankings": len(groups),
    }


def rows_of(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row a question and trunk: what was said, and what came of it."""
    arms = list(dict.fromkeys(arm for arm, _, _ in table["errors"]))
    return [
        {
            "question": question,
            "trunk": trunk,
            "LogME": list(scores.values()),
            "gain": list(table["gains"][question, trunk].values()),
            "left out": list(table["left out"][question, trunk].values()),
            "verdicts": list(table["verdicts"][question, trunk].values()),
            "errors": {
                arm: list(table["errors"][arm, question, trunk].values())
                for arm in arms
                if (arm, question, trunk) in table["errors"]
            },
        }
        for (question, trunk), scores in table["scores"].items()
    ]


def judged(table: Mapping[str, Any]) -> dict[str, Any]:
    """How well each arm's ranking was foretold, and fine-tuning's by its control arm."""
    found = {
        f"{arm}, by {by}": foretold(table, arm, by)
        for arm in (FROZEN, TUNED)
        for by in (LEFT_OUT, LOGME)
    }
    found[f"{TUNED}, by its control arm"] = foretold(table, TUNED, f"{TUNED}, other noise")
    return {name: how for name, how in found.items() if how is not None}


def markdown(rows: Sequence[Mapping[str, Any]], how: Mapping[str, Any]) -> str:
    """Write both tables."""
    arms = list(dict.fromkeys(arm for row in rows for arm in row["errors"]))
    lines = [
        "Made by `python benchmarks/trunk_advice.py --finished`. Said beforehand: LogME [nat] and the"
        " error of pictures left out in turn [spreads], with its verdict on each seed; what came of it: the"
        " error in the question's own units. Mean over seeds [95% t interval].",
        "",
        f"| question | trunk | LogME | left out | verdicts | {' | '.join(arms)} |",
        f"|{' --- |' * (5 + len(arms))}",
    ]
    for row in rows:
        errors = [_said(row["errors"].get(arm, [])) for arm in arms]
        counts = Counter(row["verdicts"])
        verdicts = ", ".join(f"{n} {verdict}" for verdict, n in counts.most_common())
        said = [_said(row["LogME"]), _said(row["left out"]), verdicts, *errors]
        lines.append(f"| {row['question']} | {row['trunk']} | {' | '.join(said)} |")
    lines += [
        "",
        "| ranking | weighted tau | best trunk named | error above the best's | rankings |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, one in how.items():
        low, high = one["interval"]
        lines.append(
            f"| {name} | {one['tau']:.2f} [{low:.2f}, {high:.2f}] | {one['best named']:.0%} |"
            f" {one['cost']:.0%} | {one['rankings']} |"
        )
    return "\n".join(lines) + "\n"


def _said(values: Sequence[float]) -> str:
    if not values:
        return ""
    around = t_interval(np.array(values))
    mean = f"{np.mean(values):.3g}"
    return mean if np.isnan(around.low) else f"{mean} [{around.low:.3g}, {around.high:.3g}]"


def main(config: Config) -> int:
    """Run what is missing, and write the tables of every cell that is there."""
    cells = cells_of(config)
    records, failed = run_grid(cells, config)
    table = table_of(cells, {key: record.result for key, record in records.items()})
    rows, how = rows_of(table), judged(table)
    config.results.mkdir(parents=True, exist_ok=True)
    saved = {"rows": rows, "foretold": how, **made_with(COMMAND)}
    write_json(config.results / "advice.json", saved)
    write_atomically(config.results / "advice.md", markdown(rows, how).encode())
    print(markdown(rows, how))
    return 1 if failed else 0


if __name__ == "__main__":
    restart_for_same_bits()
    raise SystemExit(main(tyro.cli(Config)))
