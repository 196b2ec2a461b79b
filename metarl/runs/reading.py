"""Reading what anyone may have changed: regular files alone, and JSON that stays in bounds."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

from metarl.errors import CheckpointError

MAX_DEPTH = 100  # of nested JSON; what metarl writes is nested a tenth as deep
MAX_NUMBER = 1e100  # squares and sums of such are finite, too
KINDS = (  # of what is no regular file
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_file(path: Path) -> BinaryIO:
    """Open a regular file for reading; anything else could block, or never end.

    Args:
        path: The file, or a link to one.
    Raises:
        FileNotFoundError: If there is none.
        CheckpointError: If it cannot be read, or is no regular file.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CheckpointError(
            f"cannot read {path}: {error.strerror}; make it readable, or give another"
        ) from error
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        what = next((name for test, name in KINDS if test(mode)), "no file")
        raise CheckpointError(f"cannot read {path}: it is {what}; expected a regular file")
    return open(handle, "rb")


def read_file(path: Path) -> bytes:
    """Read a regular file whole.

    Raises:
        FileNotFoundError: If there is none.
        CheckpointError: If it cannot be read, is no regular file, or does not fit into memory.
    """
    with open_file(path) as file:
        return read_rest(path, file)


def read_rest(path: Path, file: BinaryIO) -> bytes:
    """Read what is left of an open file.

    Raises:
        CheckpointError: If it cannot be read, or does not fit into memory.
    """
    try:
        return file.read()
    except MemoryError as error:
        size = os.fstat(file.fileno()).st_size
        raise CheckpointError(f"{path} does not fit into memory: {size} bytes") from error
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error


def parse_json(content: bytes | str, name: object) -> Any:
    """Parse JSON that may be anything.

    Args:
        content: The text.
        name: What it is, for the message.
    Raises:
        CheckpointError: If it is no JSON, nested too deep, or has text that is no Unicode.
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        said = "nested too deep" if isinstance(error, RecursionError) else error
        raise CheckpointError(f"{name} is damaged, or no JSON: {said}") from error
    if fault := plain_fault(value):
        raise CheckpointError(f"{name} is damaged, or no JSON of metarl: {fault}")
    return value


def plain_fault(value: Any) -> str:
    """Say what keeps a JSON value from being printed and walked through; empty if nothing."""
    stack = [(value, 0)]
    while stack:
        node, depth = stack.pop()
        if depth > MAX_DEPTH:
            return f"nested deeper than {MAX_DEPTH}"
        if isinstance(node, str) and not _is_unicode(node):
            return f"the text {node[:40]!r} is no Unicode"
        if isinstance(node, dict):
            stack += [(child, depth + 1) for pair in node.items() for child in pair]
        elif isinstance(node, (list, tuple)):
            stack += [(child, depth + 1) for child in node]
    return ""


def is_count(value: Any) -> bool:
    """Whether a JSON value is an integer that can count something."""
    return type(value) is int and 0 <= value < 2**63


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number that arithmetic does not take out of all bounds."""
    return type(value) in (int, float) and abs(value) <= MAX_NUMBER


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True
