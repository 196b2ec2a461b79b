"""Environments stepped on behalf of metarl: in its own process, or by another interpreter.

Another interpreter runs this file as it stands. It needs Python 3.8 and NumPy, nothing of metarl, and
of Gymnasium only what the environments themselves bring along.

A message is a fixed head, a header in JSON, and raw arrays. Nothing is pickled.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import os
import struct
import sys
import threading
import time
import traceback
import zlib
from typing import Any, Callable, Dict, Mapping, Sequence, Tuple  # noqa: UP035

import numpy as np

# Aliases are read at run time, also by interpreters that know no dict[str, ...].
Arrays = Dict[str, np.ndarray]  # noqa: UP006
Message = Tuple[Dict[str, Any], Arrays]  # noqa: UP006

HEAD = struct.Struct("<4sIQ")  # mark, length of the header, length of the arrays [bytes]
MARK = b"mrl1"
LARGEST = 1 << 31  # bytes of a message's arrays
LARGEST_HEADER = 1 << 22
KINDS = ("<f4", "<f8", "<i8", "<u8", "|u1", "|b1")  # dtypes that travel
TICK_S = 1.0  # how often a worker that is busy says that it is
WHOLE = "observation"  # the block of an observation that has no parts


class Trouble(Exception):
    """An environment, or what makes it, does not do what it must.

    Args:
        what: Whose doing it was: ``"step()"``.
        said: What it did.
        row: Of which environment; -1: of none.
    """

    def __init__(self, what: str, said: str, row: int = -1):
        super().__init__(what, said, row)
        self.what, self.said, self.row = what, said, row


class Garbled(Exception):
    """What came through the pipe is no message."""


# Messages ---------------------------------------------------------------------------------


def pack(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Write a message.

    Args:
        header: JSON values.
        arrays: By name; numbers of a kind that travels are sent as they are, others as float64.
    """
    sent = {name: _travelling(values) for name, values in arrays.items()}
    told = {name: [values.dtype.str, list(values.shape)] for name, values in sent.items()}
    text = json.dumps({**header, "arrays": told}).encode()
    body = b"".join(values.tobytes() for values in sent.values())
    return HEAD.pack(MARK, len(text), len(body)) + text + body


def _travelling(values: Any) -> np.ndarray:
    values = np.asarray(values)
    if values.dtype.str not in KINDS:
        values = values.astype("<f8")
    return np.ascontiguousarray(values)


def sizes(head: bytes) -> tuple[int, int]:
    """Read a message's head: how long its header and its arrays are.

    Raises:
        Garbled: If it is none, or too long to be one.
    """
    mark, header, body = HEAD.unpack(head)
    if mark != MARK or header > LARGEST_HEADER or body > LARGEST:
        raise Garbled(f"{head!r} begins no message")
    return header, body


def unpack(text: bytes, body: bytes) -> Message:
    """Read what follows a message's head.

    Raises:
        Garbled: If header and arrays do not fit together.
    """
    try:
        header = json.loads(text)
        arrays, start = {}, 0
        for name, (kind, shape) in header.pop("arrays").items():
            if kind not in KINDS or any(type(n) is not int or n < 0 for n in shape):
                raise Garbled(f"{name} is {kind} of shape {shape}")
            dtype, count = np.dtype(kind), int(np.prod(shape, dtype=object))
            if start + count * dtype.itemsize > len(body):
                raise Garbled(f"{name} is longer than what came")
            # a copy, which may be written into
            arrays[name] = np.frombuffer(body, dtype, count, start).reshape(shape).copy()
            start += count * dtype.itemsize
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Garbled(str(error)) from error
    if start != len(body):
        raise Garbled(f"{len(body) - start} bytes more than its arrays need")
    return header, arrays


# Environments -----------------------------------------------------------------------------


def load(entry: str) -> Any:
    """Find what makes environments.

    Args:
        entry: ``module:name``, or ``path/of/file.py:name``.
    Raises:
        Trouble: If there is no such thing, or importing it fails.
    """
    place, _, name = entry.rpartition(":")
    try:
        file = place.endswith(".py")
        module = _load_file(os.path.abspath(place)) if file else importlib.import_module(place)
        return getattr(module, name)
    except BaseException as error:  # a stranger's import may raise anything at all
        if _is_interrupt(error):
            raise
        raise Trouble("loading " + entry, "raised " + describe(error)) from error


