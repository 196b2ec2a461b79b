"""Real pictures: is a trunk of ImageNet worth more than ours, and either more than none?

    pip install scikit-learn scikit-image
    python benchmarks/photographs.py
    python benchmarks/photographs.py --seeds 1 --sets faces

Two small labelled sets that wheels bring, so that nothing is fetched: `digits`, scans of handwriting,
ten classes, 8 pixels wide (scikit-learn; Alpaydin and Kaynak 1998), and `faces`, photographs of faces and
of what else is in such photographs, 25 pixels wide (scikit-image; of Labeled Faces in the Wild). Trunks are
EfficientNet-Lite0 of ImageNet, and our small CNN, which knows a rendered pantry; `scratch` is our small CNN
with nothing known. The control arm is fine-tuning once more with other noise. Finished cells are kept, and
the same command goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from PIL import Image
from shared.eyes import as_data, read_part, save_parts, swapped
from shared.grid import GridConfig, run_grid
from shared.machine import RESULTS, restart_for_same_bits

from metarl.adapt.statistics import t_interval
from metarl.ambient import steady
from metarl.errors import MissingDependencyError, UnknownNameError
from metarl.grid.cell import Cell
from metarl.perception.given import SMALL_CNN
from metarl.perception.own import Labelled
from metarl.perception.swap_config import SwapConfig
from metarl.runs.checkpoint import write_atomically
from metarl.runs.config import made_with
from metarl.runs.run import write_json
from metarl.streams import derive_seed

COMMAND = "python benchmarks/photographs.py"
LITE = "tf_efficientnet_lite0"
CONTROL = "fine-tune"
ARMS = (
    (SMALL_CNN, "frozen-trunk", 0), (LITE, "frozen-trunk", 0), (SMALL_CNN, "scratch", 0),
    (SMALL_CNN, "fine-tune", 0), (SMALL_CNN, "fine-tune", 1), (LITE, "fine-tune", 0),
    (LITE, "fine-tune", 1),
)  # fmt: skip
FIRST_SEED = 400


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Read scikit-learn's digits: grey pictures, (1797, 8, 8), in [0, 1], and their classes."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.images / 16.0, np.array([f"{label}" for label in found.target])


def faces() -> tuple[np.ndarray, np.ndarray]:
    """Read scikit-image's faces: grey pictures, (200, 25, 25), in [0, 1], and their classes."""
    from skimage.data import lfw_subset

    found = lfw_subset()  # the first half are faces
    return found, np.repeat(["face", "other"], len(found) // 2)


SETS: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {"digits": digits, "faces": faces}


def read_set(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Read a set.

    Args:
        name: One of `SETS`.
    Returns:
        Grey pictures, shape (n, H, W), in [0, 1]; words, shape (n,).
    Raises:
        UnknownNameError: If there is none; the message lists the valid names.
        MissingDependencyError: If the wheel that has it is absent.
    """
    if name not in SETS:
        raise UnknownNameError("set of photographs", name, SETS)
    try:
        return SETS[name]()
    except ImportError as error:
        raise MissingDependencyError(
            f"{name} are in a wheel that is not installed; pip install scikit-learn scikit-image"
        ) from error


def enlarged(pictures: np.ndarray, size: int) -> np.ndarray:
    """Bring grey pictures, (n, H, W) in [0, 1], to (n, size, size, 3), uint8, by bicubic filtering."""
    found = np.empty((len(pictures), size, size, 3), np.uint8)
    for i, picture in enumerate(pictures):
        grey = Image.fromarray(np.round(255.0 * picture.clip(0.0, 1.0)).astype(np.uint8))
        found[i] = np.asarray(grey.resize((size, size), Image.Resampling.BICUBIC))[:, :, None]
    return found


@dataclass(frozen=True, kw_only=True)
class Pictures(Cell):
    """A seed's split of a set: to learn from, and to judge by; each class as often as it can be."""

    name: str
    seed: int
    size: int
    num_train: int
    num_test: int

    @property
    def key(self) -> str:
        return f"pictures-{self.name}-s{self.seed}"

    def files(self) -> tuple[str, ...]:
        return (f"pictures/{self.key}.safetensors",)

    def run(self, folder: Path) -> Mapping[str, Any]:
        grey, words = read_set(self.name)
        rng = np.random.default_rng(derive_seed(self.seed, f"photographs/{self.name}"))
        order = in_turn(words, rng)
        train, test = order[: self.num_train], order[self.num_train :][: self.num_test]
        parts = {
            part: Labelled(
                tuple(map(str, rows)), enlarged(grey[rows], self.size), ("class",), words[rows]
            )
            for part, rows in (("train", train), ("test", test))
        }
        save_parts(folder / self.files()[0], parts)
        return {"learned from": len(train), "judging": len(test)}


def in_turn(words: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Order pictures so that the classes take turns, each in a random order; places, shape (n,)."""
    queues = [rng.permutation(np.flatnonzero(words == word)) for word in np.unique(words)]
    longest = max(map(len, queues))
    turns = [rng.permutation([q[i] for q in queues if i < len(q)]) for i in range(longest)]
    return np.concatenate(turns)


@dataclass(frozen=True, kw_only=True)
class Swapped(Cell):
    """One head, by one strategy on one trunk, from so many pictures."""

    backbone: str
    strategy: str
    num_pictures: int
    noise: int
    max_epochs: int
    pictures: Pictures

    @property
    def key(self) -> str:
        noise, what = f"-n{self.noise}" * (self.noise > 0), self.pictures
        return (
            f"{what.name}-{self.backbone}-{self.strategy}-{self.num_pictures}{noise}-s{what.seed}"
        )

    def needs(self) -> tuple[Cell, ...]:
        return (self.pictures,)

    @steady(1)
    def run(self, folder: Path) -> Mapping[str, Any]:
        file, seed = folder / self.pictures.files()[0], self.pictures.seed
        data = as_data(read_part(file, "train", self.num_pictures), read_part(file, "test"))
        config = SwapConfig(
            data=self.pictures.name, backbone=self.backbone, size=self.pictures.size,
            strategy=self.strategy, max_epochs=self.max_epochs,
            seed=derive_seed(seed, "noise") if self.noise else seed,
        )  # fmt: skip
        return swapped(config, data, folder, self.key)


@dataclass(frozen=True)
class Config(GridConfig):
    """How much of it is run."""

    runs: Path = Path("runs/photographs")
    """Where cells, pictures and runs are kept while it runs."""
    results: Path = RESULTS / "photographs"
    """Where the merged cells and the table go."""
    sets: tuple[str, ...] = tuple(SETS)
    """Which."""
    sizes: tuple[int, ...] = (20, 100)
    """Pictures to learn from."""
    num_test: int = 200
    """Pictures that judge, or as many as are left."""
    size: int = 64
    """Width and height that pictures are brought to [pixels]."""
    epochs: int = 30
    """Bound on the epochs of the small CNN; the stopping rule usually ends sooner."""
    large_epochs: int = 8
    """That of the larger trunk."""


def cells_of(config: Config) -> list[Swapped]:
    """List the cells, arm by arm, the cheap ones first."""
    return [
        Swapped(
            backbone=backbone, strategy=strategy, num_pictures=n, noise=noise,
            max_epochs=config.epochs if backbone == SMALL_CNN else config.large_epochs,
            pictures=Pictures(
                name=name, seed=seed, size=config.size, num_train=max(config.sizes),
                num_test=config.num_test,
            ),
        )
        for backbone, strategy, noise in ARMS
        for seed in range(FIRST_SEED, FIRST_SEED + config.seeds)
        for n in sorted(config.sizes)
        for name in config.sets
    ]  # fmt: skip


def rows_of(
    cells: Sequence[Swapped], results: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """A row a set, number of pictures and arm: errors and seconds, a value a finished seed."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for cell in cells:
        if cell.key not in results:
            continue
        head = {
            "set": cell.pictures.name,
            "pictures": cell.num_pictures,
            "trunk": "none" if cell.strategy == "scratch" else cell.backbone,
            "strategy": cell.strategy + ", other noise" * cell.noise,
        }
        row = rows.setdefault(tuple(head.values()), {**head, "error": [], "seconds": []})
        for name in ("error", "seconds"):
            row[name].append(results[cell.key][name])
    return sorted(rows.values(), key=lambda row: (row["set"], row["pictures"]))


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write the table."""
    lines = [
        "Made by `python benchmarks/photographs.py --finished`. Share of wrong answers [%], mean over seeds"
        " [95% t interval], and training time.",
        "",
        "| set | pictures | trunk | strategy | wrong | seconds |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        values = 100.0 * np.array(row["error"])
        around, wrong = t_interval(values), f"{values.mean():.1f}"
        if not np.isnan(around.low):
            wrong += f" [{around.low:.1f}, {around.high:.1f}]"
        head = " | ".join(str(row[name]) for name in ("set", "pictures", "trunk", "strategy"))
        lines.append(f"| {head} | {wrong} | {np.mean(row['seconds']):.1f} |")
    return "\n".join(lines) + "\n"


def main(config: Config) -> int:
    """Run what is missing, and write the table of every cell that is there."""
    for name in config.sets:
        if name not in SETS:
            raise UnknownNameError("set of photographs", name, SETS)
    cells = cells_of(config)
    records, failed = run_grid(cells, config)
    rows = rows_of(cells, {key: record.result for key, record in records.items()})
    config.results.mkdir(parents=True, exist_ok=True)
    write_json(config.results / "photographs.json", {"rows": rows, **made_with(COMMAND)})
    write_atomically(config.results / "photographs.md", markdown(rows).encode())
    print(markdown(rows))
    return 1 if failed else 0


if __name__ == "__main__":
    restart_for_same_bits()
    raise SystemExit(main(tyro.cli(Config)))
