"""Unseen ingredients after one and five pictures of each: do MAML and ANIL beat a trunk that stands?

    python benchmarks/fewshot.py
    python benchmarks/fewshot.py --seeds 1 --backbones small-cnn --methods maml anil

Invented ingredients of the kitchen, sixty to learn from and twenty that judge, 5 ways, by the small CNN
(trained on the pantry's eight ingredients, none of which is among them) and by EfficientNet-Lite0 of
ImageNet. MAML and ANIL learn on tasks of the sixty; the nearest centroid and the logistic head take the
trunk as it is. Every method is judged by the same tasks of a seed. The control arm is the same method
on the same pictures, classes and judging tasks with other noise, for the fewest shots: what it gains is
what noise alone does.
Finished cells are kept, and the same command goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from shared.machine import RESULTS, restart_for_same_bits, write_result

from metarl.ambient import steady
from metarl.errors import ConfigError
from metarl.grid.cell import Cell
from metarl.grid.processes import LocalProcesses
from metarl.grid.run import RUNNING, run_cells
from metarl.grid.store import MERGED, Store
from metarl.perception.fewshot.config import LEARNED, METHODS, FewShotConfig
from metarl.perception.fewshot.pool import Pool, load_pool
from metarl.perception.fewshot.run import few_shot
from metarl.perception.fewshot.table import run_name, summarise
from metarl.runs.checkpoint import load_checkpoint, save_checkpoint

CONTROL = " (control)"  # behind a method's name: learned with other noise


@dataclass(frozen=True, kw_only=True)
class Pictures(Cell):
    """The pictures of a seed, which its other cells share."""

    few_shot: FewShotConfig

    @property
    def key(self) -> str:
        return f"pictures-{self.few_shot.size}px-s{self.few_shot.seed}"

    def files(self) -> tuple[str, ...]:
        return (f"pictures/{self.key}.safetensors",)

    def run(self, folder: Path) -> Mapping[str, Any]:
        pool = load_pool(self.few_shot)
        about = {"names": pool.names, "seen": pool.seen, "unseen": pool.unseen}
        save_checkpoint(
            folder / self.files()[0], {"pixels": pool.pixels, "label": pool.label}, about
        )
        return {"pictures": len(pool.label), "classes": len(pool.names)}

    def read(self, folder: Path) -> Pool:
        """The pictures that it left."""
        saved = load_checkpoint(folder / self.files()[0])
        tensors, about = saved.tensors, saved.meta
        return Pool(
            tensors["pixels"], tensors["label"], tuple(about["names"]), tuple(about["seen"]),
            tuple(about["unseen"]),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Judging(Cell):
    """One method with one number of shots, on one trunk."""

    few_shot: FewShotConfig
    pictures: Pictures

    @property
    def key(self) -> str:
        config = self.few_shot
        return f"{config.backbone}-{run_name(config)}-n{config.noise}"

    def needs(self) -> tuple[Cell, ...]:
        return (self.pictures,)

    @steady(1)
    def run(self, folder: Path) -> Mapping[str, Any]:
        judged = few_shot(
            self.few_shot, folder / RUNNING / self.key, resume=True,
            pool=self.pictures.read(folder), features=folder / "features",
        )  # fmt: skip
        return {**judged.result, "accuracies": judged.accuracies.tolist()}


@dataclass(frozen=True)
class Config:
    """How much of it is run."""

    backbones: tuple[str, ...] = ("small-cnn", "tf_efficientnet_lite0")
    """trunks"""
    methods: tuple[str, ...] = METHODS
    """which"""
    shots: tuple[int, ...] = (1, 5)
    """pictures of each class with their names"""
    seeds: int = 3
    """choices of unseen classes, pictures, heads and tasks"""
    episodes: int = 100
    """tasks that judge, for each seed"""
    iterations: int = 60
    """steps of the outer loop of the small CNN, and of any trunk that stands"""
    maml_iterations: int = 30
    """those of MAML, which takes three times as long for a step as ANIL does"""
    large_iterations: int = 20
    """those of a larger trunk that learns"""
    pictures: int = 30
    """of each ingredient"""
    queries: int = 15
    """pictures of each class that a task asks about"""
    size: int = 64
    """width and height of pictures [pixels]"""
    again: bool = False
    """run cells anew that have changed since they were finished"""
    finished: bool = False
    """run nothing; make the table from the cells that are there"""
    jobs: int | None = None
    """how many cells at once; none: a process a core"""
    runs: Path = Path("runs/fewshot")
    """where cells, pictures and features are kept while it runs"""
    results: Path = RESULTS / "fewshot"
    """where the merged cells and the table go"""


def cells_of(config: Config) -> list[Judging]:
    """List the cells, a seed whole before the next, the cheap ones first."""
    return [
        cell
        for seed in range(config.seeds)
        for backbone in config.backbones
        for method in config.methods
        for shots in config.shots
        for noise in range(2 if method in LEARNED and shots == min(config.shots) else 1)
        for cell in [_cell(config, backbone, method, shots, seed, noise)]
    ]


def _cell(config: Config, backbone: str, method: str, shots: int, seed: int, noise: int) -> Judging:
    what = few_shot_config(config, backbone, method, shots, seed, noise)
    return Judging(
        few_shot=what,
        pictures=Pictures(few_shot=FewShotConfig(shots=max(config.shots), **_shared(config, seed))),
    )


def few_shot_config(
    config: Config, backbone: str, method: str, shots: int, seed: int, noise: int
) -> FewShotConfig:
    """Say everything of one method on one trunk.

    Args:
        config: How much of it is run.
        backbone: The trunk.
        method: One of `METHODS`.
        shots: Pictures of each class with their names.
        seed: Of classes, pictures and tasks.
        noise: 0, or another of the control arm.
    """
    usual: dict[str, Any] = {"iterations": config.iterations}
    if method == "maml":
        usual["iterations"] = config.maml_iterations
    if backbone != "small-cnn" and method in ("maml", "anil"):
        # Fewer steps and no second derivatives, which are dear through fifty layers; and smaller ones,
        # which keep what ImageNet taught.
        usual = {
            "iterations": config.large_iterations, "tasks": 2, "first_order": True,
            "outer_rate": 1e-4,
        }  # fmt: skip
        if method == "maml":
            usual["updates"] = 3
    return FewShotConfig(
        backbone=backbone, method=method, shots=shots, noise=noise, episodes=config.episodes,
        **_shared(config, seed), **usual,
    )  # fmt: skip


def _shared(config: Config, seed: int) -> dict[str, Any]:
    return {
        "size": config.size, "pictures": config.pictures, "seed": seed, "queries": config.queries
    }  # fmt: skip


def rows_of(cells: list[Judging], results: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Summarise each trunk's methods; one is left out until every seed of it is finished there.

    Args:
        cells: Of the benchmark.
        results: What finished ones measured, by key.
    Returns:
        The rows of `metarl.perception.fewshot.table.summarise`, with ``backbone``, and of the control
        arm by its method's name and what it gains on the method.
    """
    found: dict[str, dict[tuple[str, int], list[np.ndarray]]] = {}
    seconds: dict[tuple[str, str, int], list[float]] = {}
    unfinished = {_arm(cell) for cell in cells if cell.key not in results}
    for cell in cells:
        config = cell.few_shot
        if _arm(cell) in unfinished:
            continue
        result, name = results[cell.key], config.method + CONTROL * (config.noise > 0)
        of_trunk = found.setdefault(config.backbone, {})
        of_trunk.setdefault((name, config.shots), []).append(np.array(result["accuracies"]))
        spent = seconds.setdefault((config.backbone, name, config.shots), [])
        spent.append(result["seconds to learn"])
    rows = []
    for backbone, lists in found.items():
        tables = {key: np.array(values) for key, values in lists.items()}
        for row in summarise(tables):
            name, shots = row["method"], row["shots"]
            if name.endswith(CONTROL):
                own = tables[name.removesuffix(CONTROL), shots]
                row["noise"] = float((tables[name, shots] - own).mean())
            mean_s = float(np.mean(seconds[backbone, name, shots]))
            rows.append({"backbone": backbone, **row, "seconds to learn": mean_s})
    return rows


