"""Is a trained trunk worth keeping when the question changes from what to how done?

    python benchmarks/headswap.py

Each seed trains its own classifier on its own pictures, so that the intervals cover the
source as well as the new head. The seeds that are reported took no part in choosing the
settings; `SELECTION` says how those were chosen.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from metarl.adapt.statistics import estimate
from metarl.perception.headswap import FitConfig, SwapResult, compare, train_classifier
from metarl.perception.pictures import get_scene
from metarl.report.plots import bars_png

ROOT = Path(__file__).parents[1]
SELECTION = (
    "Six settings were tried on seeds 0 and 1, test errors in view: features of the last layer "
    "with GroupNorm at rates 0.001, 0.003 and 0.01; and at rate 0.003 the last layer without "
    "norm, all layers without norm, all layers with GroupNorm. The last was kept, because a "
    "frozen trunk does best with it: with the last layer alone it was worse than scratch."
)


@dataclass(frozen=True)
class Config:
    """How much to measure, and where it goes."""

    scene: str = "kitchen/ingredients"
    """Where the pictures come from."""
    seeds: int = 5
    """Independent repetitions, classifier included."""
    first_seed: int = 100
    """The first of them; 0 and 1 were used to choose the settings."""
    num_pictures: int = 4000
    """Pictures for each classifier."""
    num_held_out: int = 1000
    """Other pictures, to judge it."""
    epochs: int = 12
    """Passes over them."""
    num_train: int = 200
    """Pictures with known doneness."""
    num_test: int = 500
    """Other pictures, to judge the result."""
    max_epochs: int = FitConfig.max_epochs
    """Bound on the epochs of each strategy; the stopping rule usually ends sooner."""
    threads: int = 1
    """Torch's threads."""
    out: Path = ROOT / "benchmarks/results"
    """Folder of headswap.json, headswap.png and headswap-seconds.png."""


def measure(config: Config, seed: int) -> tuple[float, list[SwapResult]]:
    """Train a classifier and swap its head by every strategy.

    Args:
        config: See `Config`.
        seed: Decides everything.
    Returns:
        The classifier's accuracy, and one result a strategy.
    """
    network, accuracy = train_classifier(
        config.scene,
        seed=seed,
        num_pictures=config.num_pictures,
        num_held_out=config.num_held_out,
        epochs=config.epochs,
    )
    results = compare(
        network,
        get_scene(config.scene),
        num_train=config.num_train,
        num_test=config.num_test,
        seed=seed,
        control="fine-tune",
        config=FitConfig(max_epochs=config.max_epochs),
    )
    print(f"seed {seed}: accuracy {accuracy:.3f}", flush=True)
    for result in results:
        print(f"  {result.strategy:22s} mae {result.mae:.4f} {result.seconds:5.1f} s", flush=True)
    return accuracy, results


def seeds_of(config: Config) -> range:
    """List the seeds to measure.

    Args:
        config: See `Config`.
    Returns:
        Consecutive seeds.
    """
    return range(config.first_seed, config.first_seed + config.seeds)


def summarise(results: Sequence[SwapResult]) -> dict[str, Any]:
    """Summarise one strategy over seeds, with 95 % bootstrap intervals.

    Args:
        results: One a seed.
    Returns:
        Estimates of the error and the seconds, and every single result.
    """
    rng = np.random.default_rng(0)
    summary: dict[str, Any] = {
        name: asdict(estimate(np.array([[getattr(r, name)] for r in results]), rng))
        for name in ("mae", "seconds")
    }
    return summary | {"results": [asdict(r) for r in results]}


def describe(config: Config) -> dict[str, Any]:
    """Say what was run, and on what.

    Args:
        config: See `Config`.
    Returns:
        The command, the settings and the machine.
    """
    return {
        "command": shlex.join(["python", "benchmarks/headswap.py", *sys.argv[1:]]),
        "config": {key: value for key, value in asdict(config).items() if key != "out"},
        "fit": asdict(FitConfig(max_epochs=config.max_epochs)),
        "rule": " ".join((FitConfig.__doc__ or "").split("Attributes:")[0].split()),
        "selection": SELECTION,
        "seeds": list(seeds_of(config)),
        "machine": {
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "torch": torch.__version__,
        },
    }


def main(config: Config) -> None:
    """Measure every seed, then write the JSON and the pictures.

    Args:
        config: See `Config`.
    """
    torch.set_num_threads(config.threads)
    runs = [measure(config, seed) for seed in seeds_of(config)]
    names = [result.strategy for result in runs[0][1]]
    strategies = {
        name: summarise([results[i] for _, results in runs]) for i, name in enumerate(names)
    }
    report = describe(config) | {
        "accuracy": [accuracy for accuracy, _ in runs],
        "constant_mae": float(np.mean([results[0].constant_mae for _, results in runs])),
        "strategies": strategies,
    }
    config.out.mkdir(parents=True, exist_ok=True)
    (config.out / "headswap.json").write_text(json.dumps(report, indent=2) + "\n")
    titles = {
        "mae": (
            "headswap.png",
            f"Doneness from {config.num_train} pictures",
            "mean absolute error",
        ),
        "seconds": ("headswap-seconds.png", "Time to train", "seconds"),
    }
    for key, (file, title, ylabel) in titles.items():
        mean, low, high = (
            [strategies[name][key][end] for name in names]
            for end in ("mean", "mean_low", "mean_high")
        )
        png = bars_png(names, mean, low, high, title=title, ylabel=ylabel)
        (config.out / file).write_bytes(png)
    print(json.dumps({name: strategies[name]["mae"]["mean"] for name in names}))


if __name__ == "__main__":
    main(tyro.cli(Config))
