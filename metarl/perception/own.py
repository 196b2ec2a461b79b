"""A person's own pictures: a folder a class, or a table of files and what belongs to each."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metarl.errors import ConfigError, MissingDependencyError, unknown
from metarl.machine import require_memory
from metarl.perception.given import TABLES
from metarl.perception.photos import ENDINGS, BadPicture, read_picture
from metarl.runs.reading import open_file

Progress = Callable[[int, int], None]
FILE = "file"  # the column of a table that names a picture
MAX_ROWS = 1_000_000
_SHOWN = 3  # names of a list


@dataclass(frozen=True)
class Labelled:
    """Pictures and what belongs to each.

    Attributes:
        names: Of the pictures, n of them.
        pixels: Shape (n, size, size, 3), uint8.
        columns: What belongs to a picture: ``class``, or the names of numbers.
        target: Words, shape (n,), or numbers, shape (n, k), float32.
        told: What was done to pictures and what was left out, a line each.
        left_out: Each file or row that was left out, with the reason.
    """

    names: tuple[str, ...]
    pixels: np.ndarray
    columns: tuple[str, ...]
    target: np.ndarray
    told: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def asks_class(self) -> bool:
        """Whether words belong to the pictures, not numbers."""
        return self.target.ndim == 1

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: Sequence[int] | np.ndarray) -> Labelled:
        """Choose some of the pictures; what was told stays with the whole."""
        at = np.asarray(rows, dtype=np.int64)
        names = tuple(self.names[i] for i in at)
        return Labelled(names, self.pixels[at], self.columns, self.target[at])

    def hashes(self) -> list[str]:
        """The SHA-256 of each picture's pixels, which copies under other names share."""
        return [hashlib.sha256(np.ascontiguousarray(p).tobytes()).hexdigest() for p in self.pixels]


@dataclass
class _Found:
    """Files with what belongs to them, before any is decoded."""

    columns: tuple[str, ...]
    files: list[tuple[str, Path, Any]] = field(
        default_factory=list
    )  # (name, path, word or numbers)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def read_own(
    path: Path | str,
    size: int,
    progress: Progress | None = None,
    *,
    columns: Sequence[str] | None = None,
) -> Labelled:
    """Read a folder or a table of pictures.

    Args:
        path: A folder with a folder a class in it, as torchvision's ImageFolder has it; or a CSV or
            Parquet file with a column ``file`` (relative to the table) and one or several others:
            numbers, or one column of words, which are classes.
        size: Width and height that all are brought to [pixels].
        progress: Called with (files done, files).
        columns: Of a table: those that are asked for; None: all.
    Returns:
        The pictures that can be read, in the order of their names or rows; the rest are in
        `left_out`.
    Raises:
        ConfigError: If there is no such folder or table, a column is missing or mixed, none of the
            pictures can be read, or they do not fit into memory.
        MissingDependencyError: If a Parquet file is given and pyarrow is not installed.
    """
    path = Path(path)
    found = _of_folder(path) if path.is_dir() else _of_table(path, columns)
    require_memory(len(found.files) * size * size * 3, f"{len(found.files)} pictures")
    pixels, rows, notes = list[np.ndarray](), list[tuple[str, Any]](), Counter[str]()
    for done, (name, file, target) in enumerate(found.files, start=1):
        try:
            picture, said = read_picture(file, size)
        except BadPicture as error:
            found.left_out.append((name, str(error)))
        else:
            pixels.append(picture)
            rows.append((name, target))
            notes.update(said)
        if progress is not None:
            progress(done, len(found.files))
    if not rows:
        raise ConfigError(f"no picture in {path} can be read; {_reasons(found.left_out)}")
    told = [f"{count} pictures: {what}" for what, count in sorted(notes.items())]
    if found.left_out:
        told.append(f"{len(found.left_out)} left out: {_reasons(found.left_out)}")
    target = np.array([t for _, t in rows], dtype=None if _is_word(rows[0][1]) else np.float32)
    names = tuple(name for name, _ in rows)
    return Labelled(
        names, np.stack(pixels), found.columns, target, tuple(told), tuple(found.left_out)
    )


def _is_word(target: Any) -> bool:
    return isinstance(target, str)


def _reasons(left_out: Sequence[tuple[str, str]]) -> str:
    """List what was left out, reason by reason, with a few names each."""
    by_reason: dict[str, list[str]] = {}
    for name, why in left_out:
        by_reason.setdefault(why, []).append(name)
    parts = []
    for why, names in sorted(by_reason.items(), key=lambda pair: (-len(pair[1]), pair[0])):
        more = ", ..." if len(names) > _SHOWN else ""
        parts.append(f"{len(names)} {why} ({', '.join(names[:_SHOWN])}{more})")
    return "; ".join(parts)


