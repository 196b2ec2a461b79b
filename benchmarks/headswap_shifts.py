"""How many pictures does a new head need, on which trunk, and what is it worth in another light?

    python benchmarks/headswap_shifts.py
    python benchmarks/headswap_shifts.py --backbones small-cnn --seeds 1 --sizes 10 50

Doneness of ingredients is learned from 10 to 1,000 pictures, on our small CNN (each seed trains its own on
what the ingredients are) and on EfficientNet-Lite0 of ImageNet, and judged by other pictures: like those
learned from, and with light, camera, texture or clutter as they never were (`metarl perceive render`).
The control arm is fine-tuning once more in another order (and, of ours, with another head). Finished cells are kept, and
the same command goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from shared.grid import GridConfig, run_grid
from shared.machine import RESULTS, restart_for_same_bits

from metarl.adapt.statistics import t_interval
from metarl.ambient import steady
from metarl.grid.cell import Cell
from metarl.grid.run import RUNNING
from metarl.perception.classifier import save_classifier, train_classifier
from metarl.perception.data import Data
from metarl.perception.given import SMALL_CNN
from metarl.perception.model import load_model
from metarl.perception.own import Labelled
from metarl.perception.pictures import draw_pictures, get_scene
from metarl.perception.questions import numbers_of
from metarl.perception.swap import swap
from metarl.perception.swap_config import SwapConfig
from metarl.report.plots import Curve, curves_png
from metarl.runs.checkpoint import load_checkpoint, save_checkpoint, write_atomically
from metarl.runs.config import made_with
from metarl.runs.run import write_json
from metarl.streams import derive_seed

COMMAND = "python benchmarks/headswap_shifts.py"
SCENE, TARGET = "kitchen/ingredients", "doneness"
SHIFTS = ("none", "light", "camera", "texture", "clutter")
STRATEGIES = ("frozen-trunk", "lp-ft", "fine-tune", "scratch")
CONTROL = "fine-tune"
LITE = "tf_efficientnet_lite0"
SIZE = {SMALL_CNN: 64, LITE: 96}  # of pictures [pixels]
SEEDS = {SMALL_CNN: 5, LITE: 3}
FIRST_SEED = 200  # others chose how heads are fitted


@dataclass(frozen=True, kw_only=True)
class Pictures(Cell):
    """A seed's pictures: to learn from, and to judge by under each shift."""

    seed: int
    size: int
    num_train: int
    num_test: int

    @property
    def key(self) -> str:
        return f"pictures-{self.size}px-s{self.seed}"

    def files(self) -> tuple[str, ...]:
        return (f"pictures/{self.key}.safetensors",)

    def run(self, folder: Path) -> Mapping[str, Any]:
        tensors = {}
        for part in ("train", *SHIFTS):
            scene = get_scene(f"{SCENE}@shift={'none' if part == 'train' else part}")
            n, own = (self.num_train, "train") if part == "train" else (self.num_test, "test")
            seed = derive_seed(self.seed, f"headswap-shifts/{own}")  # the same content under each
            drawn = draw_pictures(scene, n, seed=seed, size=self.size)
            tensors[f"{part}.pixels"] = torch.from_numpy(drawn.pixels)
            tensors[f"{part}.target"] = torch.from_numpy(drawn.doneness[:, None])
        save_checkpoint(folder / self.files()[0], tensors, {})
        return {"pictures": self.num_train + len(SHIFTS) * self.num_test}

    def read(self, folder: Path, part: str, n: int) -> Labelled:
        """The first of a part's pictures."""
        found = load_checkpoint(folder / self.files()[0]).tensors
        pixels, target = (found[f"{part}.{what}"][:n].numpy() for what in ("pixels", "target"))
        return Labelled(tuple(f"{part} {i}" for i in range(n)), pixels, (TARGET,), target)


