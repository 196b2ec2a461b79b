"""Workers of a training in processes of Ray's: one that is lost is made anew, with the same result."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from metarl import errors
from metarl.ambient import steady
from metarl.cluster.heard import one_line
from metarl.cluster.instance import Cluster
from metarl.errors import ConfigError, MetaRLError, TrainingError
from metarl.learn.packing import packed, unpacked

MOST_RESTARTS = 3  # of each worker
START_S = 300.0  # until a worker has made its part: a process, imports, worlds
ANSWER_S = 600.0  # for a worker to do its part of an iteration
_LOOK_S = 0.2  # between two looks at a cluster's head, or for a signal
_MAKE = "make"

_log = logging.getLogger(__name__)
Call = tuple[Any, ...]  # a method's name, and what it is given


class Failed(NamedTuple):
    """What went wrong in a worker, on purpose: the error's type and words."""

    kind: str
    said: str

    def error(self, who: str) -> MetaRLError:
        """The error, as if it had come up here."""
        kind = getattr(errors, self.kind, MetaRLError)
        error = MetaRLError.__new__(kind)  # some take more than words
        error.args = (f"{who}: {self.said}",)
        return error


class Worker:
    """What runs in a process of Ray's.

    Args:
        make: Makes what does the work.
    """

    def __init__(self, make: Callable[..., Any]):
        self._make, self._part = make, None

    @steady(num_threads=1)
    def do(self, method: str, *given: Any) -> Any:
        """Let the part do something; what goes wrong on purpose comes back as `Failed`."""
        try:
            if method == _MAKE:
                self._part = self._make(*given)
                return None
            return packed(getattr(self._part, method)(*map(unpacked, given)))
        except MetaRLError as error:
            return Failed(type(error).__name__, str(error))


