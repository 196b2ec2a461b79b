"""Tasks of a few classes, drawn by learn2learn: some pictures with their names, others to be asked."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from metarl.meta.maml.learn2learn_backend import load_learn2learn
from metarl.streams import derive_seed


@dataclass(frozen=True)
class Task:
    """One task: classes are told apart that it alone numbers.

    Attributes:
        support: Pictures, (ways * shots, 3, H, W) uint8, or their features, (ways * shots, F).
        support_label: Their classes, 0 to ways - 1, int64.
        query: Others, of the same classes, (ways * queries, ...).
        query_label: Their classes.
    """

    support: Tensor
    support_label: Tensor
    query: Tensor
    query_label: Tensor

    def to(self, device: str) -> Task:
        """Bring it to a device."""
        return Task(*(t.to(device) for t in vars(self).values()))


class _Rows(Dataset[tuple[Tensor, int]]):
    """What learn2learn takes for a dataset: an input and its class, by place."""

    def __init__(self, inputs: Tensor, label: Tensor):
        super().__init__()
        self.inputs, self.label = inputs, label

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.inputs[row], int(self.label[row])


class Tasks:
    """Tasks of certain classes, by number: a number always gives the same task.

    What is drawn hangs on the labels, the classes, the counts and the seed, not on the inputs: of
    pictures and of their features it is the same.

    Args:
        inputs: Pictures or features, shape (n, ...).
        label: Shape (n,), int64.
        classes: Labels that tasks are made of.
        ways: Classes of a task, at most as many as there are.
        shots: Pictures of each with their names.
        queries: Pictures of each to be asked.
        seed: Decides every task.
    Raises:
        MissingDependencyError: If learn2learn is absent; the message is the line that installs it.
    """

    def __init__(
        self,
        inputs: Tensor,
        label: Tensor,
        classes: Sequence[int],
        *,
        ways: int,
        shots: int,
        queries: int,
        seed: int,
    ):
        data = load_learn2learn().data
        rows: dict[int, list[int]] = {}
        for row, name in enumerate(label.tolist()):
            rows.setdefault(name, []).append(row)
        whole = data.MetaDataset(_Rows(inputs, label), labels_to_indices=rows)
        chosen = data.FilteredMetaDataset(whole, list(classes))
        made_by = data.transforms
        steps: list[Any] = [
            made_by.NWays(chosen, n=ways),
            made_by.KShots(chosen, k=shots + queries),
            made_by.LoadData(chosen),
            made_by.RemapLabels(chosen),
        ]
        self._drawn = data.Taskset(chosen, steps)  # the present name of its TaskDataset
        self._part = data.partition_task
        self.shots, self.seed = shots, seed

    def task(self, number: int) -> Task:
        """Draw a task.

        Args:
            number: >= 0.
        """
        with python_seed(derive_seed(self.seed, f"few-shot/task/{number}")):
            inputs, label = self._drawn.sample()
        (support, support_label), (query, query_label) = self._part(inputs, label, self.shots)
        return Task(support, support_label, query, query_label)


@contextlib.contextmanager
def python_seed(seed: int) -> Iterator[None]:
    """Seed Python's global generator, from which learn2learn draws, and put it back afterwards."""
    outside = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(outside)


def accuracy(logits: Tensor, label: Tensor) -> float:
    """The share of answers that are right, in [0, 1]; logits (n, ways), label (n,)."""
    return float((logits.argmax(-1) == label).to(torch.float64).mean())
