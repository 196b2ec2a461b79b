"""Worker processes: started, spoken to within limits, and kept for whoever comes next."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metarl.errors import ConfigError, SimulationError, printable
from metarl.machine import num_cores
from metarl.sim.outside import worker
from metarl.sim.outside.worker import HEAD, Garbled, Message, Trouble, pack, sizes, unpack

START_S = 120.0  # to start an interpreter and import what makes environments
_END_S = 2.0  # to leave, before it is made to
_LAST_LINES = 20  # of what a worker prints are kept
_CHUNK = 1 << 18  # bytes read at once
# Each process does one thing at a time, and there is one a core.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# What says where this interpreter finds its packages says nothing of another one's.
_OURS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


@dataclass(frozen=True)
class Place:
    """Where environments run, and what makes them.

    Args:
        interpreter: The Python that runs them.
        entry: ``module:name``, as that interpreter imports it, or ``path/of/file.py:name``.
        settings: Further arguments of what makes them, as JSON.
        readings: Which entries of `info` are read.
        patience_s: How long a worker may give no sign of life [s].
    """

    interpreter: str
    entry: str
    settings: str
    readings: tuple[str, ...]
    patience_s: float


@dataclass(frozen=True)
class Lost:
    """A worker that will not answer any more, and why."""

    why: str


Answer = Message | Lost | Trouble


class Worker:
    """A process with environments.

    Args:
        place: Where it runs.
    Raises:
        ConfigError: If there is no such interpreter.
        Trouble: If what makes environments cannot be loaded there.
        SimulationError: If it ends, or says nothing.
    """

    def __init__(self, place: Place):
        self.place = place
        self._said: deque[str] = deque(maxlen=_LAST_LINES)
        self._number = 0
        self._process = _started(place.interpreter)
        # It says first that it is there.
        order = {
            "do": "open", "entry": place.entry, "settings": json.loads(place.settings),
            "readings": place.readings,
        }  # fmt: skip
        answer = exchange([self], [(order, {})], START_S, "START_S")[0]
        if isinstance(answer, Trouble):
            self.end()
            said = f"{answer.said}; in the interpreter {place.interpreter}"
            raise Trouble(answer.what, said) from answer
        if isinstance(answer, Lost):
            raise SimulationError(
                f"environments do not start in the interpreter {place.interpreter}: {answer.why}"
            )

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process.poll() is None

    @property
    def pipes(self) -> tuple[Any, Any, Any]:
        """To it, from it, and what it prints."""
        return self._process.stdin, self._process.stdout, self._process.stderr

    def _close(self) -> None:
        for pipe in self.pipes:
            with contextlib.suppress(OSError):
                pipe.close()

    def end(self) -> None:
        """Let the process go, and make it go where it does not."""
        self._close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process, and what it has started, at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)

    def lost(self, why: str = "") -> Lost:
        """End the process, of which nothing more is expected.

        Args:
            why: What it does; empty: it has ended by itself.
        Returns:
            Why, and the last that it printed.
        """
        if not why:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)  # so that it can be said how
        status = self._process.poll()
        self.kill()
        with contextlib.suppress(BlockingIOError, OSError):  # what it printed meanwhile
            while chunk := os.read(self.pipes[2].fileno(), _CHUNK):
                self.hear(chunk)
        self._close()
        ended = f"process {self.pid} {why or _ended(status)}"
        last = next((line for line in reversed(self._said) if line.strip()), "")
        return Lost(f"{ended}; it printed last: {printable(last)[:200]}" if last else ended)

    def hear(self, printed: bytes) -> None:
        """Keep the last of what it prints."""
        self._said.extend(printed.decode(errors="replace").splitlines())

    def next_number(self) -> int:
        """Number the next order."""
        self._number += 1
        return self._number


class _Talk:
    """An order to a worker that is under way.

    Args:
        worker: To whom.
        order: Header and arrays.
        silence_s: How long it may give no sign of life [s].
    """

    def __init__(self, worker: Worker, order: Message, silence_s: float):
        header, arrays = order
        self.worker, self.silence_s = worker, silence_s
        self._pipes: tuple[Any, Any, Any] = worker.pipes
        self.number = worker.next_number()
        self._out = memoryview(pack({**header, "number": self.number}, arrays))
        self._in = bytearray()
        self._need: tuple[int, int] | None = None
        self.since_s = time.monotonic()
        self.answer: Message | Lost | None = None

    @property
    def late_s(self) -> float:
        """For how long it may still be silent [s]."""
        return self.since_s + self.silence_s - time.monotonic()

    def wait_for(self, selector: selectors.BaseSelector) -> None:
        """Be told when something can be written or read."""
        for pipe in self._pipes:
            to_it = pipe is self._pipes[0]
            selector.register(pipe, selectors.EVENT_WRITE if to_it else selectors.EVENT_READ, self)

    def leave(self, selector: selectors.BaseSelector) -> None:
        """Be told of nothing any more."""
        for pipe in self._pipes:
            with contextlib.suppress(KeyError, ValueError):  # of one that was left, or is closed
                selector.unregister(pipe)

    def go_on(self, selector: selectors.BaseSelector, pipe: Any) -> None:
        """Write or read what can be."""
        to_it, _, errors = self._pipes
        try:
            if pipe is to_it:
                self._out = self._out[os.write(pipe.fileno(), self._out) :]
                self.since_s = time.monotonic()  # it takes what it is given
                if not len(self._out):
                    selector.unregister(pipe)
            elif pipe is errors:
                self._listen(selector, pipe)
            else:
                self._read(pipe)
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self._end()
        except Garbled as error:
            self.answer = self.worker.lost(f"does not answer as it should: {error}")

    def _listen(self, selector: selectors.BaseSelector, pipe: Any) -> None:
        chunk = os.read(pipe.fileno(), _CHUNK)
        if not chunk:
            selector.unregister(pipe)
        self.worker.hear(chunk)

    def _read(self, pipe: Any) -> None:
        chunk = os.read(pipe.fileno(), _CHUNK)
        if not chunk:
            self._end()
            return
        self._in += chunk
        self.since_s = time.monotonic()
        while self.answer is None and (message := self._message()) is not None:
            header, arrays = message
            if header.get("number") != self.number or header.get("busy"):
                continue  # a sign of life, or what somebody did not wait for
            self.answer = header, arrays

    def _message(self) -> Message | None:
        """The next message, if all of it has come."""
        if self._need is None and len(self._in) >= HEAD.size:
            self._need = sizes(bytes(self._in[: HEAD.size]))
        if self._need is None or len(self._in) < HEAD.size + sum(self._need):
            return None
        start, middle = HEAD.size, HEAD.size + self._need[0]
        end = middle + self._need[1]
        found = unpack(bytes(self._in[start:middle]), bytes(self._in[middle:end]))
        del self._in[:end]
        self._need = None
        return found

    def _end(self) -> None:
        self.answer = self.worker.lost()


def exchange(
    workers: Sequence[Worker],
    orders: Sequence[Message],
    silence_s: float,
    limit: str = "patience_s",
) -> list[Answer]:
    """Give each of some workers an order, and wait for what all of them answer.

    Args:
        workers: To whom.
        orders: A header and arrays for each.
        silence_s: How long one may give no sign of life [s].
        limit: How that is called, for the message.
    Returns:
        Their answers; of one that died, fell silent or talks nonsense, why it is lost; of one whose
        environment does not do what it must, its trouble.
    """
    try:
        return _exchange(workers, orders, silence_s, limit)
    except BaseException:  # somebody wishes to leave, in the midst of a message
        for each in workers:
            each.kill()
        raise


def _exchange(
    workers: Sequence[Worker], orders: Sequence[Message], silence_s: float, limit: str
) -> list[Answer]:
    talks = [_Talk(each, order, silence_s) for each, order in zip(workers, orders, strict=True)]
    with selectors.DefaultSelector() as selector:
        for talk in talks:
            talk.wait_for(selector)
        while running := [talk for talk in talks if talk.answer is None]:
            wait_s = min(talk.late_s for talk in running)
            for key, _ in selector.select(max(wait_s, 0.0)):
                if key.data.answer is None:
                    key.data.go_on(selector, key.fileobj)
            for talk in running:
                if talk.answer is None and talk.late_s <= 0.0:
                    why = f"gave no sign of life for {silence_s:g} s, which is the limit ({limit})"
                    talk.answer = talk.worker.lost(why)
                if talk.answer is not None:
                    talk.leave(selector)
    return [_answer(talk) for talk in talks]


def _answer(talk: _Talk) -> Answer:
    assert talk.answer is not None
    if isinstance(talk.answer, Lost):
        return talk.answer
    told = talk.answer[0].get("trouble")
    return Trouble(told["what"], told["said"], told["row"]) if told else talk.answer


def _started(interpreter: str) -> subprocess.Popen[bytes]:
    """Start an interpreter on the worker's file.

    Raises:
        ConfigError: If there is none.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _OURS}
    command = [interpreter, "-I", "-u", str(Path(worker.__file__).resolve())]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment, **_ONE_THREAD},
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for whoever gives the orders
        )
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"cannot start the interpreter {interpreter!r}: {said}; expected the path of a Python"
            " that has the environments"
        ) from error
    for pipe in (process.stdin, process.stdout, process.stderr):
        os.set_blocking(pipe.fileno(), False)  # type: ignore[union-attr]
    return process


