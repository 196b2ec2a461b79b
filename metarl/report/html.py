"""A report in one HTML file that loads nothing from anywhere."""

from __future__ import annotations

import base64
import html
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from numbers import Integral, Real
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from metarl.errors import MetaRLError, ShapeError
from metarl.runs.files import check_output, output_error, write_whole

_LONG = 24  # sections whose names are not all shown at first
ENDINGS = (".html", ".htm")
# A cell that is aligned as a number: "12", "-0.3", "93 [88, 97]", "45 %", "1.2e-05".
NUMBER = re.compile(r"[-+−]?\d[\d.,e+-]*( ?%)?( \[[^\]]*\])?|–")


class Report:
    """Collect sections, then write them as one self-contained HTML file.

    Every string is escaped; films and pictures are embedded.

    Args:
        title: Heading of the page.
        subtitle: One line beneath it; "" for none.
    """

    def __init__(self, title: str, subtitle: str = ""):
        self.title = title
        self.subtitle = subtitle
        self._sections: list[tuple[str, str, str]] = []  # (kind, heading, escaped body)

    def text(self, heading: str, paragraphs: str | Sequence[str]) -> None:
        """Add prose.

        Args:
            heading: Heading of the section.
            paragraphs: One paragraph, or several.
        """
        lines = [paragraphs] if isinstance(paragraphs, str) else paragraphs
        self._add("text", heading, "".join(f"<p>{escape(line)}</p>" for line in lines))

    def table(
        self,
        heading: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[object]],
        *,
        note: str = "",
        links: Sequence[str | None] | None = None,
    ) -> None:
        """Add a table; columns of numbers are aligned to the right.

        Args:
            heading: Heading of the section.
            columns: C names.
            rows: Rows of C cells. Floats are written with four significant digits; None is a dash.
            note: The command that measured it, printed beneath.
            links: Where the first cell of each row leads, as a path from the page; None: nowhere.
        Raises:
            ShapeError: If a row has not one cell a column.
        """
        texts = [[format_value(cell) for cell in row] for row in rows]
        for i, row in enumerate(texts):
            if len(row) != len(columns):
                raise ShapeError(
                    f"table {heading!r}: row {i} has {len(row)} cells; "
                    f"expected {len(columns)}: {', '.join(columns)}"
                )
        kinds = [
            ' class="number"' if texts and all(NUMBER.fullmatch(row[i]) for row in texts) else ""
            for i in range(len(columns))
        ]
        head = _row("th", columns, kinds)
        body = "".join(
            _row("td", row, kinds, link)
            for row, link in zip(texts, links or [None] * len(texts), strict=True)
        )
        beneath = f'<p class="note"><code>{escape(note)}</code></p>' if note else ""
        table = f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"
        self._add("table", heading, f"<div {_scrolls(heading)}>{table}</div>{beneath}")

    def picture(self, heading: str, png: bytes, *, caption: str, alt: str) -> None:
        """Add a picture.

        Args:
            heading: Heading of the section.
            png: The file's bytes.
            caption: Printed beneath; "" for none.
            alt: What the picture shows, for those who cannot see it.
        """
        image = f'<img alt="{escape(alt)}" src="{_data_uri("image/png", png)}">'
        frame = f"<div {_scrolls(heading)}>{image}</div>"
        self._add("picture", heading, _figure(frame, caption))

    def film(self, heading: str, path: Path, *, caption: str) -> None:
        """Add a film; films that follow one another stand side by side on a wide screen.

        Args:
            heading: Heading of the section.
            path: An MP4 file (H.264), which is embedded.
            caption: Printed beneath; "" for none.
        Raises:
            MetaRLError: If the film cannot be read.
        """
        source = _data_uri("video/mp4", read_bytes(Path(path)))
        video = (
            "<video controls autoplay loop muted playsinline "
            f'aria-label="{escape(heading)}" src="{source}"></video>'
        )
        self._add("film", heading, _figure(video, caption))

    def facts(
        self,
        heading: str,
        mapping: Mapping[str, object],
        *,
        meaning: Callable[[str], str] = lambda name: "",
    ) -> None:
        """Add a list of names and values.

        Args:
            heading: Heading of the section.
            mapping: The values by name.
            meaning: What a name means, printed beside its value; "" where there is nothing to say.
        """
        pairs = (
            f"<dt>{escape(str(name))}</dt><dd>{escape(format_value(value))}{_aside(meaning(name))}</dd>"
            for name, value in mapping.items()
        )
        self._add("facts", heading, f"<dl>{''.join(pairs)}</dl>")

    def render(self) -> str:
        """Build the page.

        Returns:
            The complete HTML document.
        """
        style = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
        subtitle = f"<p>{escape(self.subtitle)}</p>" if self.subtitle else ""
        sections = "\n".join(
            f'<section class="{kind}" id="s{i}"><h2>{escape(heading)}</h2>{body}</section>'
            for i, (kind, heading, body) in enumerate(self._sections, start=1)
        )
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(self.title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
            f"<header><h1>{escape(self.title)}</h1>{subtitle}</header>\n{self._contents()}"
            f"<main>\n{sections}\n</main>\n</body>\n</html>\n"
        )

    def write(self, path: Path) -> Path:
        """Write the page in one step: the file is the old one or the new one, never a half.

        Args:
            path: The file, .html; missing folders are made.
        Returns:
            `path`.
        Raises:
            OutputError: If the file cannot be written there.
        """
        path = check_output(path, ENDINGS, overwrite=True)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, self.render().encode())
        except OSError as error:
            raise output_error(path, error) from error
        return path

    def _add(self, kind: str, heading: str, body: str) -> None:
        self._sections.append((kind, heading, body))

    def _contents(self) -> str:
        if len(self._sections) < 4:  # a short page needs no map
            return ""
        links = "".join(
            f'<a href="#s{i}">{escape(heading)}</a>'
            for i, (_, heading, _) in enumerate(self._sections, start=1)
        )
        map_ = f'<nav aria-label="Contents">{links}</nav>'
        if (count := len(self._sections)) > _LONG:  # it would fill the screen
            map_ = f"<details><summary>Contents: {count} sections</summary>\n{map_}</details>"
        return f"{map_}\n"


