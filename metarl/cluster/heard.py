"""What Ray prints on stdout, of processes that it lost: it goes into a log, or to stderr."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from pathlib import Path
from typing import TextIO

_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST = 400  # letters of an error of Ray's


class Heard(io.TextIOBase):
    """Takes what is printed on stdout.

    Attributes:
        log: The log; None: there is none, and it goes to stderr.
    """

    log: Path | None = None
    _before: TextIO | None = None

    def write(self, text: str) -> int:
        """Write to the end of the log."""
        if self.log is None:
            sys.stderr.write(text)
        else:
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


def one_line(error: object) -> str:
    """What an error of Ray's says: without colours, in one line, no longer than anyone reads."""
    return " ".join(_COLOR.sub("", str(error)).split())[:_LONGEST]
