"""A cell of a benchmark: how it is called, what it stands on, and what it computes."""

from __future__ import annotations

import abc
import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from metarl.errors import ConfigError
from metarl.runs.config import config_values
from metarl.runs.fields import Checked

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")  # it names a file
REVISION = "revision"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell(Checked, abc.ABC):
    """One measurement. Its fields say everything that decides its result.

    Attributes:
        revision: Raised whenever the same fields would give other numbers than before.
    """

    revision: ClassVar[int] = 1

    @property
    @abc.abstractmethod
    def key(self) -> str:
        """Its name within the benchmark, and its file's: letters, digits, ``.``, ``_`` and ``-``."""

    def needs(self) -> tuple[Cell, ...]:
        """The cells whose files it reads; they are run before it."""
        return ()

    def files(self) -> tuple[str, ...]:
        """What it leaves in the benchmark's folder for other cells, by relative paths."""
        return ()

    @abc.abstractmethod
    def run(self, folder: Path) -> Mapping[str, Any]:
        """Measure.

        Args:
            folder: The benchmark's, with the files of the cells that it needs.
        Returns:
            JSON values.
        """

    def definition(self) -> dict[str, Any]:
        """Everything that decides the result, as JSON values."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        cells = {n: v.definition() for n, v in values.items() if isinstance(v, Cell)}
        return {**config_values(self), **cells, REVISION: self.revision}


def with_needs(cells: Sequence[Cell]) -> list[Cell]:
    """List cells once each, in their order, every one behind those that it needs.

    Raises:
        ConfigError: If a key is no file's name, or two different cells have the same.
    """
    found: dict[str, Cell] = {}

    def add(cell: Cell) -> None:
        if not _KEY.fullmatch(cell.key):
            raise ConfigError(
                f"{cell.key!r} is no key of a cell; expected at most 200 letters, digits, '.', '_'"
                " and '-'"
            )
        known = found.get(cell.key)
        if known is not None and known.definition() != cell.definition():
            raise ConfigError(f"two different cells are called {cell.key}; give them other keys")
        if known is None:
            for needed in cell.needs():
                add(needed)
            found[cell.key] = cell

    for cell in cells:
        add(cell)
    return list(found.values())