def _ended(status: int | None) -> str:
    if status is None:
        return "closed its pipe"
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-status).name}"
        return f"was ended by signal {-status}"
    return f"left with status {status}"


# Whoever comes next -----------------------------------------------------------------------

_idle: dict[Place, list[Worker]] = {}


def take(place: Place) -> Worker:
    """Have a worker for oneself: one that somebody gave back, or a new one."""
    while waiting := _idle.get(place):
        found = waiting.pop()
        if found.alive:
            return found
        found.end()
    return Worker(place)


def give_back(workers: Sequence[Worker], process: int) -> None:
    """Let others have workers, which keep their environments until then.

    At most one a core waits, of all places together: of many families those that came last. Others end.

    Args:
        workers: They are between two orders.
        process: Whose they are; another one, forked from it, has no say.
    """
    if os.getpid() != process:
        return
    for each in workers:
        if not each.alive:
            each.end()
            continue
        waiting = _idle.pop(each.place, [])
        _idle[each.place] = [*waiting, each]  # the last to come
    while sum(map(len, _idle.values())) > num_cores():
        place = next(iter(_idle))
        _idle[place].pop(0).end()
        if not _idle[place]:
            del _idle[place]


@atexit.register
def end_idle() -> None:
    """End the workers that nobody has."""
    for waiting in _idle.values():
        for each in waiting:
            each.end()
    _idle.clear()


def _forget() -> None:
    _idle.clear()


os.register_at_fork(after_in_child=_forget)
