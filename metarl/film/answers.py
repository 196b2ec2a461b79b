"""What a picture network sees and answers, as a picture: how sure it is, and how it really is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metarl.film.captions import burn

_RANGE = 2.5  # spreads to both sides of the middle
_PAPER, _LINE, _INK, _TRUTH = (250, 250, 248), (214, 214, 210), (40, 40, 44), (200, 60, 40)
_ANSWER, _DOUBT = (40, 96, 170), (168, 198, 232)
_LEAST_ROW = 9  # pixels
_MOST_ROW = 22


def answer_panel(
    picture: np.ndarray,
    names: Sequence[str],
    mean: np.ndarray,
    sd: np.ndarray,
    truth: np.ndarray | None,
    *,
    height: int,
) -> np.ndarray:
    """Draw a picture, pixel by pixel, and below it a row for each number that is answered.

    A row is a blue mark, around it what is one standard deviation off, and in red how it really is.

    Args:
        picture: RGB, shape (S, S, 3), uint8.
        names: Of the numbers.
        mean: The answers, in spreads of each around its mean, shape (O,).
        sd: How far off they may be, likewise.
        truth: How it really is, likewise; None: nobody knows.
        height: Of the panel [pixels]; rows that do not fit are left out, and that is said.
    Returns:
        RGB, shape (height, height // 2, 3), uint8.
    """
    from PIL import Image, ImageDraw, ImageFont

    width = height // 2
    seen = Image.fromarray(picture).resize((width, width), Image.Resampling.NEAREST)
    told = burn(np.asarray(seen), f"what the camera sees, {len(picture)} x {len(picture)}")
    sheet = Image.new("RGB", (width, height), _PAPER)
    sheet.paste(Image.fromarray(told), (0, 0))
    legend, room = 16, height - width - 16
    each = min(_MOST_ROW, max(_LEAST_ROW, room // max(1, len(names))))
    shown = min(len(names), room // each)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=min(11, each))
    more = f"  ({len(names) - shown} more)" if shown < len(names) else ""
    draw.text((4, width + 2), "blue: answered   red: true" + more, _INK, font=font)
    left, right = round(0.42 * width), width - 6

    def place(value: float) -> int:
        share = (np.clip(value, -_RANGE, _RANGE) + _RANGE) / (2.0 * _RANGE)
        return round(left + share * (right - left))

    for row in range(shown):
        top = width + legend + row * each
        middle, bottom = top + each // 2, top + each - 2
        draw.text((4, top - 2), names[row], _INK, font=font)
        draw.line((left, middle, right, middle), _LINE)
        low, high = place(mean[row] - sd[row]), place(mean[row] + sd[row])
        draw.rectangle((low, top + 1, high, bottom), _DOUBT)
        at = place(mean[row])
        draw.rectangle((at - 1, top + 1, at + 1, bottom), _ANSWER)
        if truth is not None:
            at = place(truth[row])
            draw.line((at, top, at, bottom + 1), _TRUTH, width=2)
    return np.asarray(sheet)
