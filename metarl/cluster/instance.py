"""Ray, on this machine alone or on a cluster that is there: begun, watched and ended."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metarl.ambient import environment
from metarl.cluster.heard import Heard, one_line
from metarl.cluster.waiting import TooLong, within
from metarl.errors import ConfigError, MissingDependencyError
from metarl.machine import num_cores

LOCAL = "local"
ADDRESS = re.compile(r"auto|\[[0-9A-Fa-f:.]+\]:\d{1,5}|[A-Za-z0-9._-]+:\d{1,5}")
ADDRESSES = "auto (the cluster that this machine is part of) or HOST:PORT"
LIMIT_S = 60.0  # for a cluster to answer
_LOOK_EVERY_S, _GONE_S = 3.0, 20.0  # for its head meanwhile, and without an answer
_CONNECT_S = 5.0  # for anybody to take a connection there
_LOOPBACK = "127.0.0.1"
# Ray has no other word for "listen on the loopback alone" than not being part of a cluster; it reads it
# when it is imported.
ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
_STORE_BYTES = 100 << 20  # what goes to and fro is small
_PLACE = "metarl-ray-"
_LONGEST_PLACE = 40  # of a folder for sockets, whose paths have a limit
_REMEDY = "start one (ray start --head), or leave the address out: --ray alone is this machine"
_PROBE = """
import json, sys, ray
try:
    ray.init(address=sys.argv[1], include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    print(json.dumps({"cpus": ray.cluster_resources().get("CPU", 0)}))
except BaseException as error:
    print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
"""


class Cluster:
    """Ray, which is neither started nor asked before `connect`.

    Args:
        address: `LOCAL`: an instance of its own, which listens on the loopback alone and ends with this
            process. Else ``auto`` or ``HOST:PORT`` of a cluster whose nodes have this metarl.
        cores: How many an instance of its own says that it has; None: those of this machine.
        limit_s: How long a cluster may take to answer [s].
        goes_on: How what was under way goes on when the cluster is gone, for the message.
    Attributes:
        heard: Takes what Ray prints while it is connected.
        cores: How many there are, once it is connected.
        gone: Whether the cluster has ceased to answer; nobody should ask it any more.
    Raises:
        MissingDependencyError: If Ray is not installed.
        ConfigError: If the address is none.
    """

    def __init__(
        self,
        address: str = LOCAL,
        cores: int | None = None,
        *,
        limit_s: float = LIMIT_S,
        goes_on: str,
    ):
        require_ray(address)
        self._address, self._asked, self._limit_s = address, cores, limit_s
        self._goes_on = goes_on
        self._ray: Any = None
        self._place = ""  # where a local instance keeps its sockets and logs
        self._looked_s = self._answered_s = 0.0  # for a cluster's head, and when it was there
        self._head = ""
        self._ended = threading.Event()
        self.heard, self.gone, self.cores = Heard(), False, cores or num_cores()

    @property
    def ray(self) -> Any:
        """The module ``ray``, connected.

        Raises:
            ConfigError: As `connect`.
        """
        self.connect()
        return self._ray

    @property
    def connected(self) -> bool:
        """Whether it is there."""
        return self._ray is not None

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connect(self) -> None:
        """Start an instance, or join a cluster, if that is not done yet.

        Raises:
            ConfigError: If it does not answer.
        """
        if self._ray is not None:
            return
        with _own_handlers():
            self._ray = self._alone() if self._address == LOCAL else self._joined()
        self.heard.begin()
        if self._address != LOCAL:
            self._head = self._ray.get_runtime_context().gcs_address
            self.cores = self._count()
        self._answered_s = time.monotonic()

    def close(self) -> None:
        """End it, or leave it, at once; closing twice is fine."""
        if self._ray is None:
            return
        self._ray.shutdown()
        self._ray = None
        self._ended.set()
        self.heard.end()
        if self._place:
            shutil.rmtree(self._place, ignore_errors=True)

    def require_head(self) -> None:
        """See now and then whether a cluster still answers: Ray would end this process without a word.

        Raises:
            ConfigError: If it is gone.
        """
        now_s = time.monotonic()
        if self._address == LOCAL or now_s - self._looked_s < _LOOK_EVERY_S:
            return
        host, _, port = self._head.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S):
                self._looked_s = time.monotonic()
            with contextlib.suppress(self._ray.exceptions.RayError):  # asked again at the next look
                self.cores = self._count()  # nodes come and go
            self._answered_s = time.monotonic()  # a port that is open is no answer yet
        except (OSError, TooLong) as error:
            self._looked_s = time.monotonic()
            if self._looked_s - self._answered_s > _GONE_S:
                self.gone = True
                raise ConfigError(
                    f"the Ray cluster at {host}:{port} has not answered for {_GONE_S:g} s;"
                    f" {self._goes_on}"
                ) from error

    def _count(self) -> int:
        found = within(_GONE_S, self._ray.cluster_resources)
        return max(1, int(found.get("CPU", 0)))

    def _alone(self) -> Any:
        """Start an instance that nobody else reaches."""
        place = tempfile.gettempdir()
        place = place if len(place) <= _LONGEST_PLACE else "/tmp"
        tidy(Path(place))
        self._place = tempfile.mkdtemp(prefix=f"{_PLACE}{os.getpid()}-", dir=place)
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        with environment({**ALONE, "PYTHONPATH": path}):  # modules are found there as here
            import ray

            try:
                within(
                    self._limit_s, ray.init, until=self._ended,
                    num_cpus=self.cores, include_dashboard=False, log_to_driver=False,
                    logging_level="ERROR", object_store_memory=_STORE_BYTES,
                    _node_ip_address=_LOOPBACK, _temp_dir=self._place,
                    # a busy machine is no reason to kill what works, nor to let it go behind all else
                    _system_config={"memory_monitor_refresh_ms": 0, "worker_niceness": 0},
                )  # fmt: skip
            except Exception as error:  # a port, a limit of the system
                shutil.rmtree(self._place, ignore_errors=True)
                raise ConfigError(f"Ray cannot be started: {one_line(error)}") from error
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
                f"no Ray cluster at {self._address} can be used: {one_line(why)}; {_REMEDY}"
            )
        import ray

        try:
            within(
                self._limit_s, ray.init,
                address=self._address, include_dashboard=False, log_to_driver=False,
                logging_level="ERROR",
            )  # fmt: skip
        except TooLong as error:  # it has gone since
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
                else f"({one_line(error)})"
            )
            raise ConfigError(f"nobody answers at {self._address} {why}; {_REMEDY}") from error


def require_ray(address: str) -> None:
    """Check that Ray is installed, and that an address may be one; nobody is asked.

    Raises:
        MissingDependencyError: If Ray is not installed.
        ConfigError: If the address is none.
    """
    found = importlib.util.find_spec("ray")
    if found is None or found.origin is None:  # a folder of that name is no Ray
        raise MissingDependencyError("Ray is not installed: pip install 'metarl-sim[ray]'")
    if address != LOCAL and not ADDRESS.fullmatch(address):
        raise ConfigError(f"--ray is {address!r}; expected {ADDRESSES}, or nothing: this machine")


def tidy(place: Path) -> None:
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
