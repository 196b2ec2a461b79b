"""Films are what their name says; a broken ffmpeg is told from a full disk."""

from __future__ import annotations

import os
import time
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from metarl.errors import OutputError, RenderError, ShapeError
from metarl.film import encoder
from metarl.film.encoder import HOLD_S, Film, check_film, write_film


def gradient(n: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    return [np.full((height, width, 3), 10 * i, np.uint8) for i in range(n)]


def test_a_gif_is_a_gif(tmp_path):
    path = write_film(tmp_path / "film.GIF", gradient(20), fps=20)
    assert path.read_bytes().startswith(b"GIF89a")
    frames = iio.imread(path)
    assert frames.shape[1:] == (48, 64, 3)
    seconds = iio.immeta(path)["duration"] / 1000 * len(frames)
    assert seconds == pytest.approx(20 / 20 + HOLD_S, abs=0.2)
    assert frames[0].mean() < 10
    assert abs(int(frames[-1].mean()) - 190) < 10
    assert [p.name for p in tmp_path.iterdir()] == ["film.GIF"]


def test_a_gif_is_small_enough_for_a_page(tmp_path):
    rng = np.random.default_rng(0)
    noise = [np.kron(rng.integers(0, 256, (15, 20, 3)), np.ones((32, 32, 1))) for _ in range(4)]
    frames = iio.imread(write_film(tmp_path / "film.gif", [n.astype(np.uint8) for n in noise], 10))
    assert frames.shape[1:3] == (360, 480)


@pytest.mark.parametrize("name", ["a:b.mp4", "http:x.gif", "c:/d:e/f.mp4", "-y.mp4", "%03d.mp4"])
def test_a_name_is_no_protocol(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_film(name, gradient(3), 10)
    assert (tmp_path / name).stat().st_size > 100


def test_a_link_is_not_written_through(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "film.mp4").symlink_to("mine")
    with pytest.raises(OutputError, match="it is a link"):
        write_film(tmp_path / "film.mp4", gradient(3), 10)
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_film_without_frames_is_refused(tmp_path):
    with pytest.raises(ShapeError, match="no frames"):
        write_film(tmp_path / "film.mp4", [], 10)
    assert list(tmp_path.iterdir()) == []


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("exit 3", "it ended with status 3"),
        ("cat > /dev/null", "it ended with status 0"),  # and wrote nothing
        ("echo 'Unknown encoder libx264' >&2; exit 1", "Unknown encoder libx264"),
        ("kill -9 $$", "killed by signal 9"),
    ],
)
def test_a_broken_ffmpeg_is_said_to_be_broken(tmp_path, monkeypatch, text, says):
    broken = script(tmp_path / "ffmpeg", text)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", broken)
    with pytest.raises(RenderError, match="IMAGEIO_FFMPEG_EXE") as caught:
        write_film(tmp_path / "film.mp4", gradient(40, 480, 640), 10)
    assert says in str(caught.value)
    assert "space" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["ffmpeg"]


@pytest.mark.parametrize(
    "text",
    [
        "sleep 600",
        "cat > /dev/null; sleep 600",
        "trap '' TERM INT; head -c 99 > /dev/null; sleep 600",
    ],
)
def test_an_ffmpeg_that_hangs_is_ended(tmp_path, monkeypatch, text):
    monkeypatch.setattr(encoder, "PATIENCE_S", 0.5)
    monkeypatch.setattr(encoder, "_PATIENCE_A_FRAME_S", 0.0)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", script(tmp_path / "ffmpeg", text))
    start_s = time.monotonic()
    with pytest.raises(RenderError, match="took no frame for too long"):
        write_film(tmp_path / "film.mp4", gradient(40, 480, 640), 10)
    assert time.monotonic() - start_s < 20.0
    assert [p.name for p in tmp_path.iterdir()] == ["ffmpeg"]


def test_a_full_disk_is_said_to_be_full(tmp_path, monkeypatch):
    full = script(tmp_path / "ffmpeg", "cat > /dev/null; echo No space left on device >&2; exit 1")
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", full)
    with pytest.raises(OutputError, match="No space left on device; free some space"):
        write_film(tmp_path / "film.mp4", gradient(4), 10)


def test_what_is_left_of_a_killed_film_goes_when_the_next_starts(tmp_path):
    (tmp_path / ".film.mp4.1.partial").write_bytes(b"half a film")
    (tmp_path / ".other").write_text("mine")
    with Film(tmp_path / "film.mp4", 10) as film:
        film.add(gradient(1)[0])
        assert len(list(tmp_path.glob(".*.partial"))) == 1
    assert {p.name for p in tmp_path.iterdir()} == {"film.mp4", ".other"}


def test_what_cannot_be_filmed_is_refused_before_any_work(tmp_path, monkeypatch):
    assert check_film(tmp_path / "new" / "film.gif", overwrite=False)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", lambda: _raise(RuntimeError("none")))
    with pytest.raises(RenderError, match="pip install imageio-ffmpeg"):
        check_film(tmp_path / "film.mp4", overwrite=False)


def _raise(error: Exception) -> str:
    raise error
