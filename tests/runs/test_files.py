"""Where files may be put, and that nothing but a regular file is ever replaced."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from metarl.errors import CheckpointError, OutputError
from metarl.runs.checkpoint import save_checkpoint
from metarl.runs.files import Irregular, Part, check_output, free_name, remove_abandoned, write_whole
from metarl.runs.run import Run


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_link(path: Path) -> None:
    path.symlink_to("/dev/null")


def make_dangling(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def make_folder(path: Path) -> None:
    path.mkdir()


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as it:
        os.chdir(path.parent)  # the whole path is too long for a socket
        it.bind(path.name)


def make_device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")


MAKERS = {
    "a FIFO": make_fifo,
    "a link": make_link,
    "a dangling link": make_dangling,
    "a folder": make_folder,
    "a socket": make_socket,
    "a device": make_device,
}


@pytest.fixture(params=MAKERS)
def irregular(request, tmp_path, monkeypatch) -> tuple[Path, str]:
    """Something that is no regular file, and what it is."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "film.safetensors"
    MAKERS[request.param](path)
    return path, request.param.replace("dangling ", "")


def test_what_is_no_regular_file_is_refused_and_stays(irregular):
    path, what = irregular
    before = path.lstat()
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=f"it is {what}, not a regular file; choose another"):
            check_output(path, overwrite=overwrite)
    with pytest.raises(Irregular):
        write_whole(path, b"content")
    with pytest.raises(CheckpointError, match=f"it is {what}, .*move it away"):
        save_checkpoint(path, {}, {})
    assert (path.lstat().st_ino, path.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_what_came_meanwhile_is_not_replaced(tmp_path):
    part = Part(tmp_path / "film.mp4")
    os.mkfifo(part.path)
    with pytest.raises(Irregular, match="FIFO"):
        part.put()
    part.discard()
    assert [stat.S_ISFIFO(p.lstat().st_mode) for p in tmp_path.iterdir()] == [True]


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl"])
def test_a_run_writes_through_no_fifo(tmp_path, name):
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Config:
        seed: int = 0

    with Run.create(tmp_path / "run", Config(), tensorboard=False):
        pass
    (tmp_path / "run" / name).unlink()
    os.mkfifo(tmp_path / "run" / name)
    with pytest.raises(CheckpointError, match="it is a FIFO"):
        Run.create(tmp_path / "run", Config(), resume=True, tensorboard=False)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "names no file"),
        ("/", "names no file"),
        ("film.txt", r"film\.txt has an unknown ending; valid: \.mp4, \.gif"),
        ("film", "unknown ending"),
        (".mp4", "unknown ending"),
        ("a\udcff.mp4", "is not UTF-8; choose another"),
        ("a\nb.mp4", "control characters"),
        ("a\x1b[31m.mp4", "control characters"),
        ("a" * 300 + ".mp4", "choose a shorter name"),
        ("file/film.mp4", "choose a folder that you may write to"),
        ("/proc/film.mp4", "choose a folder that you may write to"),
    ],
)
def test_names_that_cannot_be_are_refused(tmp_path, monkeypatch, name, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=says) as caught:
        check_output(name, (".mp4", ".gif"))
    assert str(caught.value).isprintable()
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["film.MP4", "a:b.mp4", "http:x.gif", "-y.mp4", "ü 1.mp4", "%d.gif"])
def test_names_that_can_be_are_taken(tmp_path, name):
    path = tmp_path / "new" / name
    assert check_output(path, (".mp4", ".gif")) == path
    assert not path.parent.exists()  # looked at, not made


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied; choose a folder"):
        check_output(tmp_path / "film.mp4")


def test_a_file_is_replaced_only_when_asked(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_text("mine")
    with pytest.raises(OutputError, match="is there already; choose another name, or add --overwrite"):
        check_output(path)
    assert check_output(path, overwrite=True) == path
    assert free_name(path).name == "film-2.mp4"
    (tmp_path / "film-2.mp4").symlink_to("nowhere")
    assert free_name(path).name == "film-3.mp4"


def test_a_file_is_written_whole(tmp_path):
    path = tmp_path / "page.html"
    for content in (b"old and long", b"new"):
        write_whole(path, content)
        assert path.read_bytes() == content
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


KILLED = """
import os, signal, sys
from pathlib import Path
from metarl.runs.files import Part
part = Part(Path(sys.argv[1]))
print("made", flush=True)
sys.stdin.read()
"""


def test_what_a_killed_process_left_is_removed_and_of_a_live_one_not(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "film.mp4")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"made\n"
        (left,) = tmp_path.iterdir()
        remove_abandoned(tmp_path)
        assert left.exists()
        other.kill()
        other.wait()
        mine = Part(tmp_path / "film.mp4")
        remove_abandoned(tmp_path)
        assert list(tmp_path.iterdir()) == [mine.unfinished]
        mine.discard()


def test_two_parts_of_one_file(tmp_path):
    first, second = Part(tmp_path / "film.mp4"), Part(tmp_path / "film.mp4")
    assert first.unfinished != second.unfinished
    first.write(b"1")
    second.write(b"2")
    second.put()
    first.put()
    assert (tmp_path / "film.mp4").read_bytes() == b"1"
    assert len(list(tmp_path.iterdir())) == 1
