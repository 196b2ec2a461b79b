"""Cells on Ray: in an instance of this machine's own, or on a cluster that is there."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import io
import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from metarl.errors import ConfigError, MissingDependencyError, require
from metarl.grid.cell import Cell
from metarl.grid.processes import LOG, environment, num_cores, run_cell
from metarl.grid.store import CELLS
from metarl.grid.workers import Finished

LOCAL = "local"
ADDRESS = re.compile(r"auto|\[[0-9A-Fa-f:.]+\]:\d{1,5}|[A-Za-z0-9._-]+:\d{1,5}")
ADDRESSES = "auto (the cluster that this machine is part of) or HOST:PORT"
LIMIT_S = 60.0  # for a cluster to answer
_LOOK_EVERY_S, _GONE_S = 3.0, 20.0  # for its head while cells run, and without an answer
_CONNECT_S = 5.0  # for anybody to take a connection there
RETRIES = 3  # of a cell whose process or node was lost
_LOOPBACK = "127.0.0.1"
# Ray has no other word for "listen on the loopback alone" than not being part of a cluster; it reads it
# when it is imported.
_ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
_STORE_BYTES = 100 << 20  # what cells give is small
_LONGEST = 400  # letters of an error of Ray's
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_PLACE = "metarl-ray-"
_LONGEST_PLACE = 40  # of a folder for sockets, whose paths have a limit
_PROBE = """
import json, sys, ray
try:
    ray.init(address=sys.argv[1], include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    print(json.dumps({"cpus": ray.cluster_resources().get("CPU", 0)}))
except BaseException as error:
    print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
"""


class RayWorkers:
    """Run cells as Ray tasks of one core each; what is lost with its process or node is run again, and a
    training then goes on from its last checkpoint.

    Nothing is started, and no cluster asked, before the first cell is to be run.

    Args:
        address: `LOCAL`: an instance of its own, which listens on the loopback alone and ends with this
            process. Else ``auto`` or ``HOST:PORT`` of a cluster whose nodes have this metarl, and see
            the benchmark's folder under the same path.
        size: How many cells at once; None: one a core.
        limit_s: How long a cluster may take to answer [s].
    Raises:
        MissingDependencyError: If Ray is not installed.
        ConfigError: If the address is none.
    """

    def __init__(self, address: str = LOCAL, size: int | None = None, limit_s: float = LIMIT_S):
        require(size is None or size >= 1, "jobs", size, "an integer >= 1")
        found = importlib.util.find_spec("ray")
        if found is None or found.origin is None:  # a folder of that name is no Ray
            raise MissingDependencyError("Ray is not installed: pip install 'metarl-sim[ray]'")
        if address != LOCAL and not ADDRESS.fullmatch(address):
            raise ConfigError(
                f"--ray is {address!r}; expected {ADDRESSES}, or nothing: this machine"
            )
        self._address, self._jobs, self._limit_s = address, size, limit_s
        self._ray: Any = None
        self._task: Any = None
        self._place = ""  # where a local instance keeps its sockets and logs
        self._running: dict[Any, tuple[str, float]] = {}  # task -> the cell's key, when it began
        self._heard = _Heard()
        self._looked_s = self._answered_s = 0.0  # for a cluster's head, and when it was there
        self._gone, self._head, self._cores = False, "", num_cores()
        self._ended = threading.Event()

    @property
    def size(self) -> int:
        """How many cells run at once.

        Raises:
            ConfigError: If the cluster does not answer.
        """
        self._connect()
        return self._jobs or self._cores

    @property
    def num_free(self) -> int:
        """How many more cells could be started now."""
        return self.size - len(self._running)

    def start(self, cell: Cell, folder: Path) -> None:
        """Begin with a cell."""
        self._connect()
        self._heard.log = folder / LOG
        self._running[self._task.remote(cell, str(folder.resolve()))] = cell.key, time.monotonic()

    def wait(self, timeout_s: float) -> list[Finished]:
        """Give the cells that have come back, after so long [s] at most.

        Raises:
            ConfigError: If the cluster is gone.
        """
        if not self._running:
            time.sleep(timeout_s)
            return []
        self._require_head()
        self._ray.wait(list(self._running), timeout=timeout_s)
        ready, _ = self._ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        return [self._taken(task) for task in ready]

    def close(self) -> None:
        """End at once."""
        if self._ray is None:
            return
        for task in self._running if not self._gone else ():  # it would wait for the cluster
            with contextlib.suppress(Exception):  # it has ended, or its node is gone
                self._ray.cancel(task, force=True)
        self._running = {}
        self._ray.shutdown()
        self._ray = None
        self._ended.set()
        self._heard.end()
        if self._place:
            shutil.rmtree(self._place, ignore_errors=True)

    def _count(self) -> int:
        found = _within(_GONE_S, self._ray.cluster_resources)
        return max(1, int(found.get("CPU", 0)))

    def _require_head(self) -> None:
        """See now and then whether a cluster still answers: Ray would end this process without a word."""
        now_s = time.monotonic()
        if self._address == LOCAL or now_s - self._looked_s < _LOOK_EVERY_S:
            return
        host, _, port = self._head.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S):
                self._looked_s = time.monotonic()
            with contextlib.suppress(self._ray.exceptions.RayError):  # asked again at the next look
                self._cores = self._count()  # nodes come and go
            self._answered_s = time.monotonic()  # a port that is open is no answer yet
        except (OSError, _TooLong) as error:
            self._looked_s = time.monotonic()
            if self._looked_s - self._answered_s > _GONE_S:
                self._gone = True
                raise ConfigError(
                    f"the Ray cluster at {host}:{port} has not answered for {_GONE_S:g} s; the same"
                    " command goes on with what is missing"
                ) from error

    def _taken(self, task: Any) -> Finished:
        key, begun_s = self._running.pop(task)
        try:
            return Finished(**json.loads(self._ray.get(task)))
        except self._ray.exceptions.RayTaskError as error:  # not the cell's fault: that comes back
            why = f"it cannot be run there: {_one_line(error).partition(' traceback: ')[0]}"
        except self._ray.exceptions.RayError as error:
            why = f"its process or node was lost {1 + RETRIES} times ({type(error).__name__})"
        return Finished(key, None, time.monotonic() - begun_s, why)

    def _connect(self) -> None:
        if self._ray is not None:
            return
        with _own_handlers():
            self._ray = self._alone() if self._address == LOCAL else self._joined()
        self._heard.begin()
        if self._address != LOCAL:
            self._head = self._ray.get_runtime_context().gcs_address
            self._cores = self._count()
        self._answered_s = time.monotonic()
        remote = self._ray.remote(num_cpus=1, max_retries=RETRIES, retry_exceptions=False)
        self._task = remote(_run)

    def _alone(self) -> Any:
        """Start an instance that nobody else reaches."""
        place = tempfile.gettempdir()
        place = place if len(place) <= _LONGEST_PLACE else "/tmp"
        _tidy(Path(place))
        self._place = tempfile.mkdtemp(prefix=f"{_PLACE}{os.getpid()}-", dir=place)
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        with environment({**_ALONE, "PYTHONPATH": path}):  # modules are found there as here
            import ray

            try:
                _within(
                    self._limit_s, ray.init, until=self._ended,
                    num_cpus=self._jobs or num_cores(), include_dashboard=False, log_to_driver=False,
                    logging_level="ERROR", object_store_memory=_STORE_BYTES,
                    _node_ip_address=_LOOPBACK, _temp_dir=self._place,
                    # a busy machine is no reason to kill a cell
                    _system_config={"memory_monitor_refresh_ms": 0},
                )  # fmt: skip
            except Exception as error:  # a port, a limit of the system
                shutil.rmtree(self._place, ignore_errors=True)
                raise ConfigError(f"Ray cannot be started: {_one_line(error)}") from error
        if any(node["NodeManagerAddress"] != _LOOPBACK for node in ray.nodes()):
            ray.shutdown()
            shutil.rmtree(self._place, ignore_errors=True)
            raise ConfigError(
                "Ray would listen on other interfaces than the loopback; do without --ray"
            )
        return ray

    def _joined(self) -> Any:
        """Join a cluster, after another process has seen that it answers: Ray itself may wait for ever,
        or abort."""
        self._require_somebody()
        try:
            done = subprocess.run(
                [sys.executable, "-c", _PROBE, self._address],
                capture_output=True, text=True, timeout=self._limit_s, stdin=subprocess.DEVNULL,
            )  # fmt: skip
            said = json.loads((done.stdout.strip().splitlines() or ["{}"])[-1])
        except subprocess.TimeoutExpired as error:
            raise ConfigError(
                f"no Ray cluster answered at {self._address} within {self._limit_s:g} s; {_REMEDY}"
            ) from error
        except ValueError:
            said = {}
        if not said.get("cpus"):
            why = said.get("error", "it has no free core" if said else "Ray gave up")
            raise ConfigError(
                f"no Ray cluster at {self._address} can be used: {_one_line(why)}; {_REMEDY}"
            )
        import ray

        try:
            _within(
                self._limit_s, ray.init,
                address=self._address, include_dashboard=False, log_to_driver=False,
                logging_level="ERROR",
            )  # fmt: skip
        except _TooLong as error:  # it has gone since
            raise ConfigError(
                f"no Ray cluster at {self._address} can be used: {error}; {_REMEDY}"
            ) from error
        return ray

    def _require_somebody(self) -> None:
        """Find out at once where nobody listens; Ray would go on trying."""
        host, _, port = self._address.rpartition(":")
        if not host:  # auto
            return
        limit_s = min(_CONNECT_S, self._limit_s)
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=limit_s):
                pass
        except (OSError, OverflowError, UnicodeError) as error:
            why = (
                f"within {limit_s:g} s"
                if isinstance(error, TimeoutError)
                else f"({_one_line(error)})"
            )
            raise ConfigError(f"nobody answers at {self._address} {why}; {_REMEDY}") from error


_REMEDY = "start one (ray start --head), or leave the address out: --ray alone is this machine"


class _Heard(io.TextIOBase):
    """What Ray prints on stdout, of processes that it lost: it goes into the benchmark's log.

    Attributes:
        log: The log; None: not known yet.
    """

    log: Path | None = None
    _before: TextIO | None = None

    def write(self, text: str) -> int:
        """Write to the end of the log."""
        if self.log is not None:
            with contextlib.suppress(OSError), open(self.log, "a", encoding="utf-8") as log:
                log.write(_COLOR.sub("", text))
        return len(text)

    def begin(self) -> None:
        """Take what is printed on stdout from now on."""
        self._before, sys.stdout = sys.stdout, self  # type: ignore[assignment]

    def end(self) -> None:
        """Give stdout back."""
        if self._before is not None and sys.stdout is self:
            sys.stdout = self._before
        self._before = None


class _TooLong(ConfigError):
    """Ray has not come back in time."""


def _within(
    limit_s: float, do: Callable[..., Any], *, until: threading.Event | None = None, **given: Any
) -> Any:
    """Call what may wait for ever, in a thread that ends with this process.

    Args:
        limit_s: How long it may take [s].
        do: What is called.
        until: The thread stays as long: Ray's own processes end with the thread that started them.
        **given: To what is called.
    Raises:
        _TooLong: If it has not come back after so long [s].
    """
    came: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def call() -> None:
        try:
            came.put((do(**given), None))
        except BaseException as error:
            came.put((None, error))
            return
        if until is not None:
            until.wait()

    threading.Thread(target=call, daemon=True).start()
    try:
        found, error = came.get(timeout=limit_s)
    except queue.Empty:
        raise _TooLong(f"Ray did not answer within {limit_s:g} s") from None
    if error is not None:
        raise error
    return found


def _run(cell: Cell, folder: str) -> str:
    """Run a cell in a process of Ray's; what it gives goes back as JSON."""
    if not (Path(folder) / CELLS).is_dir():
        where = f"{socket.gethostname()} does not see {folder}"
        why = f"{where}; a benchmark's folder must be shared, under the same path on every node"
        return json.dumps(dataclasses.asdict(Finished(cell.key, None, 0.0, why)))
    return json.dumps(dataclasses.asdict(run_cell(cell, Path(folder))))


def _tidy(place: Path) -> None:
    """Delete the folders of instances whose process was killed."""
    for folder in place.glob(f"{_PLACE}*-*"):
        pid = folder.name.removeprefix(_PLACE).partition("-")[0]
        if not pid.isdecimal():
            continue
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except (OSError, OverflowError):  # somebody else's
            continue


@contextlib.contextmanager
def _own_handlers() -> Iterator[None]:
    """Keep what handles SIGTERM and errors: Ray puts its own there, and its own ask the cluster."""
    before, hook = signal.getsignal(signal.SIGTERM), sys.excepthook
    try:
        yield
    finally:
        sys.excepthook = hook
        with contextlib.suppress(ValueError):  # not in the main thread, where Ray sets none either
            signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def _one_line(error: object) -> str:
    return " ".join(_COLOR.sub("", str(error)).split())[:_LONGEST]
