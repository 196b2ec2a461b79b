"""Where a command prints to: closed, full, narrow, or without our letters."""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any, TextIO

NARROWEST, WIDEST = 40, 400  # columns that tables and help are laid out for
_HANDLER = "metarl.plain"
_PLAIN = {
    **dict.fromkeys("─━═╌┄", "-"),
    **dict.fromkeys("│┃║", "|"),
    **dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼╞╡╪", "+"),
    **dict.fromkeys("•·", "*"),
    **{"–": "-", "—": "-", "…": "...", "→": "->", "×": "x", "±": "+-", "°": " deg", "’": "'"},
}


class OutputLost(BaseException):
    """Nobody takes what a command prints, so it ends; no plug-in's `except` shall catch it."""

    def __init__(self, error: OSError):
        super().__init__(error)
        self.broken_pipe = error.errno == errno.EPIPE
        self.reason = os.strerror(error.errno) if error.errno else str(error)


class _Stream(io.FileIO):
    """A descriptor that may stop taking words: the command then ends, or goes on in silence."""

    def __init__(self, descriptor: int, ends: bool):
        super().__init__(descriptor, "wb", closefd=False)
        self.ends = ends
        self.lost: OSError | None = None

    def write(self, data: Any, /) -> int:
        if self.lost is None:
            try:
                return super().write(data)
            except OSError as error:
                self.lost = error
                if self.ends:
                    raise OutputLost(error) from error
        return memoryview(data).nbytes


@contextlib.contextmanager
def safe_output(ends: bool) -> Iterator[None]:
    """Print wherever the process prints to, and let no loss of it undo what a command does.

    Args:
        ends: Whether a command ends when nobody takes its output: what it prints is all it does.
    Raises:
        OutputLost: Then.
    """
    _open_closed()
    before = sys.stdout, sys.stderr, os.environ.get("COLUMNS")
    sys.stdout, sys.stderr = _safe(sys.stdout, 1, ends), _safe(sys.stderr, 2, False)
    _fit_columns()
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
            _tell_loss()
            sys.stderr.flush()
        finally:
            sys.stdout, sys.stderr = before[:2]
            _restore_columns(before[2])


def _open_closed() -> None:
    """Lead closed descriptors nowhere: else the next file opened would take what is printed."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free: this one


def _safe(stream: TextIO | None, descriptor: int, ends: bool) -> TextIO:
    """Wrap a stream of the process; one that somebody else put there keeps its own way."""
    if stream is not None and stream not in (sys.__stdout__, sys.__stderr__):
        return stream
    encoding = stream.encoding if stream is not None else "utf-8"
    raw = _Stream(descriptor, ends)
    buffered = io.BufferedWriter(raw)
    return io.TextIOWrapper(
        buffered, encoding=encoding, errors=_HANDLER, line_buffering=descriptor == 2 or raw.isatty()
    )


def _tell_loss() -> None:
    """Say in one line that what was printed is gone, unless its reader simply left."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if not isinstance(raw, _Stream) or raw.ends:
        return
    if raw.lost is not None and raw.lost.errno != errno.EPIPE:
        print(f"metarl: cannot print: {OutputLost(raw.lost).reason}", file=sys.stderr)


def _fit_columns() -> None:
    """Lay out for a width in which words fit; a column's worth of width takes minutes."""
    columns = shutil.get_terminal_size().columns
    if not NARROWEST <= columns <= WIDEST:
        os.environ["COLUMNS"] = str(min(max(columns, NARROWEST), WIDEST))


def _restore_columns(before: str | None) -> None:
    if before is None:
        os.environ.pop("COLUMNS", None)
    else:
        os.environ["COLUMNS"] = before


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """Write what an encoding lacks in letters that it has."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_PLAIN.get(c, ascii(c)[1:-1]) for c in missing), error.end


codecs.register_error(_HANDLER, _plainly)
