"""Captions burnt into frames, and frames side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from metarl.errors import ShapeError


def side_by_side_frames(
    left: Iterable[np.ndarray], right: Iterable[np.ndarray], labels: tuple[str, str]
) -> Iterator[np.ndarray]:
    """Pair two sequences of frames; the one that ends first waits on its last frame.

    Args:
        left: Frames, each (H, W, 3), uint8.
        right: Likewise, of the same height.
        labels: Burnt in above each.
    Yields:
        Frames of both.
    """
    streams = (iter(left), iter(right))
    last: list[np.ndarray | None] = [None, None]
    while True:
        new = [next(stream, None) for stream in streams]
        if all(frame is None for frame in new):
            return
        last = [old if frame is None else frame for frame, old in zip(new, last)]
        if last[0] is None or last[1] is None:
            raise ShapeError("both sides of a film need at least one frame")
        yield side_by_side(last[0], last[1], labels)


def side_by_side(left: np.ndarray, right: np.ndarray, labels: tuple[str, str]) -> np.ndarray:
    """Join two frames under captions.

    Args:
        left: Shape (H, W, 3), uint8.
        right: Shape (H, W', 3), uint8.
        labels: Burnt in above each; "" for none.
    Returns:
        Shape (H, W + 4 + W', 3), uint8.
    Raises:
        ShapeError: If the heights differ.
    """
    if left.shape[0] != right.shape[0]:
        raise ShapeError(f"frames side by side need one height: {left.shape}, {right.shape}")
    gap = np.full((left.shape[0], 4, 3), 255, np.uint8)
    sides = [burn(f, text) if text else f for f, text in zip((left, right), labels)]
    return np.concatenate([sides[0], gap, sides[1]], axis=1)


def burn(frame: np.ndarray, text: str, at: str = "top") -> np.ndarray:
    """Write a caption into a frame, white on a dark band.

    Args:
        frame: RGB, shape (H, W, 3), uint8; it is not changed.
        text: One line; it shrinks to fit.
        at: ``"top"`` or ``"bottom"``.
    Returns:
        A new frame.
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width = frame.shape[:2]
    size = max(10, height // 20)
    font = ImageFont.load_default(size=size)
    while size > 8 and font.getlength(text) > 0.94 * width:
        size -= 1
        font = ImageFont.load_default(size=size)
    band = min(height, round(1.7 * size))
    out = frame.copy()
    rows = slice(0, band) if at == "top" else slice(height - band, height)
    strip = Image.fromarray((out[rows] * 0.35).astype(np.uint8))
    ImageDraw.Draw(strip).text((width / 2, band / 2), text, (255, 255, 255), font, anchor="mm")
    out[rows] = np.asarray(strip)
    return out
