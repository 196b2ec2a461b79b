"""`metarl tune` as a user runs it: trials, a table, a page, and on after Ctrl-C."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest
from console import HERE, here, metarl

from metarl import cli
from metarl.commands.arguments import read_command
from metarl.commands.catalogue import COMMANDS
from metarl.learn.train import parse_settings

FAMILY = "trainonly:trainonly/reach"  # whose test tasks cannot be had
TINY = (
    "--set", "num_worlds=2", "minibatch=10", "--iterations", "1", "--num-tasks", "2",
    "--eval-episodes", "1", "--metric", "returns", "--jobs", "1",
)  # fmt: skip
WORDS = (
    "tune", FAMILY, "--method", "ppo", "--search", "learning_rate=1e-4..1e-2:log", "hidden=[4],[8,8]",
    *TINY,
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder that a search of three trials has left, and what it said."""
    place = tmp_path_factory.mktemp("tune")
    done = metarl(*WORDS, "--trials", "3", "--out", place / "out", timeout=600)
    assert done.returncode == 0, done.stderr
    (place / "said.txt").write_text(done.stdout)
    (place / "told.txt").write_text(done.stderr)
    return place


def test_it_says_what_was_found(place):
    said, told = (place / "said.txt").read_text(), (place / "told.txt").read_text()
    tuned = json.loads((place / "out/tuning.json").read_text())
    assert [trial["trial"] for trial in tuned["trials"]] == [0, 1, 2]
    assert tuned["missing"] == 0
    values = [trial["value"] for trial in tuned["trials"]]
    assert tuned["best"] == values.index(max(values))
    for trial in tuned["trials"]:
        assert trial["value"] == pytest.approx(sum(trial["seeds"].values()) / 2)
        assert trial["low"] <= trial["value"] <= trial["high"]
        assert all((place / "out" / run / "config.json").exists() for run in trial["runs"])
    assert "trial 0, own settings (learning_rate=0.001 hidden=[64,64]): return" in told
    assert "The best is optimistic" in said
    assert "2 training tasks drawn apart from those that are trained" in said
    rows = [line.split()[0].rstrip(",") for line in said.splitlines() if line[:2].strip().isdigit()]
    ranked = sorted(tuned["trials"], key=lambda trial: -trial["value"])
    assert rows == [str(trial["trial"]) for trial in ranked]


def test_the_command_of_the_best_can_be_typed(place):
    command = json.loads((place / "out/tuning.json").read_text())["command"]
    assert command in (place / "said.txt").read_text()
    _, name, *words = shlex.split(command)
    read = read_command(COMMANDS[name], "metarl train", words)
    tuned = json.loads((place / "out/tuning.json").read_text())
    best = tuned["trials"][tuned["best"]]
    assert parse_settings(read.set) == {"num_worlds": 2, "minibatch": 10} | best["settings"]
    assert (read.family, read.method, read.iterations) == ((FAMILY,), "ppo", 1)
    assert read.seed == 2  # no trial had it


def test_the_page_stands_alone(place):
    html = (place / "out/report.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:|#)', html)
    assert re.search(
        r'alt="return of 3 trials, [^"]+ against learning_rate, hidden: the best', html
    )
    assert "The best is optimistic" in html
    assert "Adam&#x27;s" in html  # what a field is
    (place / "out/report.html").unlink()
    assert cli.main(["report", str(place / "out")]) == 0
    assert (place / "out/report.html").read_text() == html


def test_it_is_listed_among_runs(place):
    found = json.loads(here("runs", place, "--json").stdout)
    [run] = [row for row in found if row["folder"] == "out"]
    assert (run["method"], run["subject"], run["state"]) == ("tune, ppo", FAMILY, "finished")
    assert run["measure"] == "return"
    assert run["value"] == max(
        trial["value"] for trial in json.loads((place / "out/tuning.json").read_text())["trials"]
    )


def test_the_same_command_runs_nothing_again_and_answers_programs(place):
    before = {path: path.stat().st_mtime_ns for path in (place / "out/cells").iterdir()}
    done = here(*WORDS, "--trials", "3", "--out", place / "out", "--json")
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in (place / "out/cells").iterdir()} == before
    answered = json.loads(done.stdout)
    assert answered["folder"] == str(place / "out")
    assert len(answered["trials"]) == 3


def test_another_search_is_refused_in_a_line(place, capsys):
    words = [*WORDS, "--seeds", "3", "--out", str(place / "out")]
    assert cli.main(list(map(str, words))) == 2
    err = capsys.readouterr().err
    assert "seeds: saved 2, given 3" in err
    assert err.count("\n") == 1


def test_ctrl_c_stops_it_and_the_same_command_goes_on(tmp_path):
    words = [*WORDS, "--seeds", "1", "--trials", "4", "--out", str(tmp_path / "out")]
    command = [sys.executable, "-m", "metarl", *words]
    running = subprocess.Popen(
        command, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    cells, end_s = tmp_path / "out/cells", time.monotonic() + 400
    while not list(cells.glob("*.json")) and time.monotonic() < end_s and running.poll() is None:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=120)
    assert running.returncode == 130, err
    assert "of 4 trainings; the same command goes on" in err
    assert 1 <= len(list(cells.glob("*.json"))) < 4
    done = here(*words)
    assert done.returncode == 0, done.stderr
    assert len(json.loads((tmp_path / "out/tuning.json").read_text())["trials"]) == 4


def test_without_optuna_a_line_says_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["tune", "toy/reach", "--method", "ppo"]) == 2
    assert capsys.readouterr().err == (
        "metarl: Optuna is not installed: pip install 'metarl-sim[tune]'\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_refused(tmp_path, capsys):
    (tmp_path / "config.json").write_text("{}")
    words = ["tune", "toy/reach", "--method", "ppo", *TINY, "--out", str(tmp_path)]
    assert cli.main(words) == 2
    assert "holds a run; give another --out" in capsys.readouterr().err
    (tmp_path / "config.json").rename(tmp_path / "search.json")
    assert cli.main(["report", str(tmp_path)]) == 2
    assert "search.json is damaged" in capsys.readouterr().err


def test_it_starts_from_a_policy(tmp_path, place):
    """Every training begins with it, and the folder has a copy."""
    source = place / "out/trials/0000-s0"
    words = ["tune", FAMILY, "--method", "ppo", "--from", str(source), "--search", "epochs=1..2"]
    words += [*TINY, "--seeds", "1", "--trials", "2", "--out", str(tmp_path / "out")]
    done = here(*words)
    assert done.returncode == 0, done.stderr
    for trial in (0, 1):
        assert (tmp_path / f"out/trials/{trial:04d}-s0/start.json").exists()
    command = shlex.split(json.loads((tmp_path / "out/tuning.json").read_text())["command"])
    start = command[command.index("--from") + 1]
    assert start.startswith(str(tmp_path / "out/sources"))
