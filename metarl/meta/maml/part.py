"""What one worker does of an iteration: the tasks that are its own."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from metarl.learn.outcome import Outcome, outcome_of
from metarl.learn.share import Share
from metarl.meta.maml.inner import Batch
from metarl.methods import get_training
from metarl.registry import make_family
from metarl.streams import Streams


class Reached(NamedTuple):
    """How far a worker is.

    Args:
        update: How many collections are finished.
        length: Of the next one: control steps of its longest episode, where that ended before the
            horizon, and other workers' may be longer; 0: everything is done.
        outcomes: Of each collection, once everything is done.
        scales: Of the advantages in each batch, as `Batch` has them, (K,) of its own tasks.
        counters: Of its worlds' streams, shape (N,).
        generator: What the generator has come to.
        seconds: What it worked for [s].
    """

    update: int
    length: int
    outcomes: list[Outcome]
    scales: list[Tensor | None]
    counters: np.ndarray
    generator: Tensor
    seconds: float


class Part:
    """Some tasks of every iteration, with worlds of their own.

    Args:
        family: Its name, as a user gives it.
        method: The method's.
        config: The training's, of all tasks.
        first: Number of the first task that is its own.
        num_tasks: How many are.
    """

    def __init__(self, family: str, method: str, config: Any, first: int, num_tasks: int):
        own = dataclasses.replace(config, num_tasks=num_tasks)
        made = make_family(family)
        self._trainer = get_training(method).trainer(made, own, num_threads=1)
        self._trainer.share = Share(first * config.episodes, config.num_tasks * config.episodes)
        self._batches: list[Batch] = []

    def explore(self, at: Mapping[str, Any], keys: np.ndarray, counters: np.ndarray) -> Reached:
        """Begin an iteration.

        Args:
            at: The state of ``policy``, the ``rates``, and the state of the ``generator``.
            keys: Of its worlds' streams, shape (N,).
            counters: Likewise.
        """
        trainer = self._trainer
        trainer.policy.load_state_dict(at["policy"])
        self._set(trainer.rates, at["rates"])
        trainer.generator.set_state(at["generator"])
        trainer.worlds.streams = Streams(keys.copy(), counters.copy())
        self._pace, self._update, self._seconds = trainer.exploring(), -1, 0.0
        return self._run(None)

    def go_on(self, length: int) -> Reached:
        """Go on with a collection whose longest episode, of all workers, took so many control steps."""
        return self._run(length)

    def _run(self, length: int | None) -> Reached:
        begun_s = time.perf_counter()
        trainer, horizon = self._trainer, self._trainer.worlds.spec.horizon
        reached, outcomes = 0, list[Outcome]()
        try:
            while True:
                reached = self._pace.send(length)  # type: ignore[arg-type]
                self._update += 1
                if reached < horizon:
                    break
                length = horizon  # no episode is longer
        except StopIteration as end:
            self._batches, episodes = end.value
            self._update, reached = len(episodes), 0
            outcomes = [outcome_of(each) for each in episodes]
        self._seconds += time.perf_counter() - begun_s
        return Reached(
            self._update, reached, outcomes, [batch.scale for batch in self._batches],
            trainer.worlds.streams.counters, trainer.generator.get_state(), self._seconds,
        )  # fmt: skip

    def mean(
        self, name: str, at: Mapping[str, Any], weights: Sequence[Tensor] | None
    ) -> tuple[Any, float]:
        """Compute a mean over its own tasks.

        Args:
            name: One of the trainer's ``means``.
            at: The parameters ``params``, the ``rates``, and what the ``outer`` loss is made of.
            weights: Of its tasks in each batch, (K,), where all tasks have a say in them.
        Returns:
            The mean, and the time that it took [s].
        """
        begun_s = time.perf_counter()
        trainer, batches = self._trainer, self._batches
        self._set(trainer.params, at["params"])
        self._set(trainer.rates, at["rates"])
        if weights is not None:
            batches = [batch._replace(weight=w) for batch, w in zip(batches, weights)]
        compute = getattr(trainer, name)
        found = compute(trainer.policy, trainer.params, trainer.rates, batches, at["outer"])
        return found, time.perf_counter() - begun_s

    def batches(self) -> list[Batch]:
        """What its tasks gave."""
        return self._batches

    @staticmethod
    @torch.no_grad()
    def _set(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
        for name, tensor in own.items():
            tensor.copy_(given[name])
