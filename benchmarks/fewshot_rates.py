"""Which rates does MAML take? Asked on classes to learn from alone; those that judge are never looked at.

    python benchmarks/fewshot_rates.py
    python benchmarks/fewshot_rates.py --backbones small-cnn --seeds 1

The settings are those of `benchmarks/fewshot.py`, on other seeds; of their sixty classes to learn from
fifteen are held out to judge the rates by. `metarl.perception.fewshot.config` has what did best as its
defaults. Finished cells are kept, and the same command goes on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from fewshot import Config as Settings
from fewshot import Pictures, few_shot_config
from shared.grid import GridConfig, run_grid
from shared.machine import RESULTS, restart_for_same_bits, write_result

from metarl.ambient import steady
from metarl.grid.cell import Cell
from metarl.grid.run import RUNNING
from metarl.perception.fewshot.config import FewShotConfig
from metarl.perception.fewshot.pool import Pool
from metarl.perception.fewshot.run import few_shot
from metarl.streams import derive_seed

FIRST_SEED = 100  # those of benchmarks/fewshot.py are 0, 1 and 2
HELD_OUT = 0.25  # of the classes to learn from
# Rates of the inner loop: the head's, the trunk's.
RATES = {
    "small-cnn": ((0.01, 0.01), (0.1, 0.003), (0.1, 0.01), (0.1, 0.1), (0.1, 0.001)),
    "tf_efficientnet_lite0": ((0.01, 0.01), (0.01, 0.001), (0.01, 0.0001)),
}
CENTROID = (None, None)  # not MAML: what it is held against


def for_choosing(pool: Pool, seed: int) -> Pool:
    """Let some of the classes to learn from judge, in place of those that judge in the end.

    Args:
        pool: Of a few-shot benchmark.
        seed: Chooses them.
    Returns:
        The same pictures without those of the classes that judge in the end.
    """
    rng = np.random.default_rng(derive_seed(seed, "few-shot/choosing"))
    order = rng.permutation(pool.seen).tolist()
    count = round(HELD_OUT * len(order))
    rows = pool.rows_seen()
    return dataclasses.replace(
        pool, pixels=pool.pixels[rows], label=pool.label[rows], seen=tuple(sorted(order[count:])),
        unseen=tuple(sorted(order[:count])),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Tried(Cell):
    """One pair of rates, on one trunk and seed; or the nearest centroid."""

    few_shot: FewShotConfig
    pictures: Pictures

    @property
    def key(self) -> str:
        config = self.few_shot
        rates = f"-head{config.inner_rate:g}-trunk{config.trunk_rate:g}" if config.learns else ""
        return f"{config.backbone}-{config.method}{rates}-s{config.seed}"

    def needs(self) -> tuple[Cell, ...]:
        return (self.pictures,)

    @steady(1)
    def run(self, folder: Path) -> Mapping[str, Any]:
        pool = for_choosing(self.pictures.read(folder), self.few_shot.seed)
        place = folder / RUNNING / self.key
        done = few_shot(
            self.few_shot, place, resume=True, pool=pool, features=folder / "features"
        ).result
        return {"accuracy": done["accuracy"], "seconds to learn": done["seconds to learn"]}


@dataclass(frozen=True)
class Config(GridConfig):
    """How much of it is run."""

    runs: Path = Path("runs/fewshot-rates")
    """Where cells and pictures are kept while it runs."""
    results: Path = RESULTS / "fewshot-rates"
    """Where the merged cells and the table go."""
    seeds: int = 1
    """Choices of classes, pictures and tasks, from 100 on."""
    backbones: tuple[str, ...] = tuple(RATES)
    """Trunks."""
    episodes: int = 25
    """Tasks that judge the rates."""
    iterations: int = 30
    """Steps of the outer loop of the small CNN."""
    large_iterations: int = 20
    """Those of a larger trunk."""
    pictures: int = 30
    """Of each ingredient."""
    queries: int = 15
    """Pictures of each class that a task asks about."""
    size: int = 64
    """Width and height of pictures [pixels]."""


def cells_of(config: Config) -> list[Tried]:
    """List the cells, a seed whole before the next."""
    settings = Settings(
        episodes=config.episodes, maml_iterations=config.iterations, pictures=config.pictures,
        large_iterations=config.large_iterations, queries=config.queries, size=config.size,
    )  # fmt: skip
    found = []
    for seed in range(FIRST_SEED, FIRST_SEED + config.seeds):
        for backbone in config.backbones:
            for head, trunk in (CENTROID, *RATES[backbone]):
                method = "nearest-centroid" if head is None else "maml"
                what = few_shot_config(settings, backbone, method, 1, seed, 0)
                what = dataclasses.replace(what, inner_rate=head, trunk_rate=trunk)
                found.append(Tried(few_shot=what, pictures=Pictures(few_shot=_plain(what))))
    return found


def _plain(config: FewShotConfig) -> FewShotConfig:
    """What of a config decides its pictures."""
    return FewShotConfig(
        size=config.size, pictures=config.pictures, seed=config.seed, queries=config.queries
    )


def rows_of(cells: list[Tried], results: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row a trunk and pair of rates: mean accuracy over the finished seeds, the best first."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for cell in cells:
        if cell.key in results:
            what = cell.few_shot
            head = {
                "backbone": what.backbone,
                "method": what.method,
                "head": what.inner_rate,
                "trunk": what.trunk_rate,
            }
            row = rows.setdefault(tuple(head.values()), {**head, "by seed": []})
            row["by seed"].append(results[cell.key]["accuracy"])
    found = [{**row, "accuracy": float(np.mean(row["by seed"]))} for row in rows.values()]
    return sorted(found, key=lambda row: (row["backbone"], -row["accuracy"]))


def main(config: Config) -> int:
    """Run what is missing, and write the table of what is finished."""
    cells = cells_of(config)
    records, failed = run_grid(cells, config)
    rows = rows_of(cells, {key: record.result for key, record in records.items()})
    for row in rows:
        rates = "" if row["head"] is None else f"head {row['head']:g}, trunk {row['trunk']:g}"
        name = f"{row['backbone']:22} {row['method']:16} {rates:26}"
        print(f"{name} {100 * row['accuracy']:5.1f} %, {len(row['by seed'])} seeds")
    print(f"wrote {write_result(str((config.results / 'rates').resolve()), {'rows': rows})}")
    return 1 if failed else 0


if __name__ == "__main__":
    restart_for_same_bits()
    torch.set_num_threads(1)
    raise SystemExit(main(tyro.cli(Config)))