def escape(text: str) -> str:
    """Write a text as HTML: no markup, and nothing that a terminal would obey."""
    return html.escape(plain(text))


def plain(text: str) -> str:
    """Replace control characters and halves of characters, which files may hold."""
    shown = (c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs") else "�" for c in text)
    return "".join(shown)


def format_value(value: object) -> str:
    """Write a value for a reader.

    Args:
        value: Anything; long sequences are cut.
    Returns:
        One line, not yet escaped.
    """
    if value is None:
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real):
        number = float(value)
        return "–" if math.isnan(number) else f"{number:.4g}"
    if isinstance(value, np.ndarray):
        return format_value(value.tolist())
    if isinstance(value, list | tuple):
        shown = [format_value(item) for item in value[:8]]
        more = [f"… ({len(value)} in all)"] if len(value) > 8 else []
        return ", ".join([*shown, *more])
    return str(value)


def flatten(mapping: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Write nested names as one, with dots between.

    Args:
        mapping: Values by name, or further mappings.
        prefix: Before each name.
    """
    flat: dict[str, Any] = {}
    for key, value in mapping.items():
        if isinstance(value, dict) and value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def format_duration(seconds: float) -> str:
    """Write a time [s] in the unit that a reader would use."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def read_bytes(path: Path) -> bytes:
    """Read a file.

    Args:
        path: The file.
    Returns:
        Its bytes.
    Raises:
        MetaRLError: If it cannot be read; the message names it.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise MetaRLError(
            f"cannot read {path}: {error.strerror or error}; expected a readable file"
        ) from error


def _row(tag: str, cells: Sequence[str], kinds: Sequence[str], link: str | None = None) -> str:
    shown = [escape(cell) for cell in cells]
    if link is not None:
        shown[0] = f'<a href="{escape(quote(link))}">{shown[0]}</a>'
    pairs = zip(shown, kinds, strict=True)
    return f"<tr>{''.join(f'<{tag}{kind}>{cell}</{tag}>' for cell, kind in pairs)}</tr>"


def _scrolls(heading: str) -> str:
    """Attributes of what scrolls on a narrow screen; tabindex lets the keyboard scroll it, too."""
    return f'class="wide" tabindex="0" role="region" aria-label="{escape(heading)}"'


def _aside(words: str) -> str:
    return f' <span class="aside">{escape(words)}</span>' if words else ""


def _figure(content: str, caption: str) -> str:
    beneath = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{content}{beneath}</figure>"


def _data_uri(mime: str, content: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"
