"""The tasks of an iteration split over workers: parameters go out, means over tasks come back.

A worker draws the numbers of all tasks and takes its own (`metarl.learn.share`), and each world has a
stream of its own, so that every episode goes as it would with all tasks in one place. Only sums over tasks
are added up in another order.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metarl.cluster.instance import Cluster
from metarl.errors import counted, require
from metarl.learn.crew import Crew
from metarl.learn.outcome import Outcome, joined
from metarl.meta.maml.inner import Batch, joined_batch
from metarl.meta.maml.outer import Outer, relative
from metarl.meta.maml.part import Part, Reached


class Split:
    """Lets workers do a trainer's tasks.

    Nothing that a worker holds between iterations matters: it is sent the parameters, the generator and
    its worlds' streams.

    Args:
        trainer: A `metarl.meta.maml.maml.MamlTrainer`.
        cluster: Where the workers are.
        family: The family's name, as workers can make it.
        num_workers: How many; None: one a core, and one a task at most.
    Raises:
        ConfigError: If there are more workers than tasks or cores, or the networks live on no CPU.
    """

    def __init__(self, trainer: Any, cluster: Cluster, family: str, num_workers: int | None):
        config = trainer.config
        require(config.device == "cpu", "device", config.device, "cpu, where workers are")
        most = config.num_tasks
        what = f"an integer from 1 to {most}, the tasks of an iteration (num_tasks)"
        if num_workers is not None:
            require(1 <= num_workers <= most, "workers", num_workers, what)
        cluster.connect()
        parts = np.array_split(np.arange(most), num_workers or min(cluster.cores, most))
        self._trainer, self._shares = trainer, [len(part) / most for part in parts]
        self._tasks = [slice(part[0], part[-1] + 1) for part in parts]
        self._worlds = [
            slice(tasks.start * config.episodes, tasks.stop * config.episodes)
            for tasks in self._tasks
        ]
        self._crew = Crew(
            cluster,
            Part,
            [(family, trainer.method, config, int(part[0]), len(part)) for part in parts],
            [f"tasks {part[0] + 1} to {part[-1] + 1}" for part in parts],
        )
        self._weights: list[Tensor] | None = None
        self._begun_s, self._explored_s, self._computed_s = 0.0, 0.0, 0.0

    @property
    def size(self) -> int:
        """How many workers there are."""
        return self._crew.size

    def __str__(self) -> str:
        """One line for the screen."""
        most = max(tasks.stop - tasks.start for tasks in self._tasks)
        up_to = "" if len(set(self._shares)) == 1 else "up to "
        each = f"{up_to}{most} of {self._tasks[-1].stop} tasks each"
        return f"{counted(self.size, 'worker')} on Ray, with {each}"

    def explore(self) -> tuple[Sequence[Batch], list[Outcome]]:
        """Let the workers explore their tasks.

        Returns:
            The batches of all tasks, which stay with the workers until somebody looks at them; and what
            came of each collection.
        Raises:
            MetaRLError: As `metarl.learn.crew.Crew.ask`.
        """
        trainer, crew = self._trainer, self._crew
        self._begun_s, self._computed_s = time.perf_counter(), 0.0
        streams = trainer.worlds.streams
        crew.begin()
        at = crew.put(
            {
                "policy": dict(trainer.policy.state_dict()),
                "rates": dict(trainer.rates),
                "generator": trainer.generator.get_state(),
            }
        )
        reached = crew.ask(
            {
                k: ("explore", at, streams.keys[rows].copy(), streams.counters[rows].copy())
                for k, rows in enumerate(self._worlds)
            },
            keep=True,
        )
        while any(each.length for each in reached.values()):
            reached |= crew.ask(self._next(reached), keep=True)
        found: list[Reached] = list(reached.values())
        for rows, each in zip(self._worlds, found):
            streams.counters[rows] = each.counters
        trainer.generator.set_state(found[0].generator)
        self._explored_s = max(each.seconds for each in found)
        self._weights = self._weigh(found) if trainer.outer.weigh_tasks else None
        outcomes = [joined(parts) for parts in zip(*(each.outcomes for each in found))]
        return _Batches(crew), outcomes

    def _next(self, reached: Mapping[int, Reached]) -> dict[int, tuple[Any, ...]]:
        """Ask those who are furthest behind to go on, for as long as the longest episode took; who is
        ahead of them had one that took the whole horizon."""
        update = min(each.update for each in reached.values())
        behind = {k: each.length for k, each in reached.items() if each.update == update}
        horizon = self._trainer.worlds.spec.horizon
        length = max(behind.values()) if len(behind) == len(reached) else horizon
        return {k: ("go_on", length) for k in behind}

    @staticmethod
    def _weigh(found: Sequence[Reached]) -> list[Tensor]:
        """Weigh all tasks, whoever has them, in each batch, (K,)."""
        return [relative(torch.cat(list(scales))) for scales in zip(*(f.scales for f in found))]  # type: ignore[arg-type]

    def mean(
        self,
        name: str,
        policy: nn.Module,
        params: Mapping[str, Tensor],
        rates: Mapping[str, Tensor],
        batches: Sequence[Batch],
        outer: Outer,
    ) -> Any:
        """Compute a mean over tasks of the batches that the workers have.

        Args:
            name: Which, one of the trainer's ``means``; the others are what that is computed of.
        Raises:
            MetaRLError: As `metarl.learn.crew.Crew.ask`.
        """
        at = self._crew.put({"params": dict(params), "rates": dict(rates), "outer": outer})
        weights = self._weights
        found = self._crew.ask(
            {
                k: ("mean", name, at, None if weights is None else [w[tasks] for w in weights])
                for k, tasks in enumerate(self._tasks)
            }
        )
        self._computed_s += max(seconds for _, seconds in found.values())
        return _averaged([answer for answer, _ in found.values()], self._shares)

    def seconds(self) -> dict[str, float]:
        """Say where the last iteration's time went, as metrics [s]: what the slowest worker explored and
        computed for, and what is left: to send, to wait, and to take the step."""
        total_s = time.perf_counter() - self._begun_s
        return {
            "worker_collect_s": self._explored_s,
            "worker_update_s": self._computed_s,
            "between_s": total_s - self._explored_s - self._computed_s,
        }


class _Batches(Sequence[Batch]):
    """The batches of all tasks: they come from the workers when somebody looks at one."""

    def __init__(self, crew: Crew):
        self._crew = crew
        self._here: list[Batch] | None = None

    def _all(self) -> list[Batch]:
        if self._here is None:
            found = self._crew.ask(dict.fromkeys(range(self._crew.size), ("batches",)))
            self._here = [joined_batch(parts) for parts in zip(*found.values())]
        return self._here

    def __len__(self) -> int:
        return len(self._all())

    def __getitem__(self, which: Any) -> Any:
        return self._all()[which]


def _averaged(parts: Sequence[Any], shares: Sequence[float]) -> Any:
    """Average numbers or tensors in nested tuples, lists and dicts, in the order of the parts.

    Args:
        parts: Alike.
        shares: Of each part, 1 in all.
    """
    first = parts[0]
    if isinstance(first, dict):
        return {name: _averaged([part[name] for part in parts], shares) for name in first}
    if isinstance(first, (tuple, list)):
        return type(first)(_averaged(children, shares) for children in zip(*parts))
    return sum(share * part for share, part in zip(shares, parts))
