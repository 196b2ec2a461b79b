"""Who runs the cells: what a benchmark asks of them, whether processes here or machines elsewhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from metarl.grid.cell import Cell


@dataclasses.dataclass(frozen=True)
class Finished:
    """A cell that has come back.

    Args:
        key: The cell's.
        result: What it measured; None if it failed.
        seconds: Wall time [s].
        error: Why it failed, in one line.
        trace: Where, for the log.
    """

    key: str
    result: Mapping[str, Any] | None
    seconds: float
    error: str = ""
    trace: str = ""


class Workers(Protocol):
    """Run cells, several at once. They see the benchmark's folder under the same path."""

    @property
    def size(self) -> int:
        """How many cells run at once."""
        ...

    @property
    def num_free(self) -> int:
        """How many more cells could be started now."""
        ...

    def start(self, cell: Cell, folder: Path) -> None:
        """Begin with a cell; `num_free` is at least 1."""
        ...

    def wait(self, timeout_s: float) -> list[Finished]:
        """Give the cells that have come back; after so long [s] at most, then perhaps none."""
        ...

    def close(self) -> None:
        """End at once; cells that were under way are lost. Closing twice is fine."""
        ...
