"""Classes with their pictures: some to learn from, others that judge and that nothing is learned of."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metarl.errors import ConfigError
from metarl.machine import require_memory
from metarl.perception.fewshot.config import FewShotConfig
from metarl.perception.fewshot.given import INVENTED, require_pool_data
from metarl.perception.given import is_rendered, own_of, scene_of
from metarl.perception.own import Progress, read_own
from metarl.perception.pictures import PictureScene, Studio, get_scene, require_valid_rows
from metarl.perception.splits import tell_copies
from metarl.streams import derive_seed
from metarl.types import take

_SCENES = {INVENTED: "kitchen/invented-ingredients"}
_UNSEEN_SHARE = 0.25
_SHOWN = 3


@dataclass(frozen=True)
class Pool:
    """Pictures by class.

    Attributes:
        pixels: Shape (n, 3, size, size), uint8.
        label: Place in `names`, shape (n,), int64.
        names: Of the classes.
        seen: Places of the classes to learn from.
        unseen: Places of those that judge; none is in `seen`.
        told: What was done to pictures, left out or found double, a line each.
    """

    pixels: Tensor
    label: Tensor
    names: tuple[str, ...]
    seen: tuple[int, ...]
    unseen: tuple[int, ...]
    told: tuple[str, ...] = ()

    def rows_seen(self) -> Tensor:
        """Which pictures may be learned from, shape (n,), bool."""
        return torch.isin(self.label, torch.tensor(self.seen))


def load_pool(config: FewShotConfig, progress: Progress | None = None) -> Pool:
    """Load or render pictures, and part the classes.

    Args:
        config: What is asked for.
        progress: Called with (pictures done, pictures).
    Raises:
        ConfigError: If there are no such pictures, they are of numbers, or there are too few
            classes, or too few pictures of one, for the tasks.
        UnknownNameError: If there is no such scene.
    """
    require_pool_data(config.data)
    if is_rendered(config.data):
        pixels, label, names = _rendered(config, progress)
        told: tuple[str, ...] = ()
    else:
        path, columns = own_of(config.data)
        found = read_own(path, config.size, progress, columns=columns)
        if not found.asks_class:
            raise ConfigError(
                f"{config.data} asks for {', '.join(found.columns)}, which are numbers; few-shot"
                " tasks are of classes: a folder a class, or one column of words"
            )
        words = [str(word) for word in found.target]
        names = tuple(sorted(set(words)))
        places = {name: i for i, name in enumerate(names)}
        pixels, label = found.pixels, np.array([places[word] for word in words])
        told = (*found.told, *tell_copies(found))
    _require_enough_pictures(config, label, names)
    seen, unseen = part_classes(config, names)
    return Pool(
        torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(label), names,
        seen, unseen, told,
    )  # fmt: skip


def part_classes(
    config: FewShotConfig, names: tuple[str, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Choose the classes that judge.

    Args:
        config: How many, and the seed that chooses.
        names: Of all classes.
    Returns:
        Places of the classes to learn from, and of those that judge, each in order.
    Raises:
        ConfigError: If either are fewer than a task has.
    """
    total = len(names)
    num_unseen = config.unseen
    if num_unseen is None:
        num_unseen = max(config.ways, round(_UNSEEN_SHARE * total))
    left = total - num_unseen
    if min(num_unseen, left) < config.ways:
        raise ConfigError(
            f"{config.data} has {total} classes, of which {num_unseen} judge and {max(left, 0)} are"
            f" left to learn from; {config.ways} ways take at least {config.ways} of each: give more"
            " classes, or fewer --ways"
        )
    rng = np.random.default_rng(derive_seed(config.seed, "few-shot/classes"))
    order = rng.permutation(total).tolist()
    return tuple(sorted(order[num_unseen:])), tuple(sorted(order[:num_unseen]))


def _require_enough_pictures(
    config: FewShotConfig, label: np.ndarray, names: tuple[str, ...]
) -> None:
    needed = config.shots + config.queries
    counts = Counter(label.tolist())
    few = [f"{name} {counts[i]}" for i, name in enumerate(names) if counts[i] < needed]
    if few:
        more = ", ..." if len(few) > _SHOWN else ""
        raise ConfigError(
            f"{len(few)} classes have too few pictures ({', '.join(few[:_SHOWN])}{more});"
            f" {config.shots} shots and {config.queries} queries take {needed} of each class: give"
            " more pictures, or fewer --shots or --queries"
        )


def _rendered(
    config: FewShotConfig, progress: Progress | None
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Draw as many pictures of each class."""
    scene = get_scene(_SCENES.get(config.data) or scene_of(config.data)[0])
    label = np.repeat(np.arange(len(scene.classes)), config.pictures)
    _require_enough_pictures(config, label, scene.classes)
    part_classes(config, scene.classes)  # before anything is drawn
    seed = derive_seed(config.seed, "few-shot/pictures")
    return draw_labels(scene, label, seed, config.size, progress), label, scene.classes


def draw_labels(
    scene: PictureScene, label: np.ndarray, seed: int, size: int, progress: Progress | None = None
) -> np.ndarray:
    """Draw pictures of given classes; all else is as the scene samples it.

    Args:
        scene: What to photograph.
        label: A class for each picture, shape (n,).
        seed: Decides all else.
        size: Width and height [pixels].
        progress: Called with (pictures done, pictures).
    Returns:
        The pictures, shape (n, size, size, 3), uint8.
    """
    n = len(label)
    require_memory(n * size * size * 3, f"{n} pictures of {size} pixels")
    rows = scene.sample(np.random.default_rng(seed), n)
    require_valid_rows(scene, rows, n)
    rows = dataclasses.replace(rows, label=label)
    pixels = np.empty((n, size, size, 3), np.uint8)
    with Studio(scene, size) as studio:
        for i in range(n):
            studio.shoot(take(rows, np.asarray(i)), out=pixels[i])
            if progress is not None:
                progress(i + 1, n)
    return pixels
