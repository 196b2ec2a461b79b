"""Films, MP4 or GIF as their name says, written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from metarl.errors import OutputError, RenderError, ShapeError
from metarl.film.gl import prepare_gl
from metarl.runs.files import Part, check_output, output_error, remove_abandoned

HOLD_S = 0.8  # how long the last frame stays

# faststart: the index first, so that a browser plays before it has read everything
_MP4 = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
_QUALITY = {".mp4": "21", ".gif": "12"}  # of H.264; a GIF is made from a film that shows no loss
# Ten small frames a second make a file that a page can carry. The film is read twice, once for its
# 256 colours, so that it never stands in memory.
_SMALL = "fps=10,scale='min(480,iw)':-1:flags=lanczos"
_GIF = f"[0]{_SMALL},palettegen[p];[1]{_SMALL}[b];[b][p]paletteuse=dither=bayer:bayer_scale=5:diff_mode=rectangle"
FILMS = tuple(_QUALITY)  # the valid endings
PATIENCE_S = 60.0  # with an ffmpeg that takes no frame, or does not finish
_PATIENCE_A_FRAME_S = 0.1  # more to finish, for each frame of the film
_FULL = ("No space left", "File too large", "Disk quota")
_WHOLE = (
    "pip install imageio-ffmpeg brings a whole one, which is taken unless IMAGEIO_FFMPEG_EXE is set"
)


class Film:
    """A film: MP4 (H.264, yuv420p, plays everywhere) or GIF; a context manager.

    The file appears when the film is closed without an error, never half written.

    Args:
        path: The file, .mp4 or .gif; missing folders are made. A film that is there is replaced.
        fps: Frames per second [1/s]; a GIF has at most ten.
    Raises:
        OutputError: If the file cannot be written there.
        RenderError: If there is no ffmpeg.
    """

    def __init__(self, path: Path | str, fps: float):
        self.path = check_output(path, FILMS, overwrite=True)
        self.fps = fps
        self._executable = _ffmpeg_executable()
        self._ffmpeg: subprocess.Popen[bytes] | None = None
        self._shape: tuple[int, ...] = ()
        self._num_frames, self._late = 0, False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            remove_abandoned(self.path.parent)
            self._part = Part(self.path)
        except OSError as error:
            raise output_error(self.path, error) from error
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115

    def add(self, frame: np.ndarray) -> None:
        """Append a frame.

        Args:
            frame: RGB, shape (H, W, 3), uint8; all frames of a film have one shape. An odd
                last row or column is cut off.
        Raises:
            OutputError: If there is no space for it.
            RenderError: If ffmpeg fails.
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
        self._num_frames += 1
        try:
            with self._patience(PATIENCE_S):
                self._ffmpeg.stdin.write(np.ascontiguousarray(even).data)  # type: ignore[union-attr]
        except OSError as error:  # it has ended
            raise self._failed() from error

    def close(self) -> None:
        """Finish the file.

        Raises:
            OutputError: If there is no space for it, or something else than a file took its place.
            RenderError: If ffmpeg fails.
            ShapeError: If the film has no frames.
        """
        try:
            if self._ffmpeg is None:
                raise ShapeError(f"the film {self.path} has no frames")
            self._finish()
            if self.path.suffix.lower() == ".gif":
                self._make_gif()
            self._part.put()
        except OSError as error:
            raise output_error(self.path, error) from error
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
        raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", f"{self.fps:g}", "-i", "-"]
        quality = ["-crf", _QUALITY[self.path.suffix.lower()]]
        return self._run([*raw, *_MP4, *quality, "-f", "mp4"], self._part)

    def _make_gif(self) -> None:
        film, self._part = self._part, Part(self.path)
        try:
            twice = 2 * ["-f", "mp4", "-i", _url(film)]
            self._ffmpeg = self._run([*twice, "-filter_complex", _GIF, "-f", "gif"], self._part)
            self._finish()
        finally:
            film.discard()

    def _run(self, arguments: list[str], to: Part) -> subprocess.Popen[bytes]:
        command = [self._executable, "-y", "-loglevel", "error", *arguments, _url(to)]
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                start_new_session=True,  # so that `_kill` ends what it has started, too
            )
        except OSError as error:
            self._discard()
            raise _broken(self._executable, error.strerror or str(error)) from error

    def _finish(self) -> None:
        assert self._ffmpeg is not None
        patience_s = PATIENCE_S + _PATIENCE_A_FRAME_S * self._num_frames
        # Where the pipe is broken, its status says more.
        with contextlib.suppress(BrokenPipeError), self._patience(patience_s):
            self._ffmpeg.communicate()
        if self._ffmpeg.returncode or not self._part.unfinished.stat().st_size:
            raise self._failed()

    @contextlib.contextmanager
    def _patience(self, seconds: float) -> Iterator[None]:
        """End an ffmpeg that keeps us waiting for longer."""

        def end() -> None:
            self._late = True
            self._kill()

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _kill(self) -> None:
        assert self._ffmpeg is not None
        with contextlib.suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(self._ffmpeg.pid, signal.SIGKILL)
            else:
                self._ffmpeg.kill()

    def _failed(self) -> RenderError | OutputError:
        """Say what ffmpeg, which ended, died of."""
        assert self._ffmpeg is not None
        status = self._ffmpeg.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        self._discard()
        if any(text in line for text in _FULL for line in lines):
            return output_error(self.path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        ended = f"killed by signal {-status}" if status < 0 else f"it ended with status {status}"
        if self._late:
            return _broken(self._executable, "it took no frame for too long, and was ended")
        return _broken(self._executable, lines[-1] if lines else ended)

    def _discard(self) -> None:
        if self._ffmpeg is not None:
            if self._ffmpeg.poll() is None:
                self._kill()
                self._ffmpeg.wait()
            with contextlib.suppress(OSError):  # its last frames go nowhere, as intended
                self._ffmpeg.stdin.close()  # type: ignore[union-attr]
        self._errors.close()
        self._part.discard()


def write_film(path: Path | str, frames: Iterable[np.ndarray], fps: float) -> Path:
    """Write frames as a film whose last frame stays for a moment.

    Args:
        path: The file, .mp4 or .gif; a film that is there is replaced.
        frames: RGB, each (H, W, 3), uint8.
        fps: Frames per second [1/s].
    Returns:
        The path.
    Raises:
        OutputError: If it cannot be written there.
        RenderError: If there is no working ffmpeg.
    """
    with Film(path, fps) as film:
        last: np.ndarray | None = None
        for last in frames:
            film.add(last)
        if last is not None:
            for _ in range(round(HOLD_S * fps)):
                film.add(last)
    return Path(path)


def check_film(path: Path | str, *, overwrite: bool) -> Path:
    """Refuse, before any work, a film that could not be drawn or written.

    Args:
        path: The file.
        overwrite: Whether a film that is there may be replaced.
    Returns:
        The path.
    Raises:
        OutputError: If the file cannot be written there.
        RenderError: If it is known that nothing can be drawn, or there is no ffmpeg.
    """
    prepare_gl()
    _ffmpeg_executable()
    return check_output(path, FILMS, overwrite=overwrite)


def _url(part: Part) -> str:
    """A file as ffmpeg takes it: whatever its folder is called, it is no protocol."""
    return f"file:{part.unfinished.absolute()}"


def _broken(executable: str, why: str) -> RenderError:
    return RenderError(f"no film can be written: ffmpeg ({executable}) fails: {why}; {_WHOLE}")


def _ffmpeg_executable() -> str:
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise RenderError(
            f"no film can be written: {' '.join(str(error).split())[:120]};"
            " pip install imageio-ffmpeg brings ffmpeg along"
        ) from error
