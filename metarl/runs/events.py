"""TensorBoard events, an extra: what cannot be written is dropped with a warning."""

from __future__ import annotations

import itertools
import logging
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)
_count = itertools.count()


class Events:
    """The events of a run, written at once and by the caller's own thread.

    TensorBoard's writer does so in a thread that dies aloud, and the run with it.

    Args:
        folder: Where the event file goes.
        purge_step: What earlier files say from this step on is void; None: nothing.
    """

    def __init__(self, folder: Path, purge_step: int | None):
        self._folder, self._purge_step = folder, purge_step
        self._writer: Any = None  # opened by the first numbers
        self._works = True

    def add(self, step: int, numbers: Mapping[str, float]) -> None:
        """Write numbers by name, if events can be written."""
        if not self._works:
            return
        try:
            if self._writer is None:
                self._writer = self._open()
            self._write({"step": step}, numbers)
            self._writer.flush()
        except Exception as error:  # the disk's, or of a TensorBoard that does not fit
            self._drop(error)

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        self._works = False
        if self._writer is not None:
            try:
                self._writer.close()
            except Exception as error:
                _log.warning("the last TensorBoard events are lost: %s", error)
        self._writer = None

    def _open(self) -> Any:
        from tensorboard.summary.writer.record_writer import RecordWriter

        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}"
        path = self._folder / f"{name}.{os.getpid()}.{next(_count)}"
        self._writer = RecordWriter(open(path, "wb"))  # noqa: SIM115
        self._write({"file_version": "brain.Event:2"}, {})
        if self._purge_step is not None:
            from tensorboard.compat.proto.event_pb2 import SessionLog

            start = SessionLog(status=SessionLog.START)
            self._write({"step": self._purge_step, "session_log": start}, {})
        return self._writer

    def _write(self, fields: Mapping[str, Any], numbers: Mapping[str, float]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        event = Event(wall_time=time.time(), **fields)
        if numbers:
            values = [Summary.Value(tag=n, simple_value=float(v)) for n, v in numbers.items()]
            event.summary.CopyFrom(Summary(value=values))
        self._writer.write(event.SerializeToString())

    def _drop(self, error: Exception) -> None:
        why = " ".join(str(error).split())
        _log.warning("no TensorBoard events from here on, the run goes on: %s", why)
        self._works = False
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.close()
            except Exception:  # it has just failed, and has been spoken of
                _log.debug("closing the events failed, too", exc_info=True)
