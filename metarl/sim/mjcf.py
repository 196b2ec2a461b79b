"""MJCF is read before MuJoCo reads it: what it asks for, what it refers to, on which line.

MuJoCo names neither file nor line of an asset that is missing, follows paths wherever they lead,
takes ``mass="nan"`` for a mass that was not given, and tries for hours to build a million bodies.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from metarl.errors import SimulationError

# Building a model takes a time that grows with the square of what is in it: ten seconds here.
MOST_BODIES = 4_000
MOST_ELEMENTS = 10_000
MOST_CELLS = 2**26  # of a texture or a height field
MOST_NUMBERS = 1_000_000  # of anything that is counted in <size>, and of <numeric>
MOST_MEMORY = 2**32  # bytes that <size memory> may ask for
MOST_TEXT = 2**26  # bytes of an MJCF file
MOST_ASSETS = 2**31  # bytes of all files that it refers to

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_BARE = re.compile(r"&(?![A-Za-z]+;|#)")
_UNITS = {unit: 1024 ** (k + 1) for k, unit in enumerate("kmgtpe")}
_SIZES = {"numeric": ("size",), "": ("nsample", "dim")}  # tag -> what is counted; any tag
_FOLDERS = ("assetdir", "meshdir", "texturedir")


@dataclass(frozen=True)
class _Reference:
    """A file that MJCF refers to, and where it does so."""

    tag: str
    path: str
    place: str


@dataclass
class _Scan:
    """What was met on the way through a model and what it includes.

    Args:
        origin: Whose model it is, for messages.
        root: The folder from which paths are meant.
        inside: Whether nothing may lie outside of it.
    """

    origin: str
    root: Path
    inside: bool
    elements: int = 0
    bodies: int = 0
    references: list[_Reference] = field(default_factory=list)
    folders: list[str] = field(default_factory=lambda: [""])
    names: set[str] = field(default_factory=set)
    doubtful: list[tuple[str, str]] = field(default_factory=list)  # (value, message)
    models: dict[str, tuple[int, int]] = field(default_factory=dict)  # (elements, bodies)
    reading: list[Path] = field(default_factory=list)

    def refuse(self, place: str, said: str) -> NoReturn:
        raise SimulationError(f"{self.origin}: {place}: {said}")


def check_text(text: str, origin: str) -> None:
    """Check MJCF that a family wrote itself; paths in it are meant from the working folder.

    Args:
        text: The MJCF.
        origin: Whose it is, for messages.
    Raises:
        SimulationError: As `check_file`, but paths may lead anywhere.
    """
    scan = _Scan(origin, Path.cwd(), inside=False)
    _walk(scan, text, "MJCF", 1)
    _finish(scan)


def check_file(path: Path, origin: str) -> None:
    """Check an MJCF file before MuJoCo reads it.

    Args:
        path: The file.
        origin: Whose it is, for messages.
    Raises:
        SimulationError: If it is no regular file or no XML, has numbers that are none, asks for
            more than a model may, or refers to a file that is missing or outside of its folder;
            the message has file and line.
    """
    scan = _Scan(origin, path.parent, inside=True)
    _walk(scan, read_text(path, origin), str(path), 1, path)
    _finish(scan)


def read_text(path: Path, origin: str) -> str:
    """Read an MJCF file.

    Raises:
        SimulationError: If it is no regular file, cannot be read, or is too large.
    """
    try:
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):
            raise SimulationError(f"{origin}: {path} is no regular file; expected an MJCF file")
        if about.st_size > MOST_TEXT:
            raise SimulationError(
                f"{origin}: {path} has {about.st_size:,} bytes; MJCF may have {MOST_TEXT:,}"
            )
        data = path.read_bytes()
    except FileNotFoundError:
        raise SimulationError(f"{origin}: there is no MJCF file {path}") from None
    except (OSError, ValueError) as error:
        raise SimulationError(f"{origin}: cannot read the MJCF file {path}: {error}") from error
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SimulationError(f"{origin}: {path} is written in UTF-16; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:  # MuJoCo does not mind
        return data.decode("latin-1")


def _walk(scan: _Scan, text: str, name: str, times: int, path: Path | None = None) -> None:
    """Meet every element of a text, and of what it includes.

    Args:
        scan: What is noted.
        text: The MJCF.
        name: Its name in messages.
        times: How many times all of it is repeated.
        path: Its file.
    """
    parser = expat.ParserCreate("utf-8")
    repeats = [times]

    def start(tag: str, attributes: dict[str, str]) -> None:
        place = f"{name}:{parser.CurrentLineNumber}"
        count = _count(scan, tag, attributes, place) if tag in _COUNTED else 1
        repeats.append(repeats[-1] * count)
        _meet(scan, tag, attributes, place, repeats[-1], path)

    def end(tag: str) -> None:
        repeats.pop()

    parser.StartElementHandler, parser.EndElementHandler = start, end
    try:
        parser.Parse(_plain(text).encode("utf-8", "replace"), True)
    except expat.ExpatError as error:
        scan.refuse(
            f"{name}:{error.lineno}", f"no well-formed XML: {expat.errors.messages[error.code]}"
        )


def _plain(text: str) -> str:
    """Leave out what MuJoCo takes and XML forbids; lines keep their numbers."""
    text = _COMMENT.sub(lambda found: "\n" * found.group().count("\n"), text.lstrip("\ufeff"))
    lead = len(text) - len(text.lstrip())
    text = "\n" * text[:lead].count("\n") + re.sub(r"<\?.*?\?>", "", text[lead:], flags=re.DOTALL)
    return _BARE.sub("&amp;", text)


_COUNTED = {"replicate": 1, "composite": 3, "flexcomp": 3}  # tag -> numbers in its `count`


def _count(scan: _Scan, tag: str, attributes: dict[str, str], place: str) -> int:
    """How many times an element's content is made."""
    count = 1
    for number in _numbers(attributes.get("count", ""))[: _COUNTED[tag]]:
        count *= max(1, math.ceil(min(number, 1e9))) if number == number else 1
    if count > MOST_ELEMENTS:
        scan.refuse(place, f"<{tag}> makes {count:,} of its content; at most {MOST_ELEMENTS:,}")
    return count


