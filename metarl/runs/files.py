"""Files that are written: their place is looked at before any work, and filled whole or not at all.

Only a regular file is ever replaced. A device, a FIFO, a link or a folder stands there for a
purpose that a rename would destroy.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from metarl.errors import OutputError
from metarl.runs.reading import KINDS

try:
    import fcntl
except ImportError:  # not on Windows; what a killed process left there stays
    fcntl = None  # type: ignore[assignment]

_SHOWN = 40  # characters of a file's name that its unfinished part bears: names have a limit


class Irregular(FileExistsError):
    """Something else than a regular file is where a file is to be put."""


def check_output(
    path: Path | str, endings: Sequence[str] = (), *, overwrite: bool = False
) -> Path:
    """Refuse a place that a file cannot be put into, before any work is done for it.

    Args:
        path: The file; folders that are missing will be made when it is written.
        endings: The valid ends of its name; none: any.
        overwrite: Whether a file that is there may be replaced.
    Returns:
        The path.
    Raises:
        OutputError: If it names no file, has another ending, is something else than a regular
            file, is there already, or its folder cannot be written to.
    """
    path = Path(path)
    _check_name(path, endings)
    try:
        require_regular(path)
        if _kind(path) and not overwrite:
            raise OutputError(f"{path} is there already; choose another name, or add --overwrite")
        with tempfile.TemporaryFile(dir=_folder(path)):
            pass
    except OSError as error:
        raise output_error(path, error) from error
    return path


def free_name(path: Path) -> Path:
    """Find a name that nothing has: ``film.mp4``, else ``film-2.mp4``, and so on."""
    names = (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2))
    return next(name for name in itertools.chain([path], names) if not os.path.lexists(name))


def output_error(path: Path, error: OSError) -> OutputError:
    """Say in one line why a file cannot be written, and what to do."""
    return OutputError(f"cannot write {path}: {error.strerror or error}; {remedy(error)}")


def remedy(error: OSError) -> str:
    """Say what to do where a file cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "free some space"
    if isinstance(error, Irregular):
        return "choose another name"
    if error.errno == errno.ENAMETOOLONG:
        return "choose a shorter name"
    return "choose a folder that you may write to"


class Part:
    """The unfinished content of a file, under a hidden name beside it.

    It is locked while its process lives, so that what a killed process left is known for it.

    Args:
        path: The file that it will be; its folder exists.
    Attributes:
        unfinished: Where it is until `put`.
    Raises:
        OSError: If it cannot be made.
    """

    def __init__(self, path: Path):
        self.path = path
        self.unfinished, self._handle = _create(path)

    def write(self, data: bytes | bytearray) -> None:
        """Write the whole content, through to the disk."""
        with open(self.unfinished, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def put(self) -> None:
        """Put it in its place, over nothing but a regular file."""
        require_regular(self.path)
        os.replace(self.unfinished, self.path)
        self._unlock()

    def discard(self) -> None:
        """Remove it, if it was not put in its place."""
        with contextlib.suppress(OSError):
            self.unfinished.unlink(missing_ok=True)
        self._unlock()

    def _unlock(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
        self._handle = -1


def write_whole(path: Path, data: bytes | bytearray) -> None:
    """Replace a file by new content so that a crash leaves the old or the new, never a part.

    Args:
        path: The file; its folder exists.
        data: The new content.
    Raises:
        OSError: If it cannot be written, or is no regular file; the old content is then intact.
    """
    require_regular(path)
    part = Part(path)
    try:
        part.write(data)
        part.put()
    finally:  # a second Ctrl-C must not leave the unfinished file either
        part.discard()
    _sync_folder(path.parent)


def require_regular(path: Path) -> None:
    """Raise `Irregular` if there is something else than a regular file."""
    if (there := _kind(path)) not in ("", "a file"):
        raise Irregular(errno.EEXIST, f"it is {there}, not a regular file")


def remove_abandoned(folder: Path) -> None:
    """Delete the unfinished files of processes that were killed while they wrote."""
    for path in folder.glob(".*.partial"):
        with contextlib.suppress(OSError):  # for example no permission: then it stays
            if _kind(path) == "a file" and _is_abandoned(path):
                path.unlink(missing_ok=True)


def _check_name(path: Path, endings: Sequence[str]) -> None:
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise OutputError(f"the name {ascii(text)} is not UTF-8; choose another") from error
    if any(unicodedata.category(char) == "Cc" for char in text):
        raise OutputError(f"the name {ascii(text)} has control characters; choose another")
    if not path.name:
        raise OutputError(f"{text!r} names no file; expected a name, for example film.mp4")
    if endings and path.suffix.lower() not in endings:
        raise OutputError(f"{path} has an unknown ending; valid: {', '.join(endings)}")


def _kind(path: Path) -> str:
    """Say what is there: ``""`` for nothing, ``"a file"``, ``"a FIFO"``, and so on."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return ""
    kinds = ((stat.S_ISLNK, "a link"), *KINDS)
    return next((name for holds, name in kinds if holds(mode)), "a file")


def _folder(path: Path) -> Path:
    """The folder of a path, or the nearest above it that exists."""
    return next(folder for folder in path.absolute().parents if folder.exists())


def _create(path: Path) -> tuple[Path, int]:
    for name in _hidden_names(path):
        handle = os.open(name, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            if _lock(handle) and os.path.samestat(os.fstat(handle), os.lstat(name)):
                os.truncate(handle, 0)  # what a killed process of this number left
                return name, handle
        except FileNotFoundError:  # taken for abandoned before it was locked
            pass
        os.close(handle)
    raise AssertionError("names do not end")


def _hidden_names(path: Path) -> Iterator[Path]:
    start = f".{path.name[:_SHOWN]}.{os.getpid()}"
    yield path.with_name(f"{start}.partial")
    yield from (path.with_name(f"{start}-{number}.partial") for number in itertools.count(2))


def _lock(handle: int) -> bool:
    """Lock a file for as long as it is open; False if another process has it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _is_abandoned(path: Path) -> bool:
    if fcntl is None:
        return False
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        return _lock(handle)
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
