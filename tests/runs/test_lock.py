"""One writer a run folder: a second one is told who the first is."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest

from metarl.errors import CheckpointError, ConfigError
from metarl.runs import lock
from metarl.runs.lock import LOCK_FILE, FolderLock
from metarl.runs.metrics import read_metrics
from metarl.runs.run import Run

WRITE = """
import sys, time
from dataclasses import dataclass
from metarl.runs.run import Run

@dataclass(frozen=True)
class Config:
    seed: int = 0

run = Run.create(sys.argv[1], Config(), tensorboard=False)
run.log(1, loss=1.0)
run.save(1, {}, {})
if "fork" in sys.argv:
    import os
    if os.fork() == 0:
        time.sleep(60)
print("ready", flush=True)
time.sleep(60)
"""


@dataclass(frozen=True)
class Config:
    seed: int = 0


def resume(folder):
    return Run.create(folder, Config(), resume=True, tensorboard=False)


@pytest.fixture
def writer(tmp_path, request):
    how = getattr(request, "param", "alone")
    words = [sys.executable, "-c", WRITE, str(tmp_path), how]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        assert child.stdout.readline() == "ready\n"
        yield child
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


@pytest.mark.parametrize("again", [True, False])
def test_a_second_writer_is_refused_and_told_who_the_first_is(tmp_path, writer, again):
    with pytest.raises(ConfigError) as caught:
        Run.create(tmp_path, Config(), resume=again, tensorboard=False)
    assert f"process {writer.pid} on {socket.gethostname()}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [row["step"] for row in read_metrics(tmp_path)] == [1]


@pytest.mark.parametrize("writer", ["alone", "fork"], indirect=True)
def test_a_killed_writer_leaves_no_lock(tmp_path, writer):
    writer.kill()
    writer.wait()
    assert (tmp_path / LOCK_FILE).exists()
    with resume(tmp_path) as run:
        assert run.latest()[0] == 1
    assert not (tmp_path / LOCK_FILE).exists()


def test_the_same_process_twice(tmp_path):
    with Run.create(tmp_path, Config(), tensorboard=False) as run:
        with pytest.raises(ConfigError, match=f"process {os.getpid()} "):
            resume(tmp_path)
        run.close()
        resume(tmp_path).close()


def test_who_is_refused_leaves_no_lock_of_its_own(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ConfigError, match=r"thesis\.tex"):
        resume(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_lock_file_that_is_no_file(tmp_path):
    (tmp_path / LOCK_FILE).symlink_to("/dev/null")
    with pytest.raises(CheckpointError, match="cannot write"):
        resume(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\xff{", b"[" * 4000, b'{"pid": "x"}', b"{}"])
def test_a_lock_file_that_says_nothing(tmp_path, content):
    (tmp_path / LOCK_FILE).write_bytes(content)
    resume(tmp_path).close()


def leave(folder, **said):
    """What a writer leaves that was killed where the kernel has no locks."""
    there = {"pid": os.getpid(), "host": socket.gethostname(), "started": ""} | said
    (folder / LOCK_FILE).write_text(json.dumps(there))


@pytest.fixture
def no_kernel_locks(monkeypatch):
    """As on Windows, and on network file systems without locks."""
    monkeypatch.setattr(lock, "fcntl", None)


@pytest.mark.usefixtures("no_kernel_locks")
class TestWithoutKernelLocks:
    def test_a_living_process_holds_it(self, tmp_path):
        held = FolderLock(tmp_path)
        with pytest.raises(ConfigError, match=f"process {os.getpid()} "):
            FolderLock(tmp_path)
        held.release()
        FolderLock(tmp_path).release()

    def test_a_dead_process_does_not(self, tmp_path):
        child = subprocess.Popen([sys.executable, "-c", ""])
        child.wait()
        leave(tmp_path, pid=child.pid)
        FolderLock(tmp_path).release()

    def test_a_later_process_of_the_same_number_does_not(self, tmp_path):
        leave(tmp_path, started="1")
        FolderLock(tmp_path).release()

    def test_another_machine_holds_it_as_long_as_it_gives_signs_of_life(self, tmp_path):
        leave(tmp_path, pid=7, host="elsewhere")
        with pytest.raises(ConfigError, match="process 7 on elsewhere"):
            FolderLock(tmp_path)
        before_s = time.time() - lock.SILENT_S - 1
        os.utime(tmp_path / LOCK_FILE, (before_s, before_s))
        FolderLock(tmp_path).release()

    def test_a_run_gives_signs_of_life(self, tmp_path):
        with Run.create(tmp_path, Config(), tensorboard=False) as run:
            os.utime(tmp_path / LOCK_FILE, (0, 0))
            run.log(1, loss=1.0)
            assert (tmp_path / LOCK_FILE).stat().st_mtime > time.time() - 60