def _meet(
    scan: _Scan, tag: str, attributes: dict[str, str], place: str, times: int, path: Path | None
) -> None:
    more, bodies = (
        scan.models.get(attributes.get("model", ""), (0, 0)) if tag == "attach" else (1, 0)
    )
    scan.elements += more * times
    scan.bodies += (bodies + (tag == "body") + (tag in ("composite", "flexcomp"))) * times
    if scan.bodies > MOST_BODIES or scan.elements > MOST_ELEMENTS:
        scan.refuse(
            place,
            f"up to here the model has {scan.bodies:,} bodies and {scan.elements:,} elements, with"
            f" all that is repeated; at most {MOST_BODIES:,} and {MOST_ELEMENTS:,}",
        )
    _check_numbers(scan, tag, attributes, place)
    if tag == "compiler":
        scan.folders += [attributes[name] for name in _FOLDERS if name in attributes]
    files = [value for name, value in attributes.items() if re.fullmatch("file[a-z]*", name)]
    if tag in ("include", "model") and files:
        _follow(scan, tag, attributes, files[0], place, times, path)
    else:
        scan.references += [_Reference(tag, value, place) for value in files if value]


def _follow(
    scan: _Scan, tag: str, attributes: dict[str, str], file: str, place: str, times: int,
    path: Path | None,
) -> None:  # fmt: skip
    """Walk through a file that is included, or attached."""
    near = [scan.root, *([path.parent] if path else [])]
    found = _find(scan, _Reference(tag, file, place), near)
    if found in scan.reading:
        scan.refuse(place, f"{file} includes itself")
    scan.reading.append(found)
    text = read_text(found, f"{scan.origin}: {place}")
    if tag == "include":
        _walk(scan, text, str(found), times, found)
    else:
        inner = _Scan(scan.origin, found.parent, scan.inside, reading=scan.reading)
        _walk(inner, text, str(found), 1, found)
        _finish(inner)
        name = attributes.get("name") or _model_name(text) or found.stem
        scan.models[name] = (inner.elements, inner.bodies)
    scan.reading.pop()