def _load_file(path: str) -> Any:
    """Import a file, once."""
    folder, file = os.path.split(path)
    called = f"_outside_{zlib.crc32(folder.encode()):08x}_{file[: -len('.py')]}"
    if called in sys.modules:
        return sys.modules[called]
    spec = importlib.util.spec_from_file_location(called, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {path}")
    if folder not in sys.path:
        sys.path.append(folder)  # what stands beside it, if it is nowhere else
    module = importlib.util.module_from_spec(spec)
    sys.modules[called] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[called]
        raise
    return module


class Bench:
    """Environments in a row, which are asked one after the other.

    Args:
        make: Makes one. Has it a parameter ``task``, one is made for every task; else the
            environment is handed its tasks by ``set_task``.
        settings: Other arguments of `make`.
        readings: Which entries of `info` are read after a step, numbers or truth values.
        tick: Called before each environment is asked something.
    """

    def __init__(
        self,
        make: Callable[..., Any],
        settings: Mapping[str, Any],
        readings: Sequence[str],
        tick: Callable[[], None] = lambda: None,
    ):
        if not callable(make):
            raise Trouble("what makes environments", f"is a {type(make).__name__}, no callable")
        self._make, self._settings, self._readings = make, dict(settings), tuple(readings)
        self._tick = tick
        self._by_task = _takes_task(make)
        self._envs: list[Any] = []
        self._tasks: list[Any] = []
        self._spaces: dict[str, Any] = {}

    def obey(self, header: Mapping[str, Any], arrays: Arrays) -> Message:
        """Do what a message asks for.

        Args:
            header: ``do``: assign, reset, step or render; ``rows``: of which environments.
            arrays: What that takes.
        Returns:
            The answer.
        Raises:
            Trouble: If an environment does not do what it must.
        """
        do, rows = header["do"], header["rows"]
        if do == "assign":
            return self._assign(rows, arrays)
        if do == "reset":
            return {}, self._reset(rows, arrays["seed"])
        if do == "step":
            return {}, self._step(rows, arrays["ctrl"])
        if do == "render":
            return {}, {"picture": self._render(rows[0])}
        raise Garbled(f"unknown order {do!r}")

    def close(self) -> None:
        """Close the environments."""
        for env in self._envs:
            _close(env)
        self._envs, self._tasks = [], []

    def _assign(self, rows: Sequence[int], tasks: Arrays) -> Message:
        missing = max(rows, default=-1) + 1 - len(self._envs)
        self._envs += [None] * missing
        self._tasks += [None] * missing
        for k, row in enumerate(rows):
            self._tick()
            self._hand(row, {name: values[k] for name, values in tasks.items()})
        low_high = {name: self._spaces[name] for name in ("low", "high")}
        return {"blocks": self._spaces["blocks"]}, low_high

    def _hand(self, row: int, task: Mapping[str, Any]) -> None:
        """Give an environment its task, and make it where there is none."""
        if self._by_task:
            if self._tasks[row] is not None and _equal(self._tasks[row], task):
                return
            if self._envs[row] is not None:
                _close(self._envs[row])
            self._envs[row] = self._tasks[row] = None  # should none be made
            self._envs[row] = _asked("make()", row, self._make, task=task, **self._settings)
        else:
            if self._envs[row] is None:
                self._envs[row] = _asked("make()", row, self._make, **self._settings)
            _asked("set_task()", row, _method(self._envs[row], "set_task", row), task)
        self._tasks[row] = {name: np.array(values) for name, values in task.items()}
        found = read_spaces(self._envs[row], row)
        if not self._spaces:
            self._spaces = found
        elif not _equal_spaces(found, self._spaces):
            said = f"has spaces {_told(found)}; the first one had {_told(self._spaces)}"
            raise Trouble("make()", said, row)

    def _reset(self, rows: Sequence[int], seeds: np.ndarray) -> Arrays:
        out = self._blank(len(rows))
        for k, (row, seed) in enumerate(zip(rows, seeds.tolist())):
            self._tick()
            given = _asked("reset()", row, self._envs[row].reset, seed=seed)
            if not isinstance(given, tuple) or len(given) != 2:
                raise Trouble("reset()", f"gave {_kind(given)}; expected (observation, info)", row)
            self._write(given[0], out, k, "reset()", row)
        return out

    def _step(self, rows: Sequence[int], ctrl: np.ndarray) -> Arrays:
        out = self._blank(len(rows))
        rest = out["rest"] = np.zeros((len(rows), 3 + len(self._readings)))
        shape, kind = self._spaces["box"]
        # Rounded first: a bound may be no number of the environment's precision.
        actions = np.clip(ctrl.astype(kind), self._spaces["low"], self._spaces["high"])
        actions = actions.astype(kind).reshape(len(rows), *shape)
        for k, row in enumerate(rows):
            self._tick()
            given = _asked("step()", row, self._envs[row].step, actions[k])
            if not isinstance(given, tuple) or len(given) != 5:
                said = "expected (observation, reward, terminated, truncated, info)"
                raise Trouble("step()", f"gave {_kind(given)}; {said}", row)
            obs, reward, terminated, truncated, info = given
            self._write(obs, out, k, "step()", row)
            rest[k, 0] = _number(reward, "reward", row)
            rest[k, 1] = _truth(terminated, "terminated", row)
            rest[k, 2] = _truth(truncated, "truncated", row)
            for column, name in enumerate(self._readings, 3):
                rest[k, column] = self._reading(info, name, row)
        return out

    def _reading(self, info: Any, name: str, row: int) -> float:
        if not isinstance(info, Mapping) or name not in info:
            there = ", ".join(map(str, info)) if isinstance(info, Mapping) else _kind(info)
            raise Trouble(
                "step()", f"gave info without {name!r}; it has: {there or 'nothing'}", row
            )
        return _number(info[name], f"info[{name!r}]", row)

    def _render(self, row: int) -> np.ndarray:
        picture = _asked("render()", row, self._envs[row].render)
        good = isinstance(picture, np.ndarray) and picture.ndim == 3 and picture.shape[2] == 3
        if not good or picture.dtype != np.uint8 or not picture.size:
            said = "expected uint8 of shape (H, W, 3), as of render_mode='rgb_array'"
            raise Trouble("render()", f"gave {_kind(picture)}; {said}", row)
        return picture

    def _blank(self, count: int) -> Arrays:
        """Arrays for so many observations, by part."""
        return {
            "obs." + name: np.empty((count, int(np.prod(shape, dtype=int))), kind)
            for name, shape, kind in self._spaces["blocks"]
        }

    def _write(self, obs: Any, out: Arrays, k: int, who: str, row: int) -> None:
        """Write an observation's parts into a row of arrays."""
        blocks = self._spaces["blocks"]
        if self._spaces["parts"]:
            if not isinstance(obs, Mapping) or set(obs) != {name for name, _, _ in blocks}:
                names = ", ".join(name for name, _, _ in blocks)
                raise Trouble(who, f"gave {_kind(obs)}; expected a dict of {names}", row)
            parts = [obs[name] for name, _, _ in blocks]
        else:
            parts = [obs]
        for (name, shape, _), part in zip(blocks, parts):
            values = part if isinstance(part, np.ndarray) else np.asarray(part)
            if values.dtype.kind not in "fiub" or list(values.shape) != shape:
                said = f"expected numbers of shape {tuple(shape)}, as its space says"
                raise Trouble(who, f"gave {_kind(values)} as {name}; {said}", row)
            out["obs." + name][k] = values.ravel()


def read_spaces(env: Any, row: int = 0) -> dict[str, Any]:
    """Read what an environment declares.

    Returns:
        ``blocks``: name, shape and dtype of each part of its observations; ``parts``: whether there
        are several; ``low``, ``high``: of its actions, flat; ``box``: their shape and dtype.
    Raises:
        Trouble: If observations are neither a box nor a dict of boxes, or actions no box.
    """
    space: Any = getattr(env, "observation_space", None)
    inner = getattr(space, "spaces", None)
    several = isinstance(inner, Mapping)
    boxes: dict[str, Any] = dict(inner) if isinstance(inner, Mapping) else {WHOLE: space}
    blocks = []
    for name, box in boxes.items():
        if not _is_box(box) or not isinstance(name, str):
            said = f"is {box}; expected a Box, or a Dict of these"
            raise Trouble("observation_space", said, row)
        kind = np.dtype(box.dtype).str
        blocks.append([name, list(box.shape), kind if kind in KINDS else "<f8"])
    actions: Any = getattr(env, "action_space", None)
    if not _is_box(actions) or not int(np.prod(actions.shape)):
        said = f"is {actions}; expected a Box of one number at least (wrap other spaces)"
        raise Trouble("action_space", said, row)
    low, high = (np.asarray(x, float).ravel() for x in (actions.low, actions.high))
    return {
        "blocks": blocks, "parts": several, "low": low, "high": high,
        "box": (actions.shape, np.dtype(actions.dtype)),
    }  # fmt: skip


def _is_box(space: Any) -> bool:
    return all(hasattr(space, name) for name in ("low", "high", "shape", "dtype"))


def _equal_spaces(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    same = all(np.array_equal(a[name], b[name]) for name in ("low", "high"))
    return same and a["blocks"] == b["blocks"]


def _told(spaces: Mapping[str, Any]) -> str:
    blocks = ", ".join(f"{name} {tuple(shape)}" for name, shape, _ in spaces["blocks"])
    return f"{blocks} and {len(spaces['low'])} actions"


def _takes_task(make: Callable[..., Any]) -> bool:
    try:
        return "task" in inspect.signature(make).parameters
    except (TypeError, ValueError):  # written in C
        return False


def _method(env: Any, name: str, row: int) -> Any:
    """A method of an environment, or of what it wraps: wrappers hand on no others."""
    inner = env
    while not hasattr(inner, name):
        if getattr(inner, "env", None) is None:
            said = f"is missing from {type(env).__name__}; or let the maker take a task: make(task)"
            raise Trouble(name + "()", said, row)
        inner = inner.env
    return getattr(inner, name)


def _equal(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def _asked(what: str, row: int, method: Callable[..., Any], *given: Any, **named: Any) -> Any:
    try:
        return method(*given, **named)
    except BaseException as error:  # a stranger's environment may raise anything at all
        if _is_interrupt(error):
            raise
        raise Trouble(what, "raised " + describe(error), row) from error


ASKED = _asked.__code__  # below it runs what somebody else wrote


def _close(env: Any) -> None:
    try:
        env.close()
    except Exception as error:  # it goes away in any case
        print("close() raised " + describe(error), file=sys.stderr)


def _is_interrupt(error: BaseException) -> bool:
    """Whether the user wishes to leave, or memory ran out: nothing that an environment did."""
    return not isinstance(error, (Exception, SystemExit)) or isinstance(error, MemoryError)


def _number(value: Any, what: str, row: int) -> float:
    if isinstance(value, (float, bool)):  # also NumPy's float64
        return float(value)
    values = np.asarray(value)
    if values.dtype.kind not in "fiub" or values.size != 1:
        raise Trouble("step()", f"gave {_kind(value)} as {what}; expected a number", row)
    return float(values.reshape(()))


def _truth(value: Any, what: str, row: int) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise Trouble("step()", f"gave {_kind(value)} as {what}; expected True or False", row)
    return bool(value)


def _kind(value: Any) -> str:
    """What something is, in words."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    if isinstance(value, Mapping):
        return "a dict of " + (", ".join(map(str, value)) or "nothing")
    return "None" if value is None else type(value).__name__


def describe(error: BaseException) -> str:
    """Say an error in one line, and the line of code in which it came up."""
    said = " ".join(str(error).split())[:400]
    frames = traceback.extract_tb(error.__traceback__)
    ours = os.path.abspath(__file__)
    theirs = [f for f in frames if os.path.abspath(f.filename) != ours]
    theirs = [f for f in theirs if not f.filename.startswith("<frozen")]
    where = f" ({os.path.basename(theirs[-1].filename)}:{theirs[-1].lineno})" if theirs else ""
    return f"{type(error).__name__}: {said}{where}" if said else type(error).__name__ + where


# A process of its own ---------------------------------------------------------------------


class _Line:
    """The pipe to whoever started this process."""

    def __init__(self) -> None:
        # What an environment prints must not come between messages.
        self._out = os.fdopen(os.dup(1), "wb")
        self._in = os.fdopen(os.dup(0), "rb")
        os.dup2(2, 1)
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        self._told_s = time.monotonic()
        self.number = 0

    def read(self) -> Message:
        """Wait for the next order.

        Raises:
            EOFError: If nobody will give one any more.
        """
        header, body = sizes(self._exactly(HEAD.size))
        order = unpack(self._exactly(header), self._exactly(body))
        self.number, self._told_s = order[0]["number"], time.monotonic()
        return order

    def _exactly(self, count: int) -> bytes:
        found = self._in.read(count)
        if len(found) < count:
            raise EOFError
        return found

    def write(self, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Answer."""
        self._out.write(pack({"number": self.number, **header}, arrays))
        self._out.flush()
        self._told_s = time.monotonic()

    def tick(self) -> None:
        """Say now and then that work goes on."""
        if time.monotonic() - self._told_s > TICK_S:
            self.write({"busy": True}, {})


def _leave_with(parent: int) -> None:
    """End with whoever started this process, also in the midst of a step."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def main() -> None:
    """Obey orders until the pipe ends."""
    line = _Line()
    parent = os.getppid()
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    bench = None
    while True:
        try:
            header, arrays = line.read()
        except EOFError:
            return
        try:
            if header["do"] == "open":
                make = load(header["entry"])
                bench = Bench(make, header["settings"], header["readings"], line.tick)
                line.write({"python": sys.version.split()[0]}, {})
            else:
                assert bench is not None
                line.write(*bench.obey(header, arrays))
        except Trouble as trouble:
            told = {"what": trouble.what, "said": trouble.said, "row": trouble.row}
            line.write({"trouble": told}, {})


if __name__ == "__main__":
    main()
