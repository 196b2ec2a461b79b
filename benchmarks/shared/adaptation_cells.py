"""The cells of the adaptation grid, made of recipes, and the policies that are kept of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metarl.benchmark.cells import POLICIES, Meeting, Training, cost, keep
from metarl.grid.store import Store
from metarl.methods import get_method
from shared.policies import find_made, short
from shared.recipes import ALONE, LEVELS, PRETRAINING, Recipe, adapting, protocol, recipe


def pretraining(family: str, seed: int) -> Training:
    """The policy that every method starts from."""
    how = PRETRAINING[family]
    start = None if how.start is None else pretraining(how.start, seed)
    return _training(family, how, seed, start)


def meeting(family: str, arm: str, seed: int, *, num_tasks: int, updates: int) -> Meeting:
    """Make a cell of a family's tables.

    Args:
        family: Which.
        arm: One of `shared.recipes.ALONE`, a method that goes on from the pretrained policy, or a
            strategy by its name.
        seed: Of the trainings.
        num_tasks: K held-out tasks.
        updates: U.
    """
    start = pretraining(family, seed)
    if arm not in ALONE and get_method(arm).training is not None:
        start = _training(family, recipe(family, arm, seed), seed, start)
    return Meeting(
        family=family,
        arm=arm,
        start=start,
        methods={name: adapting(family, arm, name) for name in ALONE.get(arm, (arm,))},
        protocol=protocol(family, arm, num_tasks, updates),
        levels=arm == LEVELS,
    )


def _training(family: str, how: Recipe, seed: int, start: Training | None) -> Training:
    return Training(
        family=family, method=how.method, iterations=how.iterations, settings=how.settings,
        seed=seed, start=start,
    )  # fmt: skip


def start_of(cell: Meeting) -> Training:
    """The training that a cell of the grid starts from."""
    assert isinstance(cell.start, Training)
    return cell.start


def take_kept(trainings: Iterable[Training], store: Store, kept: Path) -> None:
    """Put policies that are kept, or shipped, before a benchmark, so that they are not trained again.

    Args:
        trainings: Of policies that methods start from.
        store: Of the benchmark.
        kept: The folder of those that are kept.
    """
    store.prepare()
    known = store.read()
    for one in trainings:
        if one.key in known and known[one.key].cell != one.definition():
            continue  # it is to be trained by another recipe
        found = find_made(one.family, one.method, one.seed, one.command, kept)
        if found is None or (store.folder / one.file).exists():
            continue
        (store.folder / POLICIES).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(found, store.folder / one.file)
        if one.key not in known:
            store.put(one, cost(found), 0.0)


def keep_new(trainings: Iterable[Training], folder: Path, kept: Path) -> None:
    """Keep policies that methods start from where none like them is kept yet."""
    for one in trainings:
        made = folder / one.file
        if made.exists() and not find_made(one.family, one.method, one.seed, one.command, kept):
            kept.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(made, kept / made.name)


def ship(cell: Meeting, result: Mapping[str, Any], folder: Path, target: Path) -> None:
    """Copy a cell's network, with the result that it reached.

    Args:
        cell: Which.
        result: Its.
        folder: The benchmark's.
        target: Where to.
    """
    start = start_of(cell)
    reached = result["results"].get(start.method) or result["results"]["fine-tune"]
    said = {"success-after-each-update": np.mean(reached["success"], axis=1).tolist()}
    path = target / f"{short(cell.family)}-{start.method}.safetensors"
    keep(folder / start.file, path, said)
