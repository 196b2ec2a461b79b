"""How many pictures a second do the eyes see on one core, and what does channels_last bring?

    python benchmarks/eyes.py

Both layouts take turns, batch by batch, so that a busy machine slows both alike; the median counts.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import tyro
from shared.machine import write_result
from torch import Tensor, nn

from metarl.perception.backbones import trained_backbone


@dataclass(frozen=True)
class Config:
    """What sees, and how much."""

    backbones: tuple[str, ...] = ("small-cnn", "tf_efficientnet_lite0", "mobilenet_v2")
    """Backbones by name."""
    sizes: tuple[int, ...] = (84, 128, 224)
    """Widths and heights [pixels]."""
    batch: int = 32
    """Pictures at once."""
    repeats: int = 12
    """Batches of each layout."""
    name: str = "eyes"
    """Name of the result file."""


@torch.inference_mode()
def seconds(model: nn.Module, pictures: Tensor) -> float:
    """Time one batch [s]."""
    start = time.perf_counter()
    model(pictures)
    return time.perf_counter() - start


def measure(name: str, size: int, config: Config) -> dict[str, Any]:
    """Time a backbone at a size, in both layouts by turns.

    Args:
        name: The backbone.
        size: Width and height [pixels].
        config: See `Config`.
    Returns:
        Pictures a second with ``channels_last`` and without, and their ratio.
    """
    generator = torch.Generator().manual_seed(0)
    trunk = trained_backbone(name, 1, generator)[0].trunk.eval()
    model = getattr(trunk, "model", trunk)  # of others; theirs alone, so that the layout is ours
    pictures = torch.rand(config.batch, 3, size, size, generator=generator)
    layouts = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
    spent: dict[str, list[float]] = {layout: [] for layout in layouts}
    for turn in range(config.repeats + 1):
        for layout, form in layouts.items():
            model.to(memory_format=form)
            took = seconds(model, pictures.contiguous(memory_format=form))
            spent[layout] += [took] if turn else []  # the first one warms up
    rates = {layout: config.batch / float(np.median(took)) for layout, took in spent.items()}
    ratio = rates["channels_last"] / rates["contiguous"]
    return {"backbone": name, "size": size, **rates, "ratio": ratio}


def main(config: Config) -> None:
    """Time every backbone at every size, and write the result.

    Args:
        config: See `Config`.
    """
    torch.set_num_threads(1)
    rows = []
    for name in config.backbones:
        for size in config.sizes:
            rows.append(row := measure(name, size, config))
            print(
                f"{name} at {size}: {row['channels_last']:.0f} pictures/s,"
                f" {row['contiguous']:.0f} without channels_last",
                flush=True,
            )
    settings = {"unit": "pictures a second, one thread", "batch": config.batch}
    print(f"wrote {write_result(config.name, {**settings, 'rows': rows})}")


if __name__ == "__main__":
    main(tyro.cli(Config))
