"""Where `watch` and `report` write: asked before work, replaced only when told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import toy  # noqa: F401
from console import HERE

from metarl import cli
from metarl.commands.policies import find_policy, learns_to_adapt
from metarl.runs.policies import read_checkpoint

ROOT = Path(__file__).parents[2]
FAR = ("watch", "kitchen/season", "--episodes", "1", "--no-live", "--policy", "still")
SHORT = ("watch", "toy/short", *FAR[2:])


def run(*words: object, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "metarl", *map(str, words)],
        cwd=HERE, env={**os.environ, **env}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """What a command says that must fail before it has done anything."""
    assert cli.main([str(word) for word in words]) == 2
    told = capsys.readouterr()
    assert told.err.count("\n") == 1
    return told.err


def test_watch_takes_a_free_name_and_replaces_nothing_unasked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "film.mp4").write_text("mine")
    assert cli.main(list(SHORT)) == 0
    assert "wrote film-2.mp4" in capsys.readouterr().out
    assert "--overwrite" in refused(capsys, *SHORT, "--out", "film.mp4")
    assert (tmp_path / "film.mp4").read_text() == "mine"
    assert cli.main([*SHORT, "--out", "film.mp4", "--overwrite"]) == 0
    assert (tmp_path / "film.mp4").read_bytes()[4:8] == b"ftyp"


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink(os.devnull, path), os.mkdir])
def test_watch_destroys_nothing(tmp_path, capsys, make):
    make(tmp_path / "film.mp4")
    before = (tmp_path / "film.mp4").lstat()
    told = refused(capsys, *FAR, "--overwrite", "--out", tmp_path / "film.mp4")
    assert "not a regular file" in told
    assert (tmp_path / "film.mp4").lstat().st_mode == before.st_mode
    assert refused(capsys, *FAR, "--overwrite", "--out", os.devnull)
    assert os.stat(os.devnull).st_rdev == os.makedev(1, 3)


@pytest.mark.parametrize(("name", "start"), [("film.gif", b"GIF89a"), ("a:b.mp4", b"")])
def test_watch_writes_what_the_name_says(tmp_path, name, start):
    out = tmp_path / name
    assert cli.main([*SHORT, "--out", str(out)]) == 0
    assert out.read_bytes().startswith(start)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_policy_that_learned_to_adapt_is_said_not_to_have(tmp_path, capsys):
    out = str(tmp_path / "film.mp4")
    words = ["watch", "kitchen/season", "--episodes", "1", "--no-live", "--out", out, "--policy"]
    assert cli.main([*words, "season-pearl"]) == 0
    told = capsys.readouterr().out
    assert "was trained to adapt and has not adapted yet" in told
    assert "not adapted yet, split train" in told  # so does the caption, which is the same title
    reference = read_checkpoint(Path(find_policy("reference", "kitchen/season")))
    assert not learns_to_adapt(reference)


def test_a_report_replaces_no_page_unasked_but_its_own(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text('{"family": "toy/reach"}')
    page = tmp_path / "page.html"
    page.write_text("mine")
    for _ in range(2):
        assert cli.main(["report", str(tmp_path / "run")]) == 0
    assert "--overwrite" in refused(capsys, "report", tmp_path / "run", "--out", page)
    assert page.read_text() == "mine"
    assert cli.main(["report", str(tmp_path / "run"), "--out", str(page), "--overwrite"]) == 0
    assert "toy/reach" in page.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="X11")
def test_a_dead_display_is_no_obstacle(tmp_path):
    env = {k: "" for k in ("WAYLAND_DISPLAY", "MUJOCO_GL")}
    out = tmp_path / "film.mp4"
    words = ("watch", "toy:toy/short", "--episodes", "1", "--policy", "still", "--out", out)
    done = run(*words, DISPLAY=":99", **env)
    assert done.returncode == 0, done.stderr
    assert "the display does not answer, so no live window" in done.stdout
    assert "GLFW" not in done.stderr
    assert out.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_film_that_is_stopped_leaves_nothing(tmp_path, number):
    words = ["watch", "kitchen/season", "--episodes", "500", "--no-live"]
    command = [sys.executable, "-m", "metarl", *words, "--out", str(tmp_path / "film.mp4")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as film:
        assert film.stderr.readline().startswith(b"filming")
        assert len(list(tmp_path.iterdir())) == 1
        film.send_signal(number)
        said = film.communicate(timeout=60)[1].decode()
    assert film.returncode == 128 + number, said
    assert list(tmp_path.iterdir()) == []
