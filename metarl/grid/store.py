"""What finished cells leave: a JSON file each, or a line each of one file that is easily kept."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metarl.errors import CheckpointError
from metarl.grid.cell import Cell
from metarl.runs.checkpoint import write_atomically, write_error
from metarl.runs.config import made_with
from metarl.runs.files import remove_abandoned
from metarl.runs.metrics import finite
from metarl.runs.reading import parse_json, read_file

CELLS, MERGED = "cells", "cells.jsonl"
VERSIONS = ("metarl", "torch", "mujoco", "numpy")


@dataclasses.dataclass(frozen=True)
class Record:
    """A finished cell.

    Args:
        key: Its name.
        cell: Its definition, as it was run.
        result: What it measured.
        seconds: Wall time [s].
        made_with: Versions and processor.
    """

    key: str
    cell: Mapping[str, Any]
    result: Mapping[str, Any]
    seconds: float
    made_with: Mapping[str, Any]


class Store:
    """The finished cells of a benchmark.

    Args:
        folder: The benchmark's; a file a cell is in its ``cells/``.
        merged: A file with a line a cell, which is read too; None: ``cells.jsonl`` in the folder.
    """

    def __init__(self, folder: Path, merged: Path | None = None):
        self.folder = folder
        self.merged = merged or folder / MERGED

    def read(self) -> dict[str, Record]:
        """Read what is finished, by key; a file of its own goes before a line.

        Raises:
            CheckpointError: If something is damaged; the message names it.
        """
        found: dict[str, Record] = {}
        if self.merged.exists():
            for number, line in enumerate(read_file(self.merged).splitlines(), start=1):
                record = _record(line, f"{self.merged} line {number}")
                found[record.key] = record
        for path in sorted((self.folder / CELLS).glob("*.json")):
            record = _record(read_file(path), str(path))
            if record.key != path.stem:
                raise CheckpointError(
                    f"{path} is the cell {record.key}; rename it, or delete it to run it again"
                )
            found[record.key] = record
        return found

    def put(self, cell: Cell, result: Mapping[str, Any], seconds: float) -> Record:
        """Keep a finished cell, whole or not at all.

        Raises:
            CheckpointError: If its result is no JSON, or it cannot be written.
        """
        made = made_with("")["made-with"]
        about = {name: made[name] for name in (*VERSIONS, "cpu")}
        record = Record(cell.key, cell.definition(), finite(result), round(seconds, 3), about)
        path = self.folder / CELLS / f"{cell.key}.json"
        write_atomically(path, (_line(record) + "\n").encode())
        return record

    def prepare(self) -> None:
        """Make the folder, and delete what a killed process left half written.

        Raises:
            CheckpointError: If it cannot be made.
        """
        try:
            (self.folder / CELLS).mkdir(parents=True, exist_ok=True)
            remove_abandoned(self.folder / CELLS)
        except OSError as error:
            raise write_error(self.folder, error) from error

    def merge(self) -> Path:
        """Write every finished cell into the one file, a line each in the order of their keys.

        Raises:
            CheckpointError: If something is damaged, or it cannot be written.
        """
        records = self.read()
        text = "".join(f"{_line(records[key])}\n" for key in sorted(records))
        self.merged.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.merged, text.encode())
        return self.merged


def _line(record: Record) -> str:
    said = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    try:
        return json.dumps(said, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"the result of {record.key} is no JSON: {error}") from error


def _record(text: bytes, place: str) -> Record:
    saved = parse_json(text, place)
    names = {field.name for field in dataclasses.fields(Record)}
    tables = ("cell", "result", "made_with")
    whole = isinstance(saved, dict) and set(saved) == names
    if (
        not whole
        or not isinstance(saved["key"], str)
        or not all(isinstance(saved[name], dict) for name in tables)
        or type(saved["seconds"]) not in (int, float)
    ):
        raise CheckpointError(f"{place} holds no finished cell; delete it to run it again")
    return Record(**saved)
