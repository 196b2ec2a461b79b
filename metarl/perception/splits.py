"""Which pictures judge: none that is also trained on, whatever its name."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from metarl.errors import ConfigError
from metarl.perception.own import Labelled

_SHOWN = 3


def split(pictures: Labelled, share: float, rng: np.random.Generator) -> tuple[Labelled, Labelled]:
    """Hold some pictures out, of each class alike; copies of one picture stay on one side.

    Args:
        pictures: All of them.
        share: How many are held out, in (0, 1).
        rng: Decides which.
    Returns:
        Those to train on, in a random order; those held out, in their own.
    Raises:
        ConfigError: If there are too few to do so.
    """
    copies = defaultdict[str, list[int]](list)
    for row, digest in enumerate(pictures.hashes()):
        copies[digest].append(row)
    groups = [list(rows) for rows in copies.values()]
    held_out = list[int]()
    for kind in _kinds(pictures, groups):
        order = [kind[i] for i in rng.permutation(len(kind))]
        most = round(share * len(kind))
        held_out += [row for group in order[:most] for row in group]
    rest = sorted(set(range(len(pictures))) - set(held_out))
    if not held_out or len(rest) < 2:
        raise ConfigError(
            f"{len(pictures)} pictures are too few to hold {share:g} of them out; give more, or"
            " --test"
        )
    shuffled = [rest[i] for i in rng.permutation(len(rest))]
    return pictures.take(shuffled), pictures.take(sorted(held_out))


def _kinds(pictures: Labelled, groups: list[list[int]]) -> list[list[list[int]]]:
    """Part groups of copies by the class of the first; where there are no classes, not at all."""
    if not pictures.asks_class:
        return [groups]
    kinds = defaultdict[str, list[list[int]]](list)
    for group in groups:
        kinds[str(pictures.target[group[0]])].append(group)
    return [kinds[name] for name in sorted(kinds)]


def tell_copies(pictures: Labelled) -> list[str]:
    """Say which pictures are there more than once, and which of them with different answers."""
    rows = defaultdict[str, list[int]](list)
    for row, digest in enumerate(pictures.hashes()):
        rows[digest].append(row)
    twice = [group for group in rows.values() if len(group) > 1]
    torn = [group for group in twice if len({str(pictures.target[row]) for row in group}) > 1]
    told = []
    if twice:
        told.append(f"{len(twice)} pictures are there more than once ({_names(pictures, twice)})")
    if torn:
        told.append(f"{len(torn)} of these with different answers ({_names(pictures, torn)})")
    return told


def tell_leaks(train: Labelled, test: Labelled) -> list[str]:
    """Say which test pictures are trained on, too, by what they show and not by their names."""
    seen = dict(zip(train.hashes(), train.names))
    both = [
        (name, seen[digest]) for name, digest in zip(test.names, test.hashes()) if digest in seen
    ]
    if not both:
        return []
    shown = ", ".join(f"{a} = {b}" for a, b in both[:_SHOWN])
    more = ", ..." if len(both) > _SHOWN else ""
    return [
        f"{len(both)} of {len(test)} test pictures are trained on, too ({shown}{more}): the test"
        " flatters"
    ]


def _names(pictures: Labelled, groups: list[list[int]]) -> str:
    shown = ", ".join(" = ".join(pictures.names[row] for row in g) for g in groups[:_SHOWN])
    return shown + (", ..." if len(groups) > _SHOWN else "")
