"""Captions burnt into frames, and several frames at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from metarl.errors import ShapeError

GAP = 4  # pixels between frames


def tiled_frames(streams: Sequence[Iterable[np.ndarray]], columns: int) -> Iterator[np.ndarray]:
    """Show several sequences of frames at once; one that ends waits on its last frame.

    Args:
        streams: Of frames, each (H, W, 3), uint8, all of one shape.
        columns: How many stand side by side.
    Yields:
        Frames of all, as `tile` lays them.
    Raises:
        ShapeError: If one has no frame, or shapes differ.
    """
    running = [iter(stream) for stream in streams]
    last: list[np.ndarray | None] = [None] * len(running)
    while True:
        new = [next(stream, None) for stream in running]
        if all(frame is None for frame in new):
            return
        last = [old if frame is None else frame for frame, old in zip(new, last)]
        shown = [frame for frame in last if frame is not None]
        if len(shown) < len(last):
            raise ShapeError("every part of a film needs at least one frame")
        yield tile(shown, columns)


def tile(frames: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Lay frames out in rows, white lines between them.

    Args:
        frames: Each (H, W, 3), uint8, all of one shape.
        columns: How many stand side by side; a last row that is not full ends in white.
    Returns:
        Shape (rows * (H + 4) - 4, columns * (W + 4) - 4, 3), uint8.
    Raises:
        ShapeError: If shapes differ, or there is no frame.
    """
    shapes = {frame.shape for frame in frames}
    if len(shapes) != 1:
        raise ShapeError(f"frames at once need one shape; got {sorted(shapes) or 'none'}")
    height, width, _ = frames[0].shape
    columns = max(1, min(columns, len(frames)))
    rows = -(-len(frames) // columns)
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for i, frame in enumerate(frames):
        top, left = i // columns * (height + GAP), i % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = frame
    return sheet


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