def _arm(cell: Judging) -> tuple[str, str, int]:
    """What is finished or not: a trunk, a method and a number of shots, with its control arm."""
    config = cell.few_shot
    return config.backbone, config.method, config.shots


def main(config: Config) -> int:
    """Run what is missing, and write the table of what is finished."""
    for name in config.methods:
        if name not in METHODS:
            raise ConfigError(f"--methods has {name!r}; valid: {', '.join(METHODS)}")
    cells = cells_of(config)
    store, failed = Store(config.runs, config.results / MERGED), False
    try:
        if not config.finished:
            workers = LocalProcesses(config.jobs)
            failed = bool(run_cells(cells, store, workers=workers, again=config.again).failed)
    finally:  # one that is stopped leaves what it has, too
        store.merge()
    rows = rows_of(cells, {key: record.result for key, record in store.read().items()})
    for row in rows:
        low, high = row["episodes"]
        gain = "" if row["gain"] is None else f"  {100 * row['gain']:+5.1f} on centroids"
        noise = f"  {100 * row['noise']:+5.1f} by noise" if "noise" in row else ""
        print(
            f"{row['backbone']:22} {row['method']:22} {row['shots']} shots"
            f"  {100 * row['accuracy']:5.1f} % [{100 * low:.1f}, {100 * high:.1f}]{gain}{noise}"
        )
    print(f"wrote {write_result(str((config.results / 'fewshot').resolve()), {'rows': rows})}")
    return 1 if failed else 0


if __name__ == "__main__":
    restart_for_same_bits()
    raise SystemExit(main(tyro.cli(Config)))
