"""What wrecks a borrowed trunk that learns on: its head, its rate, or both?

    python benchmarks/gentle_start.py

EfficientNet-Lite0 of ImageNet is fine-tuned to how done ingredients are, from pictures and seeds that no
other benchmark has, with a head that is drawn and with one that begins at 0, at several rates. Beside the
error stands how many features still differ from picture to picture when fewest do. It asks again what a trial
of the day asked, which is not kept and from which `metarl.perception.given.usual_rate` comes. Finished
cells are kept, and the same command goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from shared.eyes import as_data
from shared.grid import GridConfig, run_grid
from shared.machine import RESULTS, restart_for_same_bits, write_result

from metarl.adapt.statistics import t_interval
from metarl.ambient import steady
from metarl.grid.cell import Cell
from metarl.grid.run import RUNNING
from metarl.nn.initialise import initialise
from metarl.perception.backbones import trained_backbone
from metarl.perception.features import look
from metarl.perception.own import Labelled
from metarl.perception.pictures import draw_pictures, get_scene
from metarl.perception.swap_config import SwapConfig
from metarl.perception.work import Work
from metarl.streams import derive_seed
from metarl.transfer.strategy import get_strategy

SCENE, TARGET = "kitchen/ingredients", "doneness"
DRAWN, ZERO = "drawn", "zero"
ARMS = ((DRAWN, 1e-3), (ZERO, 1e-3), (DRAWN, 3e-4), (ZERO, 3e-4), (DRAWN, 1e-4), (ZERO, 1e-4))
FIRST_SEED = 900
ALIKE = 0.1  # of a feature's spread over pictures before anything is learned


@dataclass(frozen=True, kw_only=True)
class Tuned(Cell):
    """One head and rate."""

    backbone: str
    head: str
    rate: float
    seed: int
    size: int
    num_train: int
    num_test: int
    epochs: int

    @property
    def key(self) -> str:
        return f"{self.backbone}-{self.head}-{self.rate:g}-s{self.seed}"

    @steady(1)
    def run(self, folder: Path) -> Mapping[str, Any]:
        total = self.num_train + self.num_test
        seed = derive_seed(self.seed, "gentle-start")
        drawn = draw_pictures(get_scene(SCENE), total, seed=seed, size=self.size)
        names, target = tuple(map(str, range(total))), drawn.doneness[:, None]
        whole = Labelled(names, drawn.pixels, (TARGET,), target)
        data = as_data(whole.take(range(self.num_train)), whole.take(range(self.num_train, total)))
        config = SwapConfig(
            data=f"{SCENE}:{TARGET}", backbone=self.backbone, strategy="fine-tune", size=self.size,
            rate=self.rate, max_epochs=self.epochs, patience=self.epochs, seed=self.seed,
        )  # fmt: skip
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "headswap/fit"))
        network, _ = trained_backbone(self.backbone, 1, generator)
        place = folder / RUNNING / self.key
        work = Work(config, get_strategy("fine-tune"), data, network, generator, place)
        if self.head == DRAWN:
            initialise(work.network.head, generator, gain=work.network.head_gain)
        pixels = data.pixels(data.train)
        before = look(network.trunk, pixels).std(0)
        differ = []
        while work.epoch() is not None:
            spread = look(work.network.trunk, pixels).std(0)
            differ.append(float((spread > ALIKE * before).float().mean()))
        work.fitting.keep_best()
        result, _ = work.judge()
        return {
            "error": result["error"],
            "constant error": result["constant error"],
            "features that differ": differ,
        }


@dataclass(frozen=True)
class Config(GridConfig):
    """How much of it is run."""

    runs: Path = Path("runs/gentle-start")
    """Where cells are kept while it runs."""
    results: Path = RESULTS / "gentle-start"
    """Where the merged cells and the table go."""
    backbone: str = "tf_efficientnet_lite0"
    """The trunk."""
    size: int = 64
    """Width and height of pictures [pixels]."""
    num_train: int = 100
    """Pictures to learn from."""
    num_test: int = 200
    """Others, of seeds that nothing else is judged by."""
    epochs: int = 12
    """Passes over them."""


def cells_of(config: Config) -> list[Tuned]:
    """List the cells, a seed whole before the next."""
    return [
        Tuned(
            backbone=config.backbone, head=head, rate=rate, seed=seed, size=config.size,
            num_train=config.num_train, num_test=config.num_test, epochs=config.epochs,
        )
        for seed in range(FIRST_SEED, FIRST_SEED + config.seeds)
        for head, rate in ARMS
    ]  # fmt: skip


def rows_of(
    cells: Sequence[Tuned], results: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """A row a head and rate: errors, and the least share of features that differ, a value a seed."""
    rows: dict[tuple[str, float], dict[str, Any]] = {}
    for cell in cells:
        if cell.key in results:
            found = results[cell.key]
            empty = {
                "head": cell.head,
                "rate": cell.rate,
                "error": [],
                "constant error": [],
                "differ": [],
            }
            row = rows.setdefault((cell.head, cell.rate), empty)
            row["error"].append(found["error"])
            row["constant error"].append(found["constant error"])
            row["differ"].append(min(found["features that differ"]))
    return list(rows.values())


def main(config: Config) -> int:
    """Run what is missing, and write the table of what is finished."""
    cells = cells_of(config)
    records, failed = run_grid(cells, config)
    rows = rows_of(cells, {key: record.result for key, record in records.items()})
    for row in rows:
        around = t_interval(np.array(row["error"]))
        print(
            f"{row['head']:6} head, rate {row['rate']:g}: error {np.mean(row['error']):.3f}"
            f" [{around.low:.3f}, {around.high:.3f}], a constant {np.mean(row['constant error']):.3f};"
            f" {np.mean(row['differ']):.0%} of features differ when fewest do"
        )
    print(f"wrote {write_result(str((config.results / 'gentle-start').resolve()), {'rows': rows})}")
    return 1 if failed else 0


if __name__ == "__main__":
    restart_for_same_bits()
    raise SystemExit(main(tyro.cli(Config)))
