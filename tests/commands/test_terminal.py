"""Commands print to what is closed, full, narrow or knows no box: none of it undoes their work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from console import TOY, metarl

from metarl.commands.terminal import NARROWEST, WIDEST

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="a device of Linux")
TINY = ("--iterations", "1", "--set", "num_tasks=2", "episodes=2", "inner_updates=1", "hidden=[8]")

ENCODINGS = [
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "C"},
    {"PYTHONWARNINGS": "error"},
    {"TERM": "dumb", "NO_COLOR": "1"},
]


@pytest.mark.parametrize(
    ("words", "more"),
    [
        *((words, more) for words in ("train --help", "families") for more in ENCODINGS),
        *((words, more) for words in ("--help", "check kitchn/heat") for more in ENCODINGS[::2]),
    ],
    ids=str,
)
def test_any_terminal_will_do(words, more):
    done = metarl(*words.split(), more=more)
    assert done.returncode == (2 if "kitchn" in words else 0)
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == (1 if "kitchn" in words else 0)
    assert "\x1b" not in done.stdout + done.stderr


def test_what_the_letters_lack_is_written_plainly():
    done = metarl("families", more={"PYTHONIOENCODING": "ascii"})
    assert "\\u" not in done.stdout
    assert "---" in done.stdout
    assert "* version" in metarl("--help", more={"PYTHONIOENCODING": "ascii"}).stdout


@pytest.mark.parametrize(("columns", "width"), [(1, NARROWEST), (0, 80), (10**6, WIDEST)])
def test_any_width_will_do(columns, width):
    done = metarl("train", "--help", more={"COLUMNS": str(columns)}, timeout=20)
    assert done.returncode == 0
    boxes = [line for line in done.stdout.splitlines() if line.startswith("│")]
    assert 0 < max(map(len, boxes)) <= width


@pytest.mark.parametrize("words", ["version", "families", "--help"])
def test_a_reader_that_left_ends_what_only_prints(words):
    reading, writing = os.pipe()
    os.close(reading)
    done = metarl(*words.split(), stdout=writing)
    os.close(writing)
    assert done.returncode == 141
    assert done.stderr == ""


@needs_full
@pytest.mark.parametrize("words", ["version", "families", "--help"])
def test_a_full_disk_is_told(words):
    with FULL.open("w") as full:
        done = metarl(*words.split(), stdout=full)
    assert done.returncode == 2
    assert done.stderr == "metarl: cannot print: No space left on device\n"


def shell(line, *words):
    """Run metarl with the streams that a shell gives it."""
    command = ["sh", "-c", f'"$@" {line}', "sh", sys.executable, "-m", "metarl", *map(str, words)]
    here = Path(__file__).parents[1]
    return subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("line", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_closed_streams_are_no_mistake(line):
    done = shell(line, "version")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


@needs_full
def test_what_nobody_takes_goes_into_no_file_and_stops_nothing(tmp_path):
    """The first file that is opened would be descriptor 1, and hold what libraries print."""
    done = shell(">&- 2>/dev/full", "train", TOY, "--out", tmp_path / "run", *TINY)
    assert done.returncode == 0
    assert (tmp_path / "run" / "config.json").read_text().startswith("{")
    assert list((tmp_path / "run" / "checkpoints").iterdir())


@needs_full
def test_a_full_disk_does_not_undo_what_was_saved(tmp_path):
    done = shell(">/dev/full", "train", TOY, "--out", tmp_path / "run", *TINY)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("metarl: cannot print: No space left on device\n")
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "run" / "checkpoints").iterdir())


def test_a_check_whose_reader_left_ends(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    done = metarl("check", TOY, stdout=writing)
    os.close(writing)
    assert done.returncode == 141
    assert done.stderr == ""