def _model_name(text: str) -> str:
    found = re.search(r"<mujoco\b[^>]*?\bmodel\s*=\s*[\"']([^\"']*)", text)
    return found.group(1) if found else ""


def _check_numbers(scan: _Scan, tag: str, attributes: dict[str, str], place: str) -> None:
    """Check that what looks like numbers is finite, and what is counted within its limits."""
    for name, value in attributes.items():
        if name in ("name", "class", "prefix"):
            scan.names.add(value)
        elif not all(map(math.isfinite, _numbers(value))):
            said = f'{name}="{value[:60]}" of <{tag}> is not finite; expected numbers'
            scan.doubtful.append((value, f"{place}: {said}"))
    asked = {name: _numbers(value) for name, value in attributes.items()}
    for names in (("nrow", "ncol"), ("width", "height")):
        cells = math.prod(asked[n][0] for n in names if asked.get(n))
        if tag in ("hfield", "texture") and cells > MOST_CELLS:
            scan.refuse(place, f"<{tag}> has {cells:,.0f} cells; at most {MOST_CELLS:,}")
    if tag == "size":
        memory = _bytes(attributes.get("memory", ""))
        if memory > MOST_MEMORY:
            scan.refuse(place, f"<size> asks for {memory:,.0f} bytes; at most {MOST_MEMORY:,}")
    for name in attributes if tag == "size" else _SIZES.get(tag, ()) + _SIZES[""]:
        if max(asked.get(name, ()), default=0.0) > MOST_NUMBERS:
            scan.refuse(
                place, f"<{tag}> asks for {name} {attributes[name]}; at most {MOST_NUMBERS:,}"
            )


def _numbers(value: str) -> list[float]:
    """The numbers of an attribute; none if it is a text."""
    try:
        return [float(part) for part in value.split()]
    except ValueError:
        return []


def _bytes(value: str) -> float:
    """What ``memory="2G"`` asks for."""
    unit = _UNITS.get(value[-1:].lower(), 0)
    numbers = _numbers(value[:-1] if unit else value)
    return numbers[0] * (unit or 1) if numbers else 0.0


# Files that are referred to -------------------------------------------------------------


def _finish(scan: _Scan) -> None:
    """Check what could not be judged before everything was met."""
    for value, said in scan.doubtful:
        if value not in scan.names:
            raise SimulationError(f"{scan.origin}: {said}")
    total = 0
    for reference in scan.references:
        folders = [scan.root / folder for folder in scan.folders]
        total += _find(scan, reference, folders).stat().st_size
        if total > MOST_ASSETS:
            scan.refuse(
                reference.place,
                f"up to here the model refers to {total:,} bytes of files; at most {MOST_ASSETS:,}",
            )


def _find(scan: _Scan, reference: _Reference, folders: list[Path]) -> Path:
    """Find a file that is referred to; see `check_file`."""
    what = f'file="{reference.path}" of <{reference.tag}>'
    tried = list(_candidates(reference.path, folders))
    for path in tried:
        try:
            mode = os.stat(path).st_mode
        except (OSError, ValueError):
            continue
        if scan.inside and not _is_inside(path, scan.root):
            scan.refuse(
                reference.place,
                f"{what} leaves the folder {scan.root}; copy it there, or build an MjSpec of the"
                " file in code that you trust",
            )
        if not stat.S_ISREG(mode):
            scan.refuse(reference.place, f"{what} is no regular file")
        return path
    scan.refuse(reference.place, f"{what} is missing; there is no {tried[-1]}")


def _candidates(path: str, folders: list[Path]) -> Iterator[Path]:
    """Where MuJoCo may look; the last one is where it should be."""
    for folder in folders:
        yield folder / os.path.basename(path)  # <compiler strippath="true">
    for folder in folders:
        yield folder / path


def _is_inside(path: Path, folder: Path) -> bool:
    real, root = os.path.realpath(path), os.path.realpath(folder)
    return os.path.commonpath([real, root]) == root
