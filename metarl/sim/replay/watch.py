"""What a program depended on beside its inputs, and whether all of that is still the same.

A family's methods read more than the scene and the task: attributes, constants of modules and
classes, arrays, the model's fields. `recorded` says whose code ran, `metarl.sim.replay.reach` what that
code may read. What is bound is compared by identity, what can be edited in place by its contents. The
comparisons are functions of Python's, which take about a microsecond for thirty of them.
"""

from __future__ import annotations

import contextlib
import sys
import types
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import mujoco

from metarl.sim.replay.reach import Codes, Reach, is_fixed

# What carries out the recording.
_MACHINERY = (
    "metarl.sim.scene", "metarl.sim.rows", "metarl.sim.batches", "metarl.sim.warp.",
    "metarl.sim.replay.program", "metarl.sim.replay.tape",
    "metarl.sim.replay.written",
    "metarl.sim.replay.traced", __name__,
)  # fmt: skip


@contextlib.contextmanager
def recorded(codes: Codes) -> Iterator[None]:
    """Note whose code runs, but for packages that stay as they are.

    Args:
        codes: Where to.
    """

    def note(frame: types.FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code not in codes:
            module = frame.f_globals.get("__name__") or ""
            if not (is_fixed(module) or module.startswith(_MACHINERY)):
                codes[frame.f_code] = frame.f_globals

    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)


class Contents:
    """Whether arrays still hold what they held.

    Args:
        arrays: The arrays; they are kept.
    """

    def __init__(self, arrays: Iterable[Any]):
        views = [memoryview(x) for x in arrays]
        self._flat = [x for x in views if x.c_contiguous]
        self._others = [x for x in views if not x.c_contiguous]
        self._held = b"".join(self._flat)
        self._held_others = [x.tobytes() for x in self._others]

    def same(self) -> bool:
        """Whether they do, to the bit."""
        return b"".join(self._flat) == self._held and (
            not self._others or [x.tobytes() for x in self._others] == self._held_others
        )


class Watch:
    """Whether what a function reads is what it was.

    Args:
        function: The function.
        codes: Whose code it ran; see `recorded`.
        model: The model of the scene that it is given.
    Attributes:
        holds: Says so.
        moves: Whether physics may write what it reads: views of the state, for example.
    Raises:
        Untraceable: If changes could go unseen.
    """

    def __init__(self, function: Callable[..., Any], codes: Codes, model: mujoco.MjModel):
        self.num_codes = len(codes)
        self._reach = reach = Reach(codes)
        reach.walk(function, "the function")
        if "model" in reach.names:
            reach.walk(model, "the model")
        reach.walk_rest()
        self.moves = reach.moves
        self._other: Watch | None = None  # what `_both_hold` is about, too
        self.holds = self._both_hold = _all_hold(reach)

    def __len__(self) -> int:
        return len(self._reach.conditions)

    def holds_with(self, other: Watch) -> Callable[[], bool]:
        """Says `holds` of this and another watch; what both are about is compared once.

        Args:
            other: The other; both hold now.
        """
        if self._other is not other:
            self._other, self._both_hold = other, _all_hold(self._reach, other._reach)
        return self._both_hold

    def changed(self) -> str:
        """What is no longer what it was."""
        for lines, what in self._reach.conditions:
            if not _function([*lines, "return True"], self._reach.things)():
                return what
        stale = (
            what for array, what, held in self._reach.arrays if memoryview(array).tobytes() != held
        )
        return next(stale, "nothing")


def _all_hold(*reaches: Reach) -> Callable[[], bool]:
    arrays = {id(array): array for reach in reaches for array, _, _ in reach.arrays}
    things = {"\0same": Contents(arrays.values()).same}
    for reach in reaches:
        things |= reach.things
    found = dict.fromkeys(tuple(c.lines) for reach in reaches for c in reach.conditions)
    lines = [line for lines in found for line in lines]  # each once
    return _function([*lines, 'return "\\0same"()'], things)


def _function(lines: list[str], things: dict[str, Any]) -> Callable[[], bool]:
    """A function without arguments, in which texts stand for things.

    The things become constants of its code: to look each of them up takes several times as long
    once physics has run, since it is memory that is slow.
    """
    body = ["try:", *(f" {line}" for line in lines), "except Exception: return False"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # texts are compared by identity
        module = compile("def f():\n " + "\n ".join(body), "<watch>", "exec")
    code = next(x for x in module.co_consts if isinstance(x, types.CodeType))
    consts = (things.get(x, x) if isinstance(x, str) else x for x in code.co_consts)
    return types.FunctionType(
        code.replace(co_consts=tuple(consts)), {"__name__": __name__, "len": len}
    )
