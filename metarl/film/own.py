"""Frames of worlds that draw themselves: environments of others."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Protocol

import numpy as np

from metarl.errors import ConfigError

if TYPE_CHECKING:
    from metarl.sim.worlds import Worlds


class Painter(Protocol):
    """What draws worlds for a film; a context manager."""

    def frame_of(self, worlds: Worlds, i: int) -> np.ndarray:
        """Draw one of some worlds: RGB, shape (height, width, 3), uint8."""

    def close(self) -> None:
        """Free what it draws with."""

    def __enter__(self) -> Painter: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class OwnPictures:
    """Fits what environments draw of themselves into a film's frames, whole and in the middle.

    Args:
        width: Width of a frame [pixels].
        height: Height of a frame [pixels].
    Raises:
        ConfigError: If a frame has no pixels.
    """

    def __init__(self, width: int, height: int):
        if width < 1 or height < 1:
            raise ConfigError(f"a frame is {width} x {height} pixels; expected at least 1 x 1")
        self.width, self.height = width, height

    def frame_of(self, worlds: Worlds, i: int) -> np.ndarray:
        """Draw one of some worlds: RGB, shape (height, width, 3), uint8."""
        from PIL import Image

        picture = Image.fromarray(worlds.picture(i))
        scale = min(self.width / picture.width, self.height / picture.height)
        size = max(1, round(scale * picture.width)), max(1, round(scale * picture.height))
        frame = np.zeros((self.height, self.width, 3), np.uint8)
        left, top = (self.width - size[0]) // 2, (self.height - size[1]) // 2
        fitted = np.asarray(picture.resize(size, Image.Resampling.BILINEAR))
        frame[top : top + size[1], left : left + size[0]] = fitted
        return frame

    def close(self) -> None:
        """Nothing: it draws with nothing of its own."""

    def __enter__(self) -> OwnPictures:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
