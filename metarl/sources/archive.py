"""Zip files that anyone may have made: what is in them is known before any of it is unpacked."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

from metarl.errors import CheckpointError, printable
from metarl.runs.reading import open_file, read_rest

MAX_BYTES = 256 * 2**20  # of a file, and of all that is in it: no policy of plain layers is larger
MAX_MEMBERS = 10_000
ZIP = b"PK\x03\x04"
_ENTRY = b"PK\x01\x02"  # begins what a zip file lists of a member
_ENCRYPTED = 0x1  # bit of a member's flags


class Archive:
    """A zip file, read whole, all of whose members are expected.

    Args:
        data: Its bytes.
        name: What it is, for messages.
        expects: Whether a member of that name belongs there.
        packed: Whether members may be compressed.
    Raises:
        CheckpointError: If it is no whole zip file, or a member is unexpected, stands there twice,
            is encrypted, compressed by another method, or too large; names it.
    """

    def __init__(
        self, data: bytes, name: str, expects: Callable[[str], bool], *, packed: bool = True
    ):
        self.name = name
        if data.count(_ENTRY) > MAX_MEMBERS:  # before an object is made of each
            raise CheckpointError(
                f"{name} lists more than {MAX_MEMBERS} members; it is refused whole"
            )
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
            raise CheckpointError(f"{name} is no whole zip file: {error}") from error
        members = self._zip.infolist()
        if min((member.header_offset for member in members), default=1):
            raise CheckpointError(
                f"{name} is no whole zip file: something stands before its members"
            )
        methods = {zipfile.ZIP_STORED} | ({zipfile.ZIP_DEFLATED} if packed else set())
        seen = set[str]()
        for member in members:
            fault = _fault(member, seen, expects, methods)
            if fault:
                shown = printable(member.filename)[:80]
                raise CheckpointError(f"{name} holds {shown!r}, {fault}; it is refused whole")
            seen.add(member.filename)
        total = sum(member.file_size for member in members)
        if total > MAX_BYTES:
            raise CheckpointError(
                f"{name} says it holds {total} bytes; at most {MAX_BYTES} bytes are read"
            )
        self.names = tuple(member.filename for member in members)

    def read(self, member: str, most: int = MAX_BYTES) -> bytes:
        """Unpack one member.

        Args:
            member: Its name.
            most: How many bytes it may have.
        Raises:
            CheckpointError: If it is missing, larger, or not what the archive says of it.
        """
        try:
            declared = self._zip.getinfo(member).file_size
            if declared > most:
                raise CheckpointError(
                    f"{self.name}: {member} has {declared} bytes, more than {most}"
                )
            with self._zip.open(member) as file:
                data = file.read(declared + 1)
        except CheckpointError:
            raise
        except KeyError as error:
            raise CheckpointError(f"{self.name} holds no {member!r}") from error
        except Exception as error:  # zipfile and zlib have no common base for what is damaged
            raise CheckpointError(f"{self.name} is damaged at {member!r}: {error}") from error
        if len(data) != declared:
            raise CheckpointError(
                f"{self.name} is damaged at {member!r}: {len(data)} bytes, {declared} declared"
            )
        return data


def read_bounded(path: Path) -> bytes:
    """Read a regular file of bounded size whole.

    Raises:
        CheckpointError: If it is missing, no regular file, too large, or cannot be read.
    """
    try:
        with open_file(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_BYTES:
                raise CheckpointError(
                    f"{path} has {size} bytes; a policy of plain layers has at most {MAX_BYTES}"
                )
            return read_rest(path, file)
    except FileNotFoundError as error:
        raise CheckpointError(f"no file {path}") from error


def _fault(
    member: zipfile.ZipInfo, seen: set[str], expects: Callable[[str], bool], methods: set[int]
) -> str:
    if member.filename in seen:
        return "twice"
    if not expects(member.filename):
        return "which does not belong there"
    if member.flag_bits & _ENCRYPTED:
        return "encrypted"
    if member.compress_type not in methods:
        return "compressed in a way that is not expected there"
    if member.file_size > MAX_BYTES:
        return f"of {member.file_size} bytes, more than {MAX_BYTES}"
    return ""