class Crew:
    """Workers of one core each, every one with its part of the work.

    What a worker did since `begin` it must do again after it was lost: its calls then are kept, and what
    it does depends on nothing else.

    Args:
        cluster: Where they work; it is connected now.
        make: Makes a part; it can be imported there.
        parts: What it is given, for each worker.
        names: What each worker does, for messages.
    Raises:
        ConfigError: If there are fewer cores, or a worker does not start in time.
    """

    def __init__(
        self,
        cluster: Cluster,
        make: Callable[..., Any],
        parts: Sequence[tuple[Any, ...]],
        names: Sequence[str],
    ):
        self._cluster, self._parts, self._names = cluster, parts, names
        ray = cluster.ray
        if len(parts) > cluster.cores:
            raise ConfigError(
                f"workers is {len(parts)}; the Ray cluster has {errors.counted(cluster.cores, 'core')},"
                " and each worker takes one"
            )
        self._actor = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(Worker)
        self._make = ray.put(make)
        self._actors: list[Any] = [None] * len(parts)
        self._restarts = [0] * len(parts)
        self._done: list[list[Call]] = [[] for _ in parts]
        try:
            self._employ(range(len(parts)))
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        """How many workers there are."""
        return len(self._parts)

    def close(self) -> None:
        """Dismiss the workers; the cluster stays."""
        for actor in filter(None, self._actors):
            self._cluster.ray.kill(actor)
        self._actors = [None] * len(self._parts)

    def put(self, what: Any) -> Any:
        """Send something once that all workers are to be given; it may stand in a call."""
        return self._cluster.ray.put(packed(what))

    def begin(self) -> None:
        """Begin with something of which workers need nothing that was done before."""
        self._done = [[] for _ in self._parts]

    def ask(self, calls: Mapping[int, Call], *, keep: bool = False) -> dict[int, Any]:
        """Let workers do something, and wait for all of them.

        Args:
            calls: By worker: a method of its part, and what it is given, which changes no more.
            keep: Whether what comes later, until `begin`, depends on this.
        Returns:
            What they gave, in the order of the calls.
        Raises:
            MetaRLError: What one of them raised.
            TrainingError: If a worker was lost too often.
            ConfigError: If the cluster is gone, or a new worker does not start.
        """
        asked = {self._send(k, call): k for k, call in calls.items()}

        def again(k: int, why: str) -> Any:
            self._count(k, why)
            self._employ([k])
            for call in self._done[k]:
                self._send(k, call)
            return self._send(k, calls[k])

        def late(k: int) -> Any:
            self._cluster.ray.kill(self._actors[k])
            return again(k, f"it has not answered for {ANSWER_S:g} s")

        found = self._wait(asked, ANSWER_S, again, late)
        if keep:
            for k, call in calls.items():
                self._done[k].append(call)
        return {k: unpacked(found[k]) for k in calls}

    # Workers ------------------------------------------------------------------------------

    def _employ(self, whom: Sequence[int]) -> None:
        """Start workers, and let them make their parts."""

        def start(k: int) -> Any:
            self._actors[k] = self._actor.remote(self._make)
            return self._send(k, (_MAKE, *self._parts[k]))

        def again(k: int, why: str) -> Any:
            self._count(k, why)
            return start(k)

        def late(k: int) -> Any:
            raise ConfigError(
                f"{self._who(k)} has not started within {START_S:g} s; the Ray cluster has"
                f" {errors.counted(self._cluster.cores, 'core')}, which others may be using: take"
                " fewer --workers, or try later with --resume"
            )

        self._wait({start(k): k for k in whom}, START_S, again, late)

    def _wait(
        self,
        asked: dict[Any, int],
        limit_s: float,
        again: Callable[[int, str], Any],
        late: Callable[[int], Any],
    ) -> dict[int, Any]:
        """Wait for answers; who is lost or late is asked again.

        Args:
            asked: Ray's reference -> the worker.
            limit_s: How long each may take [s].
            again: Asks a lost worker anew: (worker, why it was lost) -> reference.
            late: Likewise one that takes too long.
        """
        ray, found = self._cluster.ray, dict[int, Any]()
        ends_s = dict.fromkeys(asked.values(), time.monotonic() + limit_s)
        while asked:
            self._cluster.require_head()
            ready, _ = ray.wait(list(asked), timeout=_LOOK_S)
            for reference in ready:
                k = asked.pop(reference)
                try:
                    found[k] = ray.get(reference, timeout=limit_s)
                except ray.exceptions.RayTaskError:  # a mistake in what ran, with its traceback
                    raise
                except ray.exceptions.RayError as error:
                    asked[again(k, f"{type(error).__name__}: {one_line(error)}")] = k
                    ends_s[k] = time.monotonic() + limit_s
                    continue
                if isinstance(found[k], Failed):
                    raise found[k].error(self._who(k))
            for reference, k in list(asked.items()):
                if time.monotonic() > ends_s[k]:
                    del asked[reference]
                    asked[late(k)] = k
                    ends_s[k] = time.monotonic() + limit_s
        return found

    def _send(self, k: int, call: Call) -> Any:
        method, *given = call
        return self._actors[k].do.remote(method, *map(packed, given))

    def _count(self, k: int, why: str) -> None:
        """Note that a worker was lost.

        Raises:
            TrainingError: If that was once too often.
        """
        if self._restarts[k] >= MOST_RESTARTS:
            raise TrainingError(
                f"{self._who(k)} was lost {MOST_RESTARTS + 1} times, the last time because {why};"
                f" it was started again {MOST_RESTARTS} times, which is the most; what is saved goes"
                " on with --resume"
            )
        self._restarts[k] += 1
        _log.warning(
            "%s was lost: %s; it is started again (%d of at most %d times) and does its part of the"
            " iteration again",
            self._who(k), why, self._restarts[k], MOST_RESTARTS,
        )  # fmt: skip

    def _who(self, k: int) -> str:
        return f"worker {k + 1} of {self.size} ({self._names[k]})"
