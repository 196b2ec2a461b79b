"""`metarl runs`: runs, adaptations and matrices in one table, as JSON, and on a page with links."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from console import TOY, here, metarl

from metarl.adapt.results import AdaptationResult
from metarl.runs.command import method_of, subject_of
from metarl.runs.listing import list_runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that ended, with its report, and one that was stopped."""
    folder = tmp_path_factory.mktemp("all") / "runs"
    words = ("train", TOY, "--method", "dagger", "--set", "num_worlds=8", "minibatch=64")
    for name, seed in (("deep/a & b", 0), ("stopped", 1)):
        made = here(*words, "--seed", seed, "--iterations", 2, "--out", folder / name)
        assert made.returncode == 0, made.stderr
    (folder / "stopped/result.json").unlink()
    assert here("report", folder / "deep/a & b", "--no-film").returncode == 0
    (folder / "adapted").mkdir()
    rates = np.array([[0.0, 0.0], [1.0, 0.5]])  # after no update and after one, of two tasks
    result = AdaptationResult("fine-tune", "toy/reach", rates, rates, rates, 400, 7.0)
    (folder / "adapted/adaptation.json").write_text(json.dumps({"result": result.to_json()}))
    for name, missing in (("matrix", 0), ("comparison", 3)):
        (folder / name).mkdir()
        group = {"name": name, "pairs": [["a/x", "a/z"], ["a/y", "a/z"]]}
        (folder / name / "benchmark.json").write_text(json.dumps({"groups": [group]}))
        (folder / name / "matrix.json").write_text(json.dumps({"missing": missing}))
    (folder / "broken").mkdir()
    (folder / "broken/config.json").write_text("{")
    (folder / "no run").mkdir()
    (folder / "no run/notes.txt").write_text("config.json")
    (folder / "link").symlink_to(folder / "deep")
    return folder


def test_every_kind_is_listed(folder: Path):
    found = {run.folder.as_posix(): run for run in list_runs(folder)}
    assert sorted(found) == [
        "adapted", "broken", "comparison", "deep/a & b", "matrix", "stopped",
    ]  # fmt: skip
    ended, stopped = found["deep/a & b"], found["stopped"]
    assert (ended.method, ended.subject, ended.seed) == ("dagger", TOY, 0)
    assert (ended.state, stopped.state) == ("finished", "not finished")
    assert ended.steps == stopped.steps > 0
    assert ended.measure == "success"
    assert 0.0 <= ended.value <= 1.0
    assert ended.page is not None
    assert stopped.page is None
    adapted = found["adapted"]
    assert (adapted.method, adapted.subject) == ("adapt, fine-tune", "toy/reach")
    assert (adapted.steps, adapted.seconds, adapted.value) == (400, 7.0, 0.75)
    whole, part = found["matrix"], found["comparison"]
    assert (whole.method, whole.subject, whole.state) == ("transfer matrix", "a/z", "finished")
    assert (part.method, part.state) == ("comparison", "not finished")  # its tables are of a part
    assert "config.json" in found["broken"].state


def test_a_run_itself_is_listed(folder: Path):
    assert [run.method for run in list_runs(folder / "stopped")] == ["dagger"]


def test_the_table_and_the_page(folder: Path):
    shown = metarl("runs", folder, "--page")
    assert shown.returncode == 0, shown.stderr
    assert "deep/a & b" in shown.stdout
    assert "not finished" in shown.stdout
    assert "damaged" in shown.stdout
    html = (folder / "index.html").read_text()
    links = re.findall(r'<a href="([^"#]*)"', html)
    assert links == ["deep/a%20%26%20b/report.html"]
    again = metarl("runs", folder, "--page")  # it is no run, and is written anew
    assert again.stdout == shown.stdout


def test_json_is_nothing_but_json(folder: Path):
    rows = json.loads(metarl("runs", folder, "--json").stdout)
    assert [row["folder"] for row in rows] == [str(run.folder) for run in list_runs(folder)]
    assert rows[3]["seed"] == 0


def test_a_damaged_matrix_is_listed_as_that(tmp_path: Path):
    for number, text in enumerate(
        ("{}", '{"groups": 3}', '{"groups": [{"name": "a", "pairs": [1]}]}')
    ):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "benchmark.json").write_text(text)
    assert {run.state[:7] for run in list_runs(tmp_path)} == {"damaged"}


def test_nothing_there_is_said(tmp_path: Path):
    none = here("runs", tmp_path)
    assert none.returncode == 0
    assert "no run in" in none.stdout
    for place in (tmp_path / "gone", Path(__file__)):
        missing = here("runs", place)
        assert missing.returncode == 2
        assert len(missing.stderr.strip().splitlines()) == 1
    assert here("runs", cwd=tmp_path).returncode == 2  # no folder runs here


def test_what_is_damaged_hides_nothing(tmp_path: Path):
    wild = [
        '{"seed": 1e400}',
        '{"made-with": {"command": "train \\""}, "seed": "x"}',
        "[]",
        '{"a": 1}',
    ]
    for number, text in enumerate(wild):
        run = tmp_path / str(number)
        run.mkdir()
        (run / "config.json").write_text(text)
        (run / "metrics.jsonl").write_text('{"step": 1, "success": "x", "num_steps": 1.5}\nhalf')
    shown = metarl("runs", tmp_path, "--page")
    assert shown.returncode == 0, shown.stderr
    assert [run.folder.name for run in list_runs(tmp_path)] == ["0", "1", "2", "3"]
    assert all(run.value is None for run in list_runs(tmp_path))
    assert shown.stdout.count("damaged") >= 1


@pytest.mark.parametrize(
    ("command", "method", "subject"),
    [
        ("metarl train a/b c/d --method multi-task --seed 1", "multi-task", "a/b c/d"),
        ("metarl train a/b", "maml", "a/b"),
        ("metarl perceive swap --data kitchen:doneness", "perceive swap", "kitchen:doneness"),
        ("python script.py", "", ""), ("", "", ""), ('metarl train "', "", ""),
        ("metarl train --method", "maml", ""),
    ],
)  # fmt: skip
def test_what_a_command_says(command: str, method: str, subject: str):
    assert (method_of(command), subject_of(command)) == (method, subject)
