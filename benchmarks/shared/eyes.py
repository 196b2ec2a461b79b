"""Heads swapped in the cells of a benchmark, on pictures that it has already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metarl.grid.run import RUNNING
from metarl.perception.data import Data
from metarl.perception.own import Labelled
from metarl.perception.questions import Classes, numbers_of
from metarl.perception.swap import swap
from metarl.perception.swap_config import SwapConfig
from metarl.runs.checkpoint import load_checkpoint, save_checkpoint


def save_parts(path: Path, parts: Mapping[str, Labelled]) -> None:
    """Keep pictures and what belongs to them in a file, part by part."""
    tensors, about = dict[str, torch.Tensor](), dict[str, Any]()
    for name, part in parts.items():
        tensors[f"{name}.pixels"] = torch.from_numpy(part.pixels)
        about[name] = {"columns": part.columns}
        if part.asks_class:
            about[name]["words"] = [str(word) for word in part.target]
        else:
            tensors[f"{name}.target"] = torch.from_numpy(part.target)
    save_checkpoint(path, tensors, about)


def read_part(path: Path, name: str, n: int | None = None, column: str | None = None) -> Labelled:
    """Read the first of a part's pictures.

    Args:
        path: The file of `save_parts`.
        name: The part's.
        n: How many; None: all.
        column: The one that is asked for, of numbers; None: all.
    """
    found = load_checkpoint(path)
    about = found.meta[name]
    pixels, columns = found.tensors[f"{name}.pixels"][:n].numpy(), tuple(about["columns"])
    target: Any = (
        np.array(about["words"][:n])
        if "words" in about
        else found.tensors[f"{name}.target"][:n].numpy()
    )
    if column is not None:
        target, columns = target[:, [columns.index(column)]], (column,)
    return Labelled(tuple(f"{name} {i}" for i in range(len(pixels))), pixels, columns, target)


def as_data(train: Labelled, test: Labelled) -> Data:
    """Ask pictures what belongs to them."""
    if train.asks_class:
        names = tuple(sorted({str(word) for word in (*train.target, *test.target)}))
        return Data(train, test, Classes(names), (), ())
    return Data(train, test, numbers_of(train.columns, train.target), (), ())


def swapped(config: SwapConfig, data: Data, folder: Path, key: str) -> dict[str, Any]:
    """Swap a head in a cell, and say what came of it.

    Args:
        config: Of the swap.
        data: The pictures.
        folder: The benchmark's.
        key: The cell's.
    """
    done = swap(
        config, folder / RUNNING / key, resume=True, data=data, features=folder / "features"
    )
    names = ("error", "constant error", "seconds", "epochs")
    return {**{name: done.result[name] for name in names}, "rate": config.step_size}
