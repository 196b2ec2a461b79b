"""What a head is taught: a person's own pictures, or what a scene renders, parted into train and test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metarl.errors import ConfigError
from metarl.perception.given import (
    CLASS,
    is_rendered,
    own_of,
    require_data,
    require_targets,
    scene_of,
)
from metarl.perception.own import Labelled, Progress, read_own
from metarl.perception.pictures import draw_pictures, get_scene, measures_of
from metarl.perception.questions import Classes, Question, numbers_of
from metarl.perception.splits import split, tell_copies, tell_leaks
from metarl.streams import derive_seed

NUM_TEST = 500  # rendered pictures that judge


@dataclass(frozen=True)
class Data:
    """Pictures to learn from and others to be judged by, and what they are asked.

    Attributes:
        train: In a random order.
        test: Others.
        question: What belongs to them.
        told: What was done to them, left out or found double, a line each.
        left_out: Each file or row that was left out, with the reason.
    """

    train: Labelled
    test: Labelled
    question: Question
    told: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]

    def pixels(self, part: Labelled) -> Tensor:
        """A part's pictures, shape (n, 3, size, size), uint8."""
        return torch.from_numpy(part.pixels).permute(0, 3, 1, 2).contiguous()

    def target(self, part: Labelled) -> Tensor:
        """What belongs to a part: (n,) int64 for classes, (n, k) float32 for numbers."""
        if isinstance(self.question, Classes):
            places = {name: i for i, name in enumerate(self.question.names)}
            return torch.tensor([places[str(word)] for word in part.target])
        return torch.from_numpy(np.asarray(part.target, np.float32))


def load_data(
    given: str,
    *,
    test: str | None,
    size: int,
    seed: int,
    num_pictures: int | None,
    held_out: float,
    progress: Progress | None = None,
) -> Data:
    """Load or render pictures, and part them.

    Args:
        given: A folder of pictures with a folder a class; a table, or ``TABLE:COLUMN[,COLUMN...]``; or
            ``SCENE:TARGET[,TARGET...]``, such as ``kitchen:doneness``, which is rendered.
        test: Pictures to judge by, likewise; None: some of the given are held out, or others rendered.
        size: Width and height [pixels].
        seed: Decides what is rendered, what is held out, and the order.
        num_pictures: How many to learn from; None: all there are, or 200 that are rendered.
        held_out: Share that is held out where no test is given, in (0, 1).
        progress: Called with (pictures done, pictures).
    Raises:
        ConfigError: If there are no such pictures, too few of them, or test and training ask other
            things.
        UnknownNameError: If there is no such scene.
    """
    require_data(given, test)
    if is_rendered(given):
        return _rendered(given, test, size, seed, num_pictures, progress)
    path, columns = own_of(given)
    found = read_own(path, size, progress, columns=columns)
    told, left_out = [*found.told, *tell_copies(found)], found.left_out
    rng = np.random.default_rng(derive_seed(seed, "perceive/split"))
    if test is None:
        train, judged = split(found, held_out, rng)
    else:
        train = found.take(rng.permutation(len(found)))
        judged = _judging(test, size, seed, found.columns, progress)
        left_out += judged.left_out
        told += [f"of the test: {line}" for line in judged.told]
    if num_pictures is not None and num_pictures > len(train):
        raise ConfigError(
            f"{num_pictures} pictures to learn from are asked for; {given} has {len(train)}"
        )
    train = train.take(range(num_pictures or len(train)))
    told += tell_leaks(train, judged)
    return Data(train, judged, _question(train, judged), tuple(told), left_out)


def _judging(
    test: str, size: int, seed: int, columns: tuple[str, ...], progress: Progress | None
) -> Labelled:
    """Read or render the pictures that judge."""
    if is_rendered(test):
        return _draw(*scene_of(test), "test", NUM_TEST, size, seed, progress)
    path, wanted = own_of(test)
    # A table that has more columns is asked for those of the training pictures.
    return read_own(path, size, progress, columns=wanted or (columns if path.is_file() else None))


def _question(train: Labelled, test: Labelled) -> Question:
    """Make the question of the training pictures, and check that the test asks the same."""
    if train.columns != test.columns or train.asks_class != test.asks_class:
        raise ConfigError(
            f"the test asks for {', '.join(test.columns)}, the training pictures for"
            f" {', '.join(train.columns)}; give both alike"
        )
    if not train.asks_class:
        return numbers_of(train.columns, train.target)
    names = sorted(set(map(str, train.target)))
    if len(names) < 2:
        raise ConfigError(f"all pictures are of class {names[0]}; expected two classes or more")
    if new := sorted(set(map(str, test.target)) - set(names)):
        raise ConfigError(f"the test has classes that nothing is learned of: {', '.join(new)}")
    return Classes(tuple(names))


def _rendered(
    given: str,
    test: str | None,
    size: int,
    seed: int,
    num_pictures: int | None,
    progress: Progress | None,
) -> Data:
    scene, targets = scene_of(given)
    train = _draw(scene, targets, "train", num_pictures or 200, size, seed, progress)
    if test is None:
        judged = _draw(scene, targets, "test", NUM_TEST, size, seed, progress)
    else:
        judged = _judging(test, size, seed, train.columns, progress)
    return Data(train, judged, _question(train, judged), judged.told, judged.left_out)


def _draw(
    name: str,
    targets: tuple[str, ...],
    part: str,
    n: int,
    size: int,
    seed: int,
    progress: Progress | None,
) -> Labelled:
    """Render pictures of a scene, asked for some targets."""
    scene = get_scene(name)
    offered = measures_of(scene, scene.sample(np.random.default_rng(0), 1), 1)
    require_targets(name, targets, offered)
    seed = derive_seed(seed, f"perceive/{part}")
    drawn = draw_pictures(scene, n, seed=seed, size=size, progress=progress)
    if targets == (CLASS,):
        target = np.array(scene.classes)[drawn.label]
    else:
        target = np.stack([drawn.measures[name] for name in targets], 1)
    return Labelled(tuple(f"{part} {i}" for i in range(n)), drawn.pixels, targets, target)
