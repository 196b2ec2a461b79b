"""N environments, wherever they run: in this process, or in worker processes that may be lost."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from metarl.errors import FamilyError, SimulationError
from metarl.machine import num_cores
from metarl.sim.outside import worker
from metarl.sim.outside.process import Lost, Place, Worker, exchange, give_back, take
from metarl.sim.outside.worker import Arrays, Message, Trouble

MOST_RESTARTS = 3  # of each worker
_log = logging.getLogger(__name__)

Broken = Callable[[str, str], FamilyError]  # (whose doing it was, what it did) -> what to raise


@dataclass(frozen=True)
class Interface:
    """What the environments declare.

    Args:
        blocks: Parts of an observation: name, shape, dtype.
        low: Least actions, (A,).
        high: Largest ones, (A,).
    """

    blocks: tuple[tuple[str, tuple[int, ...], str], ...]
    low: np.ndarray
    high: np.ndarray


class Benches(Protocol):
    """N environments."""

    @property
    def num_workers(self) -> int:
        """How many processes they run in; 0: in this one."""

    def assign(self, ids: np.ndarray, tasks: Mapping[str, np.ndarray]) -> Interface:
        """Hand environments their tasks, a row each."""

    def reset(self, ids: np.ndarray, seeds: np.ndarray) -> Arrays:
        """Begin episodes; gives ``obs.BLOCK``, (n, ...), of these environments."""

    def step(self, ids: np.ndarray, ctrl: np.ndarray) -> tuple[Arrays, np.ndarray]:
        """Step environments; which of them are lost, (n,) bool, comes second.

        Of the others come ``obs.BLOCK`` and ``rest``, whose columns are reward, terminated, truncated,
        and the readings.
        """

    def render(self, i: int) -> np.ndarray:
        """Let an environment draw itself, (H, W, 3) uint8."""


def _interface(answer: Message) -> Interface:
    header, arrays = answer
    blocks = tuple((name, tuple(shape), kind) for name, shape, kind in header["blocks"])
    return Interface(blocks, arrays["low"], arrays["high"])


class Here:
    """Environments in this process, one after the other.

    Args:
        make: What makes one, or where to find that.
        settings: Its further arguments.
        readings: Which entries of `info` are read.
        broken: Makes the error that an environment does not do what it must.
    """

    num_workers = 0

    def __init__(
        self,
        make: Callable[..., Any] | str,
        settings: Mapping[str, Any],
        readings: Sequence[str],
        broken: Broken,
    ):
        self._broken = broken
        try:
            made = worker.load(make) if isinstance(make, str) else make
            self._bench = worker.Bench(made, settings, readings)
        except Trouble as trouble:
            raise broken(trouble.what, trouble.said) from trouble
        weakref.finalize(self, self._bench.close)

    def _ask(self, do: str, rows: list[int], arrays: Arrays) -> Message:
        try:
            return self._bench.obey({"do": do, "rows": rows}, arrays)
        except Trouble as trouble:
            raise self._broken(trouble.what, _in_world(trouble, trouble.row)) from trouble

    def assign(self, ids: np.ndarray, tasks: Mapping[str, np.ndarray]) -> Interface:
        return _interface(self._ask("assign", ids.tolist(), dict(tasks)))

    def reset(self, ids: np.ndarray, seeds: np.ndarray) -> Arrays:
        return self._ask("reset", ids.tolist(), {"seed": seeds})[1]

    def step(self, ids: np.ndarray, ctrl: np.ndarray) -> tuple[Arrays, np.ndarray]:
        arrays = self._ask("step", ids.tolist(), {"ctrl": ctrl})[1]
        return arrays, np.zeros(len(ids), bool)

    def render(self, i: int) -> np.ndarray:
        return self._ask("render", [i], {})[1]["picture"]


class Elsewhere:
    """Environments in worker processes, each with a part of them.

    A worker that dies, or gives no sign of life for as long as its place allows, is started again, at
    most `MOST_RESTARTS` times. Its environments have their tasks then, and are lost until they are
    reset: a step says so. The other workers notice nothing.

    Args:
        place: Where they run.
        num_worlds: N.
        num_workers: Into how many processes; 0 is one a core.
        broken: Makes the error that an environment does not do what it must.
    """

    def __init__(self, place: Place, num_worlds: int, num_workers: int, broken: Broken):
        self.place, self._broken = place, broken
        count = min(num_workers or num_cores(), num_worlds)
        self._parts = np.array_split(np.arange(num_worlds), count)  # which worlds each has
        self._of = np.repeat(np.arange(count), [len(part) for part in self._parts])
        self._first = np.array([part[0] for part in self._parts])
        self._restarts = [0] * count
        self._stale = np.zeros(num_worlds, bool)  # whose episodes went down with their worker
        self._tasks: dict[str, np.ndarray] = {}
        self._workers = list[Worker]()
        self._process = os.getpid()
        weakref.finalize(self, give_back, self._workers, self._process)
        for _ in range(count):
            try:
                self._workers.append(take(place))
            except Trouble as trouble:
                raise broken(trouble.what, trouble.said) from trouble

    @property
    def num_workers(self) -> int:
        return len(self._workers)

    @property
    def pids(self) -> list[int]:
        """Of the processes."""
        return [each.pid for each in self._workers]

    def assign(self, ids: np.ndarray, tasks: Mapping[str, np.ndarray]) -> Interface:
        if not self._tasks:  # the first ones, of all
            self._tasks = {name: np.array(values) for name, values in tasks.items()}
        for name, values in tasks.items():
            self._tasks[name][ids] = values
        first, *others = map(_interface, self._ask("assign", ids, self._tasks))
        for other in others:
            same = np.array_equal(first.low, other.low) and np.array_equal(first.high, other.high)
            if not same or first.blocks != other.blocks:
                raise self._broken("make()", "has other spaces in another process")
        return first

    def reset(self, ids: np.ndarray, seeds: np.ndarray) -> Arrays:
        of_all = np.zeros(len(self._of), np.int64)
        of_all[ids] = seeds
        answers = self._ask("reset", ids, {"seed": of_all})
        self._stale[ids] = False
        return _joined([arrays for _, arrays in answers])

    def step(self, ids: np.ndarray, ctrl: np.ndarray) -> tuple[Arrays, np.ndarray]:
        asked = ids[~self._stale[ids]]
        of_all = np.zeros((len(self._of), ctrl.shape[1]))
        of_all[ids] = ctrl
        answers = self._ask("step", asked, {"ctrl": of_all}, again=False) if len(asked) else []
        found = [arrays for _, arrays in answers if arrays]
        return _joined(found), self._stale[ids].copy()

    def render(self, i: int) -> np.ndarray:
        picture = self._ask("render", np.array([i]), {}, again=False)[0][1].get("picture")
        if picture is None:
            raise SimulationError(
                f"the worker of world {i} was lost while it drew; reset and go on"
            )
        return picture

    def _ask(
        self,
        do: str,
        ids: np.ndarray,
        of_all: Mapping[str, np.ndarray],
        *,
        again: bool = True,
    ) -> list[Message]:
        """Give an order to every worker that has some of these worlds.

        Args:
            do: The order.
            ids: Which worlds, sorted.
            of_all: Arrays with a row for each of all worlds.
            again: Whether a worker that was lost over it, and started again, gets it again; else
                its answer is empty.
        Returns:
            Their answers, in the order of the worlds.
        """
        if os.getpid() != self._process:
            raise SimulationError(
                "these worlds were made before this process was forked, and their environments run"
                " for the other one; make them here, or start processes by 'spawn'"
            )
        asked = np.unique(self._of[ids]).tolist()
        answers = dict[int, Message]()
        while left := [k for k in asked if k not in answers]:
            orders = [self._order(do, k, ids, of_all) for k in left]
            given = exchange([self._workers[k] for k in left], orders, self.place.patience_s)
            for k, answer in zip(left, given):
                if isinstance(answer, Lost):
                    self._start_again(k, answer.why)
                    if not again:
                        answers[k] = {}, {}
                elif not isinstance(answer, Trouble):
                    answers[k] = answer
            for k, answer in zip(left, given):
                if isinstance(answer, Trouble):
                    raise self._trouble(k, answer)
        return [answers[k] for k in asked]

    def _order(self, do: str, k: int, ids: np.ndarray, of_all: Mapping[str, np.ndarray]) -> Message:
        mine = ids[self._of[ids] == k]
        rows = (mine - self._first[k]).tolist()
        return {"do": do, "rows": rows}, {name: values[mine] for name, values in of_all.items()}

    def _start_again(self, k: int, why: str) -> None:
        """Put a new worker in the place of one that was lost; its worlds wait for a reset.

        Raises:
            SimulationError: If that has been done as often as it may be.
        """
        part = self._parts[k]
        worlds = f"worlds {part[0]} to {part[-1]}" if len(part) > 1 else f"world {part[0]}"
        self._stale[part] = True
        while True:
            if self._restarts[k] >= MOST_RESTARTS:
                raise SimulationError(
                    f"the worker of {worlds} was lost {MOST_RESTARTS + 1} times: {why}; it was"
                    f" started again {MOST_RESTARTS} times, which is the most; see that the"
                    f" environments run in {self.place.interpreter}"
                )
            self._restarts[k] += 1
            _log.warning(
                "the worker of %s was lost: %s; it is started again (%d of at most %d times), and"
                " its episodes begin anew",
                worlds, why, self._restarts[k], MOST_RESTARTS,
            )  # fmt: skip
            try:
                self._workers[k] = fresh = Worker(self.place)
            except Trouble as trouble:
                raise self._broken(trouble.what, trouble.said) from trouble
            order = self._order("assign", k, part, self._tasks)
            answer = exchange([fresh], [order], self.place.patience_s)[0]
            if isinstance(answer, Trouble):
                raise self._trouble(k, answer)
            if not isinstance(answer, Lost):
                return
            why = answer.why

    def _trouble(self, k: int, trouble: Trouble) -> FamilyError:
        row = int(trouble.row)
        i = int(self._parts[k][row]) if 0 <= row < len(self._parts[k]) else -1
        return self._broken(trouble.what, _in_world(trouble, i))


def _in_world(trouble: Trouble, i: int) -> str:
    return f"{trouble.said}, in world {i}" if i >= 0 else str(trouble.said)


def _joined(parts: Sequence[Arrays]) -> Arrays:
    if len(parts) == 1:
        return dict(parts[0])
    names = parts[0] if parts else {}
    return {name: np.concatenate([part[name] for part in parts]) for name in names}