@dataclass(frozen=True, kw_only=True)
class Classifier(Cell):
    """A small CNN that knows what the ingredients are, and nothing of how done."""

    seed: int
    num_pictures: int
    epochs: int

    @property
    def key(self) -> str:
        return f"classifier-s{self.seed}"

    def files(self) -> tuple[str, ...]:
        return (f"classifiers/{self.key}.safetensors",)

    @steady(1)
    def run(self, folder: Path) -> Mapping[str, Any]:
        network, accuracy = train_classifier(
            SCENE, seed=self.seed, num_pictures=self.num_pictures, epochs=self.epochs
        )
        classes = get_scene(SCENE).classes
        save_classifier(folder / self.files()[0], network, backbone=SMALL_CNN, classes=classes)
        return {"accuracy": accuracy}


@dataclass(frozen=True, kw_only=True)
class Swapped(Cell):
    """One head, by one strategy from so many pictures, judged under every shift."""

    backbone: str
    strategy: str
    num_pictures: int
    noise: int
    max_epochs: int
    pictures: Pictures
    classifier: Classifier | None

    @property
    def key(self) -> str:
        noise = f"-n{self.noise}" * (self.noise > 0)
        return f"{self.backbone}-{self.strategy}-{self.num_pictures}{noise}-s{self.pictures.seed}"

    def needs(self) -> tuple[Cell, ...]:
        return (self.pictures, *([self.classifier] if self.classifier is not None else []))

    @steady(1)
    def run(self, folder: Path) -> Mapping[str, Any]:
        train = self.pictures.read(folder, "train", self.num_pictures)
        test = self.pictures.read(folder, "none", self.pictures.num_test)
        data = Data(train, test, numbers_of((TARGET,), train.target), (), ())
        weights = None if self.classifier is None else str(folder / self.classifier.files()[0])
        seed = self.pictures.seed
        config = SwapConfig(
            data=f"{SCENE}:{TARGET}", backbone=self.backbone, weights=weights, size=self.pictures.size,
            strategy=self.strategy, seed=derive_seed(seed, "noise") if self.noise else seed,
            max_epochs=self.max_epochs,
        )  # fmt: skip
        done = swap(
            config,
            folder / RUNNING / self.key,
            resume=True,
            data=data,
            features=folder / "features",
        )
        model, errors = load_model(done.folder), {}
        for shift in SHIFTS:
            part = self.pictures.read(folder, shift, self.pictures.num_test)
            answers = model.answer(part.names, part.pixels)
            said = np.array([row["answer"] for row in answers]).clip(0.0, 1.0)
            errors[shift] = float(np.abs(said - part.target).mean())
        return {
            "errors": errors,
            "seconds": done.result["seconds"],
            "epochs": done.result["epochs"],
            "rate": config.step_size,
        }


@dataclass(frozen=True)
class Config(GridConfig):
    """How much of it is run."""

    runs: Path = Path("runs/headswap-shifts")
    """Where cells, pictures and runs are kept while it runs."""
    results: Path = RESULTS / "headswap-shifts"
    """Where the merged cells, the table and the picture go."""
    seeds: int = 0
    """Of each trunk; 0: five of the small CNN, three of the other."""
    backbones: tuple[str, ...] = (SMALL_CNN, LITE)
    """Trunks."""
    sizes: tuple[int, ...] = (10, 50, 200, 1000)
    """Pictures to learn from."""
    strategies: tuple[str, ...] = STRATEGIES
    """Which; the control arm goes with its own."""
    num_train: int = 1000
    """Pictures that are rendered to learn from; the first of them are."""
    num_test: int = 300
    """Pictures that judge, of each shift."""
    max_epochs: int = 60
    """Bound on the epochs of each strategy; the stopping rule usually ends sooner."""
    classifier_pictures: int = 4000
    """From which the small CNN learns what ingredients are."""
    classifier_epochs: int = 12
    """Passes over them."""


def cells_of(config: Config) -> list[Swapped]:
    """List the cells, few pictures first."""
    found = []
    for size in sorted(config.sizes):
        for backbone in config.backbones:
            for seed in range(config.seeds or SEEDS[backbone]):
                arms = [(strategy, 0) for strategy in config.strategies]
                arms += [(CONTROL, 1)] * (CONTROL in config.strategies)
                found += [_cell(config, backbone, size, FIRST_SEED + seed, *arm) for arm in arms]
    return found


