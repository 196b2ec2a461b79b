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
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import mujoco

from metarl.sim.replay.reach import Codes, Reach, is_fixed

PART = 30  # conditions in one function

# What carries out the recording.
_MACHINERY = (
    "metarl.sim.scene", "metarl.sim.rows", "metarl.sim.replay.program", "metarl.sim.replay.tape",
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
        holds: Says so, fast.
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
        reach.things["contents"] = Contents(array for array, _, _ in reach.arrays).same
        self.holds: Callable[[], bool] = self._whole()

    def _whole(self) -> Callable[[], bool]:
        """All conditions as one function; in parts, since Python is slow with many names in one."""
        things, conditions, parts = self._reach.things, self._reach.conditions, []
        for first in range(0, len(conditions), PART):
            tests = [line for lines, _ in conditions[first : first + PART] for line in lines]
            exec(_compiled("part", [*tests, "return True"]), things)  # names of ours alone
            things[f"part{first}"] = things["part"]
            parts.append(f"part{first}()")
        whole = " and ".join([*parts, "contents()"])
        exec(
            _compiled("whole", ["try:", f" return {whole}", "except Exception: return False"]),
            things,
        )
        found: Callable[[], bool] = things["whole"]
        return found

    def __len__(self) -> int:
        return len(self._reach.conditions)

    def changed(self) -> str:
        """What is no longer what it was."""
        for lines, what in self._reach.conditions:
            exec(_compiled("part", [*lines, "return True"]), self._reach.things)
            try:
                if self._reach.things["part"]():
                    continue
            except Exception:  # it is no longer there
                return what
            return what
        stale = (
            what for array, what, held in self._reach.arrays if memoryview(array).tobytes() != held
        )
        return next(stale, "nothing")


def _compiled(name: str, lines: list[str]) -> types.CodeType:
    return compile(f"def {name}():\n " + "\n ".join(lines), "<watch>", "exec")
