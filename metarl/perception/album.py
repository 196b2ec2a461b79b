"""A contact sheet: pictures in rows, with words beneath each."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np

_LINE, _MARGIN, _FONT = 15, 8, 12  # pixels
_LEAST = 132  # width of a picture, so that words fit


def album_png(pixels: np.ndarray, words: Sequence[Sequence[str]], *, columns: int = 6) -> bytes:
    """Draw pictures with what was answered beneath them.

    Args:
        pixels: Shape (n, H, W, 3), uint8; small ones are enlarged.
        words: Lines beneath each picture, n times; what is too long is cut.
        columns: Pictures a row, at most.
    Returns:
        PNG bytes.
    """
    from PIL import Image, ImageDraw, ImageFont

    columns = max(1, min(columns, len(pixels)))
    side = max(_LEAST, pixels.shape[1])
    lines = max((len(each) for each in words), default=0)
    width, height = side + _MARGIN, side + lines * _LINE + 2 * _MARGIN
    rows = math.ceil(len(pixels) / columns)
    sheet = Image.new("RGB", (columns * width + _MARGIN, rows * height + _MARGIN), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT)
    for i, (picture, said) in enumerate(zip(pixels, words)):
        left, top = _MARGIN + i % columns * width, _MARGIN + i // columns * height
        sheet.paste(Image.fromarray(picture).resize((side, side)), (left, top))
        for j, line in enumerate(said):
            text = _cut(line, draw, font, side)
            draw.text((left, top + side + 2 + j * _LINE), text, fill="#1F2328", font=font)
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


def _cut(line: str, draw: object, font: object, width: int) -> str:
    """Cut a line from its start to a width: the end of a file's name tells more."""
    measure = draw.textlength  # type: ignore[attr-defined]
    if measure(line, font=font) <= width:
        return line
    while line and measure(f"…{line}", font=font) > width:
        line = line[1:]
    return f"…{line}"
