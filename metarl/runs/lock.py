"""One writer a run folder, across processes and machines."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from metarl.errors import ConfigError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK_FILE = ".lock"
SILENT_S = 600.0  # a writer on another machine counts as gone after so long without a sign of life
_held: set[int] = set()


class FolderLock:
    """The right to write into a folder, until `release` or the end of the process.

    The kernel holds it, so that it ends with the process however that ends, over NFS too. Where
    a file system has no such locks the file's content decides: whether the process that it names
    still runs, or, on another machine, whether it gave a sign of life lately.

    Args:
        folder: The folder; it exists.
    Raises:
        ConfigError: If another process has the right; the message names it and its machine.
        OSError: If the lock file cannot be made.
    """

    def __init__(self, folder: Path):
        self._path = folder / LOCK_FILE
        self._handle = -1
        while self._handle < 0:  # again if the last holder removed the file meanwhile
            self._handle = self._take(folder)
        _held.add(self._handle)

    def _take(self, folder: Path) -> int:
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        try:
            kernel = _lock(handle)
            self._by_kernel = kernel is not None
            holder = _read(handle)
            if kernel is False or (kernel is None and _lives(holder, os.fstat(handle).st_mtime)):
                raise ConfigError(_refusal(folder, holder))
            if not self._is_at_path(handle):
                os.close(handle)
                return -1
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(_this_process()).encode(), 0)
        except BaseException:
            with contextlib.suppress(OSError):
                os.close(handle)
            raise
        return handle

    def beat(self) -> None:
        """Give a sign of life, where the kernel does not vouch for this process."""
        if not self._by_kernel:
            os.utime(self._handle)

    def release(self) -> None:
        """Let others write; releasing twice is fine."""
        if self._handle < 0:
            return
        with contextlib.suppress(OSError):
            if self._is_at_path(self._handle):  # the folder may have been moved
                self._path.unlink()
        _held.discard(self._handle)
        os.close(self._handle)
        self._handle = -1

    def _is_at_path(self, handle: int) -> bool:
        try:
            return os.path.samestat(os.fstat(handle), os.stat(self._path))
        except FileNotFoundError:
            return False


def _lock(handle: int) -> bool | None:
    """Ask the kernel: whether it is ours now; None if there are no locks here."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a network file system without locks
        return None
    return True


def _this_process() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "started": _start_of(os.getpid())}


def _read(handle: int) -> dict[str, Any]:
    """What the lock file says of its writer; empty if nothing that can be read."""
    try:
        said = json.loads(os.pread(handle, 4096, 0))
        return {"pid": int(said["pid"]), "host": str(said["host"]), "started": said["started"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _lives(holder: dict[str, Any], seen_s: float) -> bool:
    if not holder:
        return False
    if holder["host"] != socket.gethostname():
        return time.time() - seen_s < SILENT_S
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass  # of another user
    return holder["started"] == _start_of(holder["pid"])


def _start_of(pid: int) -> str:
    """When a process started, in the kernel's words: its number may be given to another later."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _refusal(folder: Path, holder: dict[str, Any]) -> str:
    if not holder:
        return f"{folder} is being written by another process; wait for its end, or choose another"
    who = f"process {holder['pid']} on {ascii(holder['host'])[1:-1]}"
    return (
        f"{folder} is being written by {who}; wait for its end, stop it (kill {holder['pid']}),"
        " or choose another folder"
    )


def _close_in_child() -> None:
    """A child that outlives its parent must not keep the parent's folder."""
    for handle in _held:
        with contextlib.suppress(OSError):
            os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
