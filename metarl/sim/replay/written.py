"""What stands on a tape, as a function of Python's; and the scene whose arrays are written there."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from metarl.sim.replay.tape import Tape, Untraceable, text
from metarl.sim.replay.traced import Traced
from metarl.sim.scene import Scene

TRIALS = 8  # steps in which a program is tried beside the function, the one it was written on first

_STATE = ("qpos", "qvel", "ctrl", "userdata")
_NAMED = ("site_pos", "site_mat", "body_pos", "body_mat", "body_quat", "mocap_pos", "mocap_quat")
_OTHER = ("sensor", "model_field")
_SAME = ("model", "num_worlds", "id", "ctrl_mid", "ctrl_half")


def input_of(tape: Tape, values: Any, name: str) -> Traced:
    """An array whose k-th number is called ``name_k`` on the tape."""
    values = np.array(values)
    cells = np.empty(values.size, object)
    cells[:] = [f"{name}_{k}" for k in range(values.size)]
    return Traced(tape, values, cells.reshape(values.shape))


class TracedScene:
    """A scene of one world whose arrays are traced copies.

    Args:
        tape: Where they are written.
        scene: The scene.
    """

    def __init__(self, tape: Tape, scene: Scene):
        self._tape, self._scene = tape, scene
        self.sources: list[np.ndarray] = []  # the scene's own arrays, of which there are copies
        self.copies: list[Traced] = []
        self._at: dict[tuple[int, tuple[int, ...]], Traced] = {}

    def _copy(self, source: np.ndarray) -> Traced:
        at = (source.__array_interface__["data"][0], source.shape)
        if at not in self._at:
            self._at[at] = input_of(self._tape, source, f"s{len(self.sources)}")
            self.sources.append(source)
            self.copies.append(self._at[at])
        return self._at[at]

    def __getattr__(self, name: str) -> Any:
        if name in _STATE:
            return self._copy(getattr(self._scene, name))
        if name == "history":
            return lambda: self._copy(self._scene.history())
        if name in _NAMED or name in _OTHER:
            return lambda thing: self._copy(getattr(self._scene, name)(thing))
        if name in _SAME:
            return getattr(self._scene, name)
        raise Untraceable(f"{name} of the scene is not written down")

    def joint_pos(self, name: str) -> Traced:
        """As of `Scene`."""
        first = int(self._scene.model.joint(name).qposadr[0])
        width = self._scene.joint_pos(name).shape[1]
        return self.qpos[:, first : first + width]

    def joint_vel(self, name: str) -> Traced:
        """As of `Scene`."""
        first = int(self._scene.model.joint(name).dofadr[0])
        width = self._scene.joint_vel(name).shape[1]
        return self.qvel[:, first : first + width]


class Program:
    """What stands on a tape, as a function of Python's.

    Args:
        tape: The tape.
        seen: The scene's traced arrays.
        gives: What it gives.
    """

    def __init__(self, tape: Tape, seen: TracedScene, gives: list[Traced]):
        self._flat = [_flat(source) for source in seen.sources]
        self._writes = [
            (k, at, cell)
            for k, copy in enumerate(seen.copies)
            for at, cell in enumerate(copy.cells.reshape(-1).tolist())
            if cell != f"s{k}_{at}"
        ]
        roots = [cell for array in gives for cell in array.cells.reshape(-1).tolist()]
        roots += [cell for _, _, cell in self._writes]
        needed = {cell for cell in roots if isinstance(cell, str)}
        kept = []
        for name, expression, needs in reversed(tape.lines):
            if not name or name in needed:
                needed.update(needs)
                line = f"{name} = {expression}" if name else f"if not ({expression}): return"
                kept.append((line, needs))
        reads, body = _Reads(needed), []
        for line, needs in reversed(kept):
            body += [*reads.of(needs), line]
        body += reads.of(tuple(needed))
        given = ", ".join(f"[{', '.join(map(text, x.cells.reshape(-1).tolist()))}]" for x in gives)
        written = ", ".join(text(cell) for _, _, cell in self._writes)
        body.append(f"if try_it: return [{given}], [{written}]")
        body += [f"w{k}[{at}] = {text(cell)}" for k, at, cell in self._writes]
        body.append(f"return [{given}]")
        names = {**tape.names, "__name__": __name__}
        names |= {f"w{k}": flat for k, flat in enumerate(self._flat)}
        names |= {f"r{k}": flat.tolist for k, flat in enumerate(self._flat)}
        names |= {f"i{k}": flat.item for k, flat in enumerate(self._flat)}
        source = "def run(t, a, try_it=False):\n " + "\n ".join(body)
        exec(compile(source, "<replay>", "exec"), names)  # numbers and names of ours alone
        self.run: Callable[..., Any] = names["run"]
        self.trials, self.num_lines = TRIALS, len(tape.lines)
        self.takes_s = math.inf
        self._before: list[np.ndarray] = []

    def outcome(self, values: list[list[Any]], row: list[Any], try_it: bool) -> Any:
        """Run it.

        Args:
            values: The numbers of each field of the task.
            row: Those of the array that is given.
            try_it: Write nothing; give what would be written, too.
        Returns:
            What it gives; None where it does not hold.
        """
        try:
            return self.run(values, row, try_it)
        except (ArithmeticError, ValueError):  # NumPy gives infinities and NaNs there
            return None

    def remember(self) -> None:
        """Note what the arrays hold before a trial."""
        self._before = [flat.copy() for flat in self._flat]

    def wrote(self, numbers: list[Any]) -> bool:
        """Whether they hold now what the program would have written, and nothing else."""
        after = self._before
        for (k, at, _), number in zip(self._writes, numbers):
            after[k][at] = number
        return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(after, self._flat))


def _flat(source: np.ndarray) -> np.ndarray:
    flat = source.reshape(-1)
    if not np.shares_memory(flat, source):
        flat = source[0].reshape(-1)
    if not np.shares_memory(flat, source):
        raise Untraceable("an array of the scene's has no flat view")
    return flat


_FEW = 3  # numbers that are cheaper one by one than as a list


class _Reads:
    """Lines that read a program's inputs, each array where it is first needed.

    Args:
        needed: All names that the program needs.
    """

    def __init__(self, needed: set[str]):
        self._rows: dict[str, list[int]] = {}  # places in each array that was not read yet
        for name in sorted(needed):
            row, _, at = name.rpartition("_")
            if row:
                self._rows.setdefault(row, []).append(int(at))

    def of(self, names: tuple[str, ...]) -> list[str]:
        """What must be read for some names."""
        lines = []
        for name in names:
            row = name.rpartition("_")[0]
            places = self._rows.pop(row, [])
            if row.startswith("s") and len(places) <= _FEW:
                lines += [f"{row}_{at} = i{row[1:]}({at})" for at in places]
            elif places:
                whole = {"s": f"r{row[1:]}()", "t": f"t[{row[1:]}]", "a": "a"}[row[0]]
                lines.append(f"l{row} = {whole}")
                lines += [f"{row}_{at} = l{row}[{at}]" for at in places]
        return lines
