"""How well does a small network know the kitchen's ingredients? Trains the one we ship.

python benchmarks/classifier.py
"""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import imageio.v3 as iio
import torch
import tyro

from metarl.perception.headswap import save_classifier, train_classifier
from metarl.perception.pictures import get_scene
from metarl.perception.sheet import contact_sheet

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Config:
    """What to train, and where it goes."""

    scene: str = "kitchen/ingredients"
    """Where the pictures come from."""
    seed: int = 0
    """Decides pictures and weights."""
    num_pictures: int = 4000
    """Pictures to train on."""
    num_held_out: int = 1000
    """Other pictures, to judge the result."""
    epochs: int = 12
    """Passes over the training pictures."""
    threads: int = 1
    """Torch's threads; another number may change the last bits."""
    out: Path = ROOT / "envs/metarl_kitchen/checkpoints/ingredients.safetensors"
    """The checkpoint."""
    sheet: Path = ROOT / "benchmarks/results/ingredients.png"
    """The contact sheet."""


def main(config: Config) -> None:
    """Train, save, and draw what was learned.

    Args:
        config: See `Config`.
    """
    torch.set_num_threads(config.threads)
    scene = get_scene(config.scene)
    start = time.perf_counter()
    network, accuracy = train_classifier(
        config.scene,
        seed=config.seed,
        num_pictures=config.num_pictures,
        num_held_out=config.num_held_out,
        epochs=config.epochs,
        progress=lambda done, total: print(f"epoch {done}/{total}", flush=True),
    )
    meta = {key: value for key, value in asdict(config).items() if key not in ("out", "sheet")}
    meta |= {"accuracy": accuracy, "seconds": round(time.perf_counter() - start, 1)}
    meta["command"] = shlex.join(["python", "benchmarks/classifier.py", *sys.argv[1:]])
    save_classifier(config.out, network, backbone="small-cnn", classes=scene.classes, **meta)
    config.sheet.parent.mkdir(parents=True, exist_ok=True)
    iio.imwrite(config.sheet, contact_sheet(scene))
    print(f"accuracy {accuracy:.3f} in {meta['seconds']} s: {config.out}")


if __name__ == "__main__":
    main(tyro.cli(Config))
