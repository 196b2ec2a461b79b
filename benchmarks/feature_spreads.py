"""How far may features be brought to one spread before a head is solved on them?

    python benchmarks/feature_spreads.py

A feature behind a ReLU may vary hardly at all in the pictures to learn from. Brought to the spread of the
others it lies thousands of spreads away on a picture to come. So no spread is taken to be less than a share
of the features' root mean square; this tries shares, from none (0) on, on pictures and seeds that no other
benchmark has. `metarl.perception.heads.LEAST_SPREAD` is the smallest from which on nothing changes. Finished
cells are kept, and the same command goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trunk_advice
import tyro
from shared.eyes import as_data, read_part
from shared.grid import GridConfig, run_grid
from shared.machine import RESULTS, restart_for_same_bits, write_result

from metarl.adapt.statistics import t_interval
from metarl.ambient import steady
from metarl.grid.cell import Cell
from metarl.perception.backbones import trained_backbone
from metarl.perception.fitting import look
from metarl.perception.given import SMALL_CNN
from metarl.perception.heads import Scale, left_out_answers, ridge_heads
from metarl.perception.solving import FOLDS, PENALTIES

SHARES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
FIRST_SEED = 900  # trunk_advice.py has others


@dataclass(frozen=True, kw_only=True)
class Solved(Cell):
    """Heads on one trunk, by every share, for every question."""

    trunk: str
    pictures: trunk_advice.Pictures

    @property
    def key(self) -> str:
        return f"{self.trunk}-s{self.pictures.seed}"

    def needs(self) -> tuple[Cell, ...]:
        return (self.pictures,)

    @steady(1)
    def run(self, folder: Path) -> Mapping[str, Any]:
        file = folder / self.pictures.files()[0]
        network, _ = trained_backbone(self.trunk, 1, torch.Generator().manual_seed(0))
        train, test = (read_part(file, part) for part in ("train", "test"))
        here, there = (
            look(network.trunk, as_data(train, test).pixels(part)).double().numpy()
            for part in (train, test)
        )
        found: dict[str, Any] = {}
        for column, question in enumerate(train.columns):
            wanted, truth = (part.target[:, [column]].astype(float) for part in (train, test))
            errors = [error(here, wanted, there, truth, share) for share in SHARES]
            found[question] = [each / truth.std() for each in errors]
        return found


def error(
    here: np.ndarray, wanted: np.ndarray, there: np.ndarray, truth: np.ndarray, share: float
) -> float:
    """The mean absolute error on other pictures of a head that is solved, its penalty chosen by parts.

    Args:
        here: Features to learn from, shape (n, F).
        wanted: Shape (n, 1).
        there: Features that judge, shape (m, F).
        truth: Shape (m, 1).
        share: Least spread, as for `metarl.perception.heads.spreads`.
    """
    parts = np.arange(len(here)) % FOLDS
    answers = left_out_answers(here, wanted, parts, PENALTIES, share)
    best = np.abs(answers - wanted).mean((1, 2)).argmin()
    scale = Scale(here, share)
    weight, bias = ridge_heads(scale(here), wanted, PENALTIES * len(here))[best]
    return float(np.abs(scale(there) @ weight.T + bias - truth).mean())


@dataclass(frozen=True)
class Config(GridConfig):
    """How much of it is run."""

    runs: Path = Path("runs/feature-spreads")
    """Where cells and pictures are kept while it runs."""
    results: Path = RESULTS / "feature-spreads"
    """Where the merged cells and the result go."""
    trunks: tuple[str, ...] = (*trunk_advice.LITES, SMALL_CNN)
    """Which."""
    num_train: int = 100
    """Pictures to learn from."""
    num_test: int = 300
    """Pictures that judge."""
    size: int = 64
    """Width and height of pictures [pixels]."""


def cells_of(config: Config) -> list[Solved]:
    """List the cells, a seed whole before the next."""
    return [
        Solved(
            trunk=trunk,
            pictures=trunk_advice.Pictures(
                seed=seed, size=config.size, num_train=config.num_train, num_test=config.num_test
            ),
        )
        for seed in range(FIRST_SEED, FIRST_SEED + config.seeds)
        for trunk in config.trunks
    ]


def rows_of(
    cells: Sequence[Solved], results: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """A row a trunk and question: the error for each share, mean over the finished seeds [spreads]."""
    rows: dict[tuple[str, str], list[Any]] = {}
    for cell in cells:
        for question, errors in results.get(cell.key, {}).items():
            rows.setdefault((cell.trunk, question), []).append(errors)
    return [
        {
            "trunk": trunk,
            "question": question,
            "errors": dict(zip(map(str, SHARES), np.mean(errors, axis=0).tolist())),
            "intervals": {
                str(share): [around.low, around.high]
                for share, column in zip(SHARES, np.array(errors).T)
                for around in [t_interval(column)]
            },
            "seeds": len(errors),
        }
        for (trunk, question), errors in rows.items()
    ]


def main(config: Config) -> int:
    """Run what is missing, and write and print what there is."""
    cells = cells_of(config)
    records, failed = run_grid(cells, config)
    rows = rows_of(cells, {key: record.result for key, record in records.items()})
    print(f"{'':36}" + "".join(f"{share:>8g}" for share in SHARES))
    for row in rows:
        errors = "".join(f"{each:8.3f}" for each in row["errors"].values())
        print(f"{row['trunk']:24}{row['question']:12}{errors}")
    print(f"wrote {write_result(str((config.results / 'spreads').resolve()), {'rows': rows})}")
    return 1 if failed else 0


if __name__ == "__main__":
    restart_for_same_bits()
    raise SystemExit(main(tyro.cli(Config)))
