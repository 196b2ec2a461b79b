"""MP4 films, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import numpy as np

from metarl.errors import RenderError, ShapeError

HOLD_S = 0.8  # how long the last frame stays


class Film:
    """An MP4 file (H.264, yuv420p, plays everywhere); a context manager.

    The file appears when the film is closed without an error, never half written.

    Args:
        path: The file; missing folders are made.
        fps: Frames per second [1/s].
    Raises:
        RenderError: If the folder cannot be written to, or there is no ffmpeg.
    """

    def __init__(self, path: Path | str, fps: float):
        self.path = Path(path)
        self.fps = fps
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part.mp4")
        self._ffmpeg: subprocess.Popen[bytes] | None = None
        self._shape: tuple[int, ...] = ()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._executable = _ffmpeg_executable()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._part.touch()
        except OSError as error:
            raise self._failed(error.strerror or str(error)) from error

    def add(self, frame: np.ndarray) -> None:
        """Append a frame.

        Args:
            frame: RGB, shape (H, W, 3), uint8; all frames of a film have one shape. An odd
                last row or column is cut off.
        Raises:
            RenderError: If it cannot be written.
        """
        frame = np.asarray(frame)
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise ShapeError(
                f"a frame has shape (H, W, 3) and dtype uint8, got {frame.shape} {frame.dtype}"
            )
        if self._ffmpeg is None:
            self._shape = frame.shape
            self._ffmpeg = self._start(width=frame.shape[1], height=frame.shape[0])
        elif frame.shape != self._shape:
            raise ShapeError(f"the film's frames are {self._shape}, got {frame.shape}")
        even = frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2]
        try:
            self._ffmpeg.stdin.write(np.ascontiguousarray(even).data)  # type: ignore[union-attr]
        except OSError as error:
            raise self._failed(self._reason() or str(error)) from error

    def close(self) -> None:
        """Finish the file.

        Raises:
            RenderError: If it cannot be written.
        """
        if self._ffmpeg is None:
            self._discard()
            return
        try:
            self._ffmpeg.communicate()
            if self._ffmpeg.returncode:
                raise self._failed(self._reason())
            os.replace(self._part, self.path)
        except OSError as error:
            raise self._failed(self._reason() or str(error)) from error
        finally:
            self._discard()

    def __enter__(self) -> Film:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._discard()

    def _start(self, width: int, height: int) -> subprocess.Popen[bytes]:
        size = f"{width // 2 * 2}x{height // 2 * 2}"
        command = [self._executable, "-y", "-loglevel", "error", "-f", "rawvideo"]
        command += ["-pix_fmt", "rgb24", "-s", size, "-r", f"{self.fps:g}", "-i", "-"]
        # faststart: the index first, so that a browser plays before it has read everything
        command += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "21"]
        command += ["-pix_fmt", "yuv420p", "-movflags", "+faststart", str(self._part)]
        try:
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._errors
            )
        except OSError as error:
            raise self._failed(f"{self._executable}: {error.strerror}") from error

    def _reason(self) -> str:
        if self._errors.closed:
            return ""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def _failed(self, why: str) -> RenderError:
        self._discard()
        return RenderError(
            f"cannot write the film {self.path}: {why or 'ffmpeg failed'}; free some space, or"
            " choose a folder that you may write to"
        )

    def _discard(self) -> None:
        if self._ffmpeg is not None:
            if self._ffmpeg.poll() is None:
                self._ffmpeg.kill()
                self._ffmpeg.wait()
            with contextlib.suppress(OSError):  # its last frames go nowhere, as intended
                self._ffmpeg.stdin.close()  # type: ignore[union-attr]
        self._errors.close()
        with contextlib.suppress(OSError):
            self._part.unlink(missing_ok=True)


def write_film(path: Path | str, frames: Iterable[np.ndarray], fps: float) -> Path:
    """Write frames as a film whose last frame stays for a moment.

    Args:
        path: The MP4 file.
        frames: RGB, each (H, W, 3), uint8.
        fps: Frames per second [1/s].
    Returns:
        The path.
    Raises:
        RenderError: If it cannot be written.
    """
    with Film(path, fps) as film:
        last: np.ndarray | None = None
        for last in frames:
            film.add(last)
        if last is not None:
            for _ in range(round(HOLD_S * fps)):
                film.add(last)
    return Path(path)


def _ffmpeg_executable() -> str:
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise RenderError(
            f"no film can be written: {' '.join(str(error).split())[:120]};"
            " pip install imageio-ffmpeg brings ffmpeg along"
        ) from error