# A folder a class -------------------------------------------------------------------------


def _of_folder(path: Path) -> _Found:
    found = _Found(("class",))
    classes = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not classes:
        raise ConfigError(
            f"{path} holds no folders; expected a folder a class with pictures in it, or a table:"
            " FILE.csv"
        )
    for file in sorted(p for p in path.iterdir() if not p.is_dir() and not p.name.startswith(".")):
        found.left_out.append((file.name, "in no class's folder"))
    for folder in classes:
        before = len(found.files)
        for file in files_in(folder):
            name = str(file.relative_to(path))
            if file.suffix.lower() in ENDINGS:
                found.files.append((name, file, folder.name))
            else:
                found.left_out.append((name, f"no {', '.join(ENDINGS)}"))
        if len(found.files) == before:
            found.left_out.append((folder.name, "a folder without pictures"))
    return found


def files_in(folder: Path) -> Iterator[Path]:
    """List the files in a folder and below, in order; hidden ones and linked folders are passed over."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(root, name) for name in sorted(files) if not name.startswith("."))


# A table ----------------------------------------------------------------------------------


def _of_table(path: Path, wanted: Sequence[str] | None) -> _Found:
    if path.suffix.lower() not in TABLES:
        what = "is no folder" if path.exists() else "does not exist"
        raise ConfigError(f"{path} {what}; expected a folder of pictures, or {', '.join(TABLES)}")
    rows = _parquet_rows(path) if path.suffix.lower() == ".parquet" else _csv_rows(path)
    columns = tuple(name for name in rows[0] if name != FILE) if rows else ()
    if not rows or FILE not in rows[0] or not columns:
        has = ", ".join(map(str, rows[0])) if rows else "no rows"
        raise ConfigError(f"{path} has {has}; expected columns {FILE},TARGET[,TARGET...] and rows")
    for name in wanted or ():
        if name not in columns:
            raise ConfigError(f"{path}: {unknown('column', name, columns)}")
    columns = columns if wanted is None else tuple(dict.fromkeys(wanted))
    found, of_words = _Found(columns), [name for name in columns if _are_words(rows, name)]
    if of_words and len(columns) > 1:
        numbers = [name for name in columns if name not in of_words]
        raise ConfigError(
            f"{path}: {', '.join(of_words)} holds words, which are classes, and there are other"
            f" columns, too; choose {path}:{of_words[0]}"
            + (f", or numbers, {path}:{','.join(numbers)}" if numbers else "")
        )
    words = bool(of_words)
    for number, row in enumerate(rows, start=2):  # as an editor counts the lines of a CSV
        name = str(row[FILE] or "")
        target = _word(row, columns[0]) if words else _numbers(row, columns)
        if not name or target is None:
            why = "without a file's name" if not name else "without all of its targets as numbers"
            found.left_out.append((name or f"row {number}", why))
        else:
            found.files.append((name, path.parent / name, target))
    if not found.files:
        raise ConfigError(f"no row of {path} is whole; {_reasons(found.left_out)}")
    return found


def _csv_rows(path: Path) -> list[Mapping[str, Any]]:
    try:
        with io.TextIOWrapper(open_file(path), encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows: list[Mapping[str, Any]] = [
                dict(row) for _, row in zip(range(MAX_ROWS + 1), reader)
            ]
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist; expected a table of pictures") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no CSV in UTF-8: {error}") from error
    if len(rows) > MAX_ROWS:
        raise ConfigError(f"{path} has more than {MAX_ROWS} rows; give fewer")
    if any(None in row for row in rows):
        line = next(i for i, row in enumerate(rows, start=2) if None in row)
        raise ConfigError(f"{path}: line {line} has more cells than the first line has names")
    return rows


def _parquet_rows(path: Path) -> list[Mapping[str, Any]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise MissingDependencyError(
            "Parquet files are read by pyarrow; pip install pyarrow, or save the table as CSV"
        ) from error
    try:
        with open_file(path) as file:
            return parquet.read_table(file).to_pylist()
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist; expected a table of pictures") from error
    except (ArrowException, OSError) as error:
        raise ConfigError(f"{path} is no Parquet file: {error}") from error


def _are_words(rows: Sequence[Mapping[str, Any]], column: str) -> bool:
    given = [row[column] for row in rows if row[column] not in (None, "")]
    return bool(given) and all(_number(value) is None for value in given)


def _word(row: Mapping[str, Any], column: str) -> str | None:
    return str(row[column]) if row[column] not in (None, "") else None


def _numbers(row: Mapping[str, Any], columns: Sequence[str]) -> list[float] | None:
    found = [_number(row[column]) for column in columns]
    return None if None in found else [n for n in found if n is not None]


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and abs(number) < 1e30 else None