def _cell(
    config: Config, backbone: str, size: int, seed: int, strategy: str, noise: int
) -> Swapped:
    pictures = Pictures(
        seed=seed, size=SIZE[backbone], num_train=config.num_train, num_test=config.num_test
    )
    own = backbone == SMALL_CNN
    classifier = Classifier(
        seed=seed, num_pictures=config.classifier_pictures, epochs=config.classifier_epochs
    )
    return Swapped(
        backbone=backbone, strategy=strategy, num_pictures=size, noise=noise,
        max_epochs=config.max_epochs, pictures=pictures, classifier=classifier if own else None,
    )  # fmt: skip


def rows_of(
    cells: Sequence[Swapped], results: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """A row a trunk, number of pictures and strategy: errors and seconds, a value a finished seed."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for cell in cells:
        if cell.key not in results:
            continue
        name = cell.strategy + ", other noise" * cell.noise
        head = {"backbone": cell.backbone, "pictures": cell.num_pictures, "strategy": name}
        row = rows.setdefault(
            tuple(head.values()), {**head, "errors": {s: [] for s in SHIFTS}, "seconds": []}
        )
        for shift in SHIFTS:
            row["errors"][shift].append(results[cell.key]["errors"][shift])
        row["seconds"].append(results[cell.key]["seconds"])
    return list(rows.values())


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write the table."""
    lines = [
        "Mean absolute error of doneness (0 raw, 1 burnt), mean over seeds [95% t interval], on pictures"
        " like those learned from (none) and under each shift; training time.",
        "",
        f"| trunk | pictures | strategy | {' | '.join(SHIFTS)} | seconds |",
        f"|{' --- |' * (len(SHIFTS) + 4)}",
    ]
    for row in rows:
        errors = " | ".join(_said(row["errors"][shift]) for shift in SHIFTS)
        seconds = f"{np.mean(row['seconds']):.1f}"
        lines.append(
            f"| {row['backbone']} | {row['pictures']} | {row['strategy']} | {errors} | {seconds} |"
        )
    return "\n".join(lines) + "\n"


def _said(values: Sequence[float]) -> str:
    around = t_interval(np.array(values))
    mean = f"{np.mean(values):.3f}"
    return mean if np.isnan(around.low) else f"{mean} [{around.low:.3f}, {around.high:.3f}]"


def picture(rows: Sequence[Mapping[str, Any]], backbone: str, shift: str) -> bytes:
    """Draw error against number of pictures, a curve a strategy."""
    mine = [row for row in rows if row["backbone"] == backbone]
    curves = []
    for name in dict.fromkeys(row["strategy"] for row in mine):
        own = [row for row in mine if row["strategy"] == name]
        around = [t_interval(np.array(row["errors"][shift])) for row in own]
        curves.append(
            Curve(
                name,
                np.log10([row["pictures"] for row in own]),
                np.array([np.mean(row["errors"][shift]) for row in own]),
                np.array([each.low for each in around]),
                np.array([each.high for each in around]),
            )
        )
    title = f"{backbone}, " + ("as learned" if shift == "none" else f"another {shift}")
    return curves_png(
        curves, title=title, xlabel="pictures to learn from, log10", ylabel="error of doneness"
    )


def main(config: Config) -> int:
    """Run what is missing, and write tables and pictures of every cell that is there."""
    cells = cells_of(config)
    records, failed = run_grid(cells, config)
    rows = rows_of(cells, {key: record.result for key, record in records.items()})
    config.results.mkdir(parents=True, exist_ok=True)
    write_json(config.results / "shifts.json", {"rows": rows, **made_with(COMMAND)})
    write_atomically(config.results / "shifts.md", markdown(rows).encode())
    for backbone in dict.fromkeys(row["backbone"] for row in rows):
        for shift in SHIFTS:
            path = config.results / f"{backbone}-{shift}.png"
            write_atomically(path, picture(rows, backbone, shift))
    print(markdown(rows))
    return 1 if failed else 0


if __name__ == "__main__":
    restart_for_same_bits()
    raise SystemExit(main(tyro.cli(Config)))
