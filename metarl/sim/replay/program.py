"""One world alone: what its family does with NumPy is written down once, then done by Python.

See `metarl.sim.replay.traced` for how. A program is tried before it is used, in several steps: what it
gives and what it writes must equal, to the bit, what the family itself gave and wrote.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from metarl.sim.replay.reach import Codes
from metarl.sim.replay.tape import MOST_LINES, Tape, Untraceable
from metarl.sim.replay.traced import lift
from metarl.sim.replay.watch import Contents, Watch, recorded
from metarl.sim.replay.written import TRIALS, Program, TracedScene, input_of
from metarl.sim.scene import Scene
from metarl.types import variations

Numbers = list[list[Any]]  # what each of a function's arrays holds
Function = Callable[[Any, Any, np.ndarray], tuple[Any, ...]]

WARM = 16  # control steps that a family does itself before anything is written down
MOST = 64  # programs for one model and one kind of task
FAILURES = 3  # errors while something is written down, after which it is left
LASTING_S = 60.0  # programs that are dropped sooner make the next ones wait twice as long
LONGEST = 2**16  # control steps, at most
SLOW_S = 50e-6  # what takes no longer is not worth a comparison


class _Ways:
    """The programs for one scene and one kind of task, and what they depend on."""

    def __init__(self) -> None:
        self.programs: list[Program] = []
        self.met = 0  # control steps in which none of them held
        self.watch: Watch | None = None
        self.asked_s = math.inf  # what asking the family takes


class Replay:
    """A function of one world that is done by programs wherever these hold.

    What the function reads beside what it is given (attributes, constants, fields of the model)
    is watched: when any of it changes, all programs are dropped, and written anew.

    Args:
        function: Of a scene of one world, its task and an array, (1, ...): gives arrays, may
            write into the scene, and keeps nothing to itself.
        task_type: The task dataclass.
    Attributes:
        why_not: Why there are no programs, if there can be none.
    """

    def __init__(self, function: Function, task_type: type):
        self.function = function
        self.why_not = ""
        self._varying = tuple(variations(task_type))
        self._labels = [
            f.name for f in dataclasses.fields(task_type) if f.name not in self._varying
        ]
        self._ways: dict[Any, _Ways] = {}
        self._codes: Codes = {}
        self._warm, self._began_s = WARM, time.perf_counter()
        self._failed = 0
        self._task: Any = None
        self._held = Contents(())
        self._label: tuple[Any, ...] = ()
        self._values: list[list[Any]] = []
        self._sure: _Ways | None = None  # whose program has done the last call

    def __call__(self, scene: Scene, task: Any, given: np.ndarray, row: list[Any]) -> Numbers:
        """Do the function.

        Args:
            scene: A scene of one world.
            task: Its task, one row.
            given: Shape (1, ...).
            row: Its numbers.
        Returns:
            The numbers of each array that it gives.
        """
        self._sure = None
        if self.why_not:
            return _numbers(self.function(scene, task, given))
        if task is not self._task or not self.task_holds():
            self._take(task)
        key = (scene, given.dtype.char, self._label)
        ways = self._ways.get(key)
        watch = None if ways is None else ways.watch
        if watch is not None and not watch.holds():
            self._forget()
            ways = None
        if ways is None:
            ways = self._ways[key] = _Ways()
        program, found = self._found(ways.programs, row)
        if program is None:
            return self._unknown(ways, scene, task, given, row)
        if program.trials:
            return self._tried(ways, program, found, scene, task, given, row)
        self._sure = ways
        return found

    def _found(self, programs: list[Program], row: list[Any]) -> tuple[Program | None, Any]:
        """The program that holds, and what it gives."""
        for k, program in enumerate(programs):
            found = program.outcome(self._values, row, bool(program.trials))
            if found is not None:
                if k:
                    programs.insert(0, programs.pop(k))
                return program, found
        return None, None

    @property
    def sure(self) -> Watch | None:
        """The watch of the last call, if the call was done by a program that is no longer tried."""
        return None if self._sure is None else self._sure.watch

    def task_holds(self) -> bool:
        """Whether the task of the last call holds what it held."""
        return self._held.same()

    def again(self, row: list[Any]) -> Numbers | None:
        """Do the function as in the last call, when it is known that all else is the same.

        Args:
            row: As in a call.
        Returns:
            The same as a call; None where no program holds that is no longer tried, and nothing
            is done then.
        """
        program, found = self._found(self._sure.programs if self._sure else [], row)
        return None if program is None or program.trials else found

    def _take(self, task: Any) -> None:
        """Note what a task holds."""
        arrays = {f.name: np.asarray(getattr(task, f.name)) for f in dataclasses.fields(task)}
        self._task, self._held = task, Contents(arrays.values())
        self._label = tuple(bytes(arrays[name]) for name in self._labels)
        self._values = [arrays[name].reshape(-1).tolist() for name in self._varying]

    def _forget(self) -> None:
        """Drop all programs; wait longer before the next ones if these did not last."""
        now = time.perf_counter()
        lasted = now - self._began_s > LASTING_S
        self._warm = WARM if lasted else min(2 * self._warm, LONGEST)
        self._began_s = now
        self._ways.clear()

    def _unknown(
        self, ways: _Ways, scene: Scene, task: Any, given: np.ndarray, row: list[Any]
    ) -> Numbers:
        """Do the function where no program holds, and get to know it."""
        ways.met += 1
        num_lines = sum(program.num_lines for program in ways.programs)
        if len(ways.programs) == MOST or num_lines > 4 * MOST_LINES:
            self.why_not = f"it takes more than {len(ways.programs)} ways"
        if self.why_not or ways.met < self._warm - 1:
            return _numbers(self.function(scene, task, given))
        if sys.getprofile() is not None:  # whoever measures sees the family itself
            return _numbers(self.function(scene, task, given))
        if ways.watch is None:
            with recorded(self._codes):
                found = _numbers(self.function(scene, task, given))
            self._watch(ways, scene)
            return found
        if ways.met <= self._warm:
            found = _numbers(self.function(scene, task, given))
            self._unchanged(ways.watch)
            return found
        return self._learn(ways, scene, task, given, row)

    def _watch(self, ways: _Ways, scene: Scene) -> None:
        try:
            ways.watch = Watch(self.function, self._codes, scene.model)
        except Untraceable as error:
            self.why_not = str(error)

    def _unchanged(self, watch: Watch) -> None:
        """See that the function changes nothing of what it reads."""
        if not watch.holds():
            self.why_not = f"{watch.changed()} changes when it is asked"

    def _learn(
        self, ways: _Ways, scene: Scene, task: Any, given: np.ndarray, row: list[Any]
    ) -> Numbers:
        """Write down what the function does here, and do it."""
        if self._search_s(ways, row) > max(2.0 * ways.asked_s, SLOW_S):
            self.why_not = f"to find out which of its {len(ways.programs)} ways it takes is slower"
            return _numbers(self.function(scene, task, given))
        program = self._written(ways, scene, task, given)
        would = None if program is None else program.outcome(self._values, row, True)
        if program is None or would is None:
            return _numbers(self.function(scene, task, given))
        ways.programs.insert(0, program)
        return self._tried(ways, program, would, scene, task, given, row)

    def _search_s(self, ways: _Ways, row: list[Any]) -> float:
        """How long it takes to find that none of the programs holds."""
        return min(
            _seconds(lambda: [p.outcome(self._values, row, True) for p in ways.programs])
            for _ in range(TRIALS)
        )

    def _tried(
        self,
        ways: _Ways,
        program: Program,
        would: tuple[Numbers, list[Any]],
        scene: Scene,
        task: Any,
        given: np.ndarray,
        row: list[Any],
    ) -> Numbers:
        """Do the function itself; nothing is replayed any more if a program would do otherwise."""
        first = program.trials == TRIALS
        program.remember()
        program.trials -= 1
        taken_s = _seconds(lambda: program.outcome(self._values, row, True))
        program.takes_s = min(program.takes_s, taken_s)
        start_s = time.thread_time()
        with recorded(self._codes) if first else contextlib.nullcontext():
            found = _numbers(self.function(scene, task, given))
        if not first:
            ways.asked_s = min(ways.asked_s, time.thread_time() - start_s)
        if ways.watch is not None:
            self._unchanged(ways.watch)
        if ways.watch is None or ways.watch.num_codes < len(self._codes):
            self._watch(ways, scene)
        if not (_same(would[0], found) and program.wrote(would[1])):
            self.why_not = "what was written down does not do the same"
        elif not program.trials and program.takes_s > max(ways.asked_s, SLOW_S):
            self.why_not = (
                f"its arrays are wide: number by number it takes {1e6 * program.takes_s:.0f} us,"
                f" by NumPy {1e6 * ways.asked_s:.0f} us"
            )
        return found

    def _written(self, ways: _Ways, scene: Scene, task: Any, given: np.ndarray) -> Program | None:
        """Write a program, if it can be done."""
        try:
            program = self._traced(scene, task, given)
        except Untraceable as error:
            self.why_not = str(error)
            return None
        except Exception as error:  # here, or the function's own: it will say so itself
            self._failed += 1
            if self._failed == FAILURES:
                self.why_not = f"{type(error).__name__}: {error}"
            return None
        return program

    def _traced(self, scene: Scene, task: Any, given: np.ndarray) -> Program:
        tape = Tape()
        seen = TracedScene(tape, scene)
        fields = {
            name: input_of(tape, getattr(task, name), f"t{k}")
            for k, name in enumerate(self._varying)
        }
        fields |= {name: getattr(task, name) for name in self._labels}
        action: Any = input_of(tape, given, "a")
        gives = self.function(seen, type(task)(**fields), action)
        return Program(tape, seen, [lift(tape, x) for x in gives])


def _seconds(do: Callable[[], Any]) -> float:
    """How long something takes this thread, others aside."""
    start_s = time.thread_time()
    do()
    return time.thread_time() - start_s


def _same(a: Numbers, b: Numbers) -> bool:
    """Whether numbers are equal; NaNs are."""
    pairs = zip(a, b)
    return len(a) == len(b) and all(
        len(x) == len(y) and all(p == q or (p != p and q != q) for p, q in zip(x, y))
        for x, y in pairs
    )


def _numbers(arrays: tuple[Any, ...]) -> Numbers:
    return [np.asarray(x).reshape(-1).tolist() for x in arrays]
