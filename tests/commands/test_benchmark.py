"""`metarl benchmark` as a user runs it: a file, its cells, its tables and its page."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time

import pytest
from console import HERE, here, metarl, policy_file

from metarl import cli
from metarl.benchmark.run import open_benchmark, read_benchmark
from metarl.errors import CheckpointError
from metarl.grid.store import Store

ROOT = HERE.parent
SAME = "pair:pair/same"
FILE = """
title = "Does it learn where the ball is to go?"
about = \"\"\"A ball in a plane.

Its goal is hidden.\"\"\"
seeds = 2

[protocol]
num_tasks = 3
episodes = 2
updates = 2
eval_episodes = 2

[families."pair:pair/same"]
start = { method = "ppo", iterations = 2, settings = { num_worlds = 8, minibatch = 160 } }

[arms.reptile]
iterations = 1
settings = { num_tasks = 2, episodes = 2 }

[arms.given]
method = "fine-tune"
checkpoint = "start.safetensors"
"""
USUAL = ("--modules", "pair", "--jobs", "1")
KEYS = [
    *(
        f"adapt.pair-same.{arm}.s{seed}"
        for arm in ("ceiling", "control", "fine-tune", "reptile", "scratch")
        for seed in (0, 1)
    ),
    "adapt.pair-same.given.start",
    *(f"train.pair-same-{method}-s{seed}" for method in ("ppo", "reptile") for seed in (0, 1)),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A file, what it names, and the folder that it gave."""
    place = tmp_path_factory.mktemp("benchmark")
    policy_file(place / "start.safetensors", family="pair/same", method="ppo")
    (place / "mine.toml").write_text(FILE)
    done = metarl("benchmark", place / "mine.toml", *USUAL, "--out", place / "out")
    assert done.returncode == 0, done.stderr
    (place / "said.txt").write_text(done.stdout)
    return place


def test_every_cell_is_run_and_merged(place):
    known = Store(place / "out").read()
    assert sorted(known) == sorted(KEYS)
    lines = (place / "out/cells.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["key"] for line in lines) == sorted(KEYS)
    alone = {path.stem for path in (place / "out/cells").glob("*.json")}
    assert alone == set(KEYS)


def test_tables_say_what_was_measured(place):
    said = json.loads((place / "out/tables.json").read_text())
    assert said["missing"] == 0
    [table] = said["tables"]
    rows = {row["row"]: row for row in table["rows"]}
    assert set(rows) == {
        "scratch", "fine-tune", "fine-tune, other noise", "given", "reptile", "blind", "ceiling",
    }  # fmt: skip
    assert rows["reptile"]["seeds"] == [0, 1]
    assert rows["given"]["seeds"] == [None]
    known = Store(place / "out").read()
    scores = [
        known[f"adapt.pair-same.reptile.s{s}"].result["results"]["reptile"][table["metric"]][2]
        for s in (0, 1)
    ]
    mean = sum(map(sum, scores)) / 6  # two seeds, three tasks
    assert rows["reptile"]["after"][2]["mean"] == pytest.approx(mean)
    trained = {k: r.result["steps"] for k, r in known.items() if k.startswith("train.")}
    assert rows["reptile"]["training_steps"] == sum(trained.values()) / 2
    assert rows["given"]["training_steps"] == 0
    gap = rows["fine-tune"]["after"][2]["mean"] - rows["fine-tune, other noise"]["after"][2]["mean"]
    assert table["noise"] == pytest.approx(abs(gap))
    text = (place / "out/tables.md").read_text()
    assert text.startswith("# Does it learn where the ball is to go?")
    assert "Put beside the file's arms: scratch, fine-tune, control." in text
    said_there = (place / "said.txt").read_text()
    assert "fine-tune, other noise" in said_there
    assert f"wrote {place / 'out/report.html'}" in said_there


def test_the_page_stands_alone(place):
    html = (place / "out/report.html").read_text()
    assert "Its goal is hidden." in html
    assert "metarl train pair:pair/same --method reptile --seed 0 --iterations 1" in html
    assert "fine-tune once more, under another noise: what differs means nothing" in html
    assert not re.findall(r'(?:src|href)="(?!data:|#)', html)
    assert html.count("<img ") == 1
    assert re.search(r'alt="pair:pair/same, [^"]+ over 2 updates; at the end: scratch -?\d', html)
    assert "ppo, 2 iterations, num_worlds=8, minibatch=160" in html
    for name in ("blind", "ceiling"):  # each name of a row is explained
        assert f"<td>{name}</td><td>what arms start from, no update made" in html
    assert "<th></th>" not in html  # every column has a name
    (place / "out/report.html").unlink()
    assert cli.main(["report", str(place / "out")]) == 0
    assert (place / "out/report.html").read_text() == html


def test_the_same_command_runs_nothing_again(place):
    before = {path: path.stat().st_mtime_ns for path in (place / "out/cells").iterdir()}
    page = (place / "out/report.html").read_text()
    done = here("benchmark", place / "mine.toml", *USUAL, "--out", place / "out")
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in (place / "out/cells").iterdir()} == before
    assert (place / "out/report.html").read_text() == page


def test_listing_runs_nothing(place, tmp_path):
    words = ("benchmark", place / "mine.toml", "--modules", "pair", "--list", "--json")
    none = json.loads(here(*words, "--out", tmp_path / "out").stdout)
    assert none["finished"] == 0
    assert {row["state"] for row in none["cells"]} == {"to run"}
    assert sorted(row["cell"] for row in none["cells"]) == sorted(KEYS)
    assert not (tmp_path / "out").exists()
    (tmp_path / "mine.toml").write_text((place / "mine.toml").read_text().replace("1\n", "2\n", 1))
    (tmp_path / "start.safetensors").write_bytes((place / "start.safetensors").read_bytes())
    words = ("benchmark", tmp_path / "mine.toml", "--modules", "pair", "--list", "--json")
    some = json.loads(here(*words, "--out", place / "out").stdout)
    states = {row["cell"]: row["state"] for row in some["cells"]}
    assert states["train.pair-same-reptile-s0"] == "changed: iterations: saved 1, given 2"
    assert some["finished"] == len(KEYS) - 4


def test_another_definition_is_refused_or_run_again(place, tmp_path):
    (tmp_path / "start.safetensors").write_bytes((place / "start.safetensors").read_bytes())
    changed = (place / "mine.toml").read_text().replace("eval_episodes = 2", "eval_episodes = 1")
    (tmp_path / "mine.toml").write_text(changed)
    words = ("benchmark", tmp_path / "mine.toml", *USUAL, "--out", place / "out")
    kept = (place / "out/benchmark.toml").read_text()
    done = here(*words)
    assert done.returncode == 2
    assert "protocol.eval_episodes: saved 2, given 1" in done.stderr
    assert done.stderr.count("\n") == 1
    assert (place / "out/benchmark.toml").read_text() == kept


def test_it_is_listed_among_runs(place):
    found = json.loads(here("runs", place, "--json", "--page").stdout)
    [run] = [row for row in found if row["folder"] == "out"]
    assert (run["method"], run["subject"], run["state"]) == ("benchmark", SAME, "finished")
    assert 'href="out/report.html"' in (place / "index.html").read_text()
    (place / "index.html").unlink()


def test_the_folder_stands_alone(place, tmp_path):
    """What it started from may go: the folder has a copy."""
    (tmp_path / "mine.toml").write_text((place / "mine.toml").read_text())
    opened = open_benchmark(tmp_path / "mine.toml", place / "out", modules=["pair"])
    assert [cell.key for cell in opened.benchmark.cells()] == [
        cell.key for cell in read_benchmark(place / "out").cells()
    ]
    assert [cell.definition() for cell in opened.benchmark.cells()] == [
        cell.definition() for cell in read_benchmark(place / "out").cells()
    ]
    with pytest.raises(CheckpointError, match=r"no checkpoint start\.safetensors"):
        open_benchmark(tmp_path / "mine.toml", tmp_path / "elsewhere", modules=["pair"])
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("benchmark.toml", "given.json", "cells.jsonl"):
        (copy / name).write_bytes((place / "out" / name).read_bytes())
    assert cli.main(["benchmark", "--only-report", "--out", str(copy)]) == 0
    assert (copy / "tables.md").read_text() == (place / "out/tables.md").read_text()


def test_a_damaged_folder_is_told(place, tmp_path, capsys):
    for name, text, says in (
        ("benchmark.toml", "seeds = ", "is damaged"),
        ("given.json", '{"pair:pair/same": {"start.safetensors": 3}}', "given.json is damaged"),
        ("given.json", "{}", "lacks the checkpoint"),
        ("cells.jsonl", "{}", "cells.jsonl line 1 holds no finished cell"),
    ):
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        for kept in ("benchmark.toml", "given.json", "cells.jsonl"):
            (folder / kept).write_bytes((place / "out" / kept).read_bytes())
        (folder / name).write_text(text)
        capsys.readouterr()
        assert cli.main(["benchmark", "--only-report", "--out", str(folder)]) == 2
        said = capsys.readouterr().err
        assert says in said
        assert said.count("\n") == 1


def test_a_cell_that_fails_is_told_and_the_others_stand(place, tmp_path):
    text = (place / "mine.toml").read_text().replace("seeds = 2", "seeds = 1")
    (tmp_path / "start.safetensors").write_bytes((place / "start.safetensors").read_bytes())
    policy_file(tmp_path / "half.safetensors", family="pair/same", method="maml")  # no rates
    (tmp_path / "mine.toml").write_text(f'{text}[arms.maml]\ncheckpoint = "half.safetensors"\n')
    done = here("benchmark", tmp_path / "mine.toml", *USUAL, "--out", tmp_path / "out")
    assert done.returncode == 1, done.stderr
    assert "adapt.pair-same.maml.half failed: " in done.stderr
    assert "1 cell failed; what they printed is in" in done.stdout
    saved = json.loads((tmp_path / "out/tables.json").read_text())
    assert saved["missing"] > 0
    assert {"reptile", "scratch"} <= {row["row"] for row in saved["tables"][0]["rows"]}
    found = json.loads(here("runs", tmp_path, "--json").stdout)
    assert found[0]["state"] == "not finished"


def test_ctrl_c_ends_it_and_the_same_command_goes_on(place, tmp_path):
    for name in ("mine.toml", "start.safetensors"):
        (tmp_path / name).write_bytes((place / name).read_bytes())
    words = ["benchmark", str(tmp_path / "mine.toml"), *USUAL, "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-m", "metarl", *words], cwd=HERE, stderr=subprocess.PIPE, text=True
    )
    end_s = time.monotonic() + 90
    while len(list((tmp_path / "out").glob("cells/*.json"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < end_s
        time.sleep(0.05)
    begun_s = time.monotonic()
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=20)[1]
    assert time.monotonic() - begun_s < 8
    assert process.returncode == 130
    assert "cells; the same command goes on" in said
    kept = {path.name: path.read_bytes() for path in (tmp_path / "out/cells").iterdir()}
    assert (tmp_path / "out/cells.jsonl").exists()
    again = here(*words)
    assert again.returncode == 0, again.stderr
    now = {path.name: path.read_bytes() for path in (tmp_path / "out/cells").iterdir()}
    assert {name: now[name] for name in kept} == kept
    assert len(now) == len(KEYS)


@pytest.mark.parametrize("name", ["quick", "season"])
def test_the_examples_can_be_run(name, tmp_path):
    opened = open_benchmark(ROOT / f"benchmarks/{name}.toml", tmp_path)
    assert opened.benchmark.about
    assert len(opened.benchmark.cells()) > 10
    for table in opened.benchmark.tables:
        controls = [arm for arm in table.arms if arm.repeats]
        assert len(controls) == 1
        assert {"scratch", "fine-tune"} <= {arm.method for arm in table.arms}


def test_the_published_rows_come_of_the_kept_cells(tmp_path):
    """The season table's file, with the cells that are kept of it: the numbers of the README."""
    from metarl.benchmark.summary import summarise

    benchmark = open_benchmark(ROOT / "benchmarks/season.toml", tmp_path).benchmark
    kept = ROOT / "benchmarks/results"
    [result] = summarise(benchmark, Store(kept / "adaptation").read()).results
    published = json.loads((kept / "adaptation.json").read_text())["rows"]
    compared = 0
    for row in published:
        mine = result.row(row["method"])
        if row["family"] != "kitchen/season" or mine is None:
            continue
        assert [e["mean"] for e in row["success"]] == pytest.approx([e.mean for e in mine.after])
        assert row["training_steps"] == mine.training_steps
        assert row["seeds"] == list(mine.seeds)
        compared += 1
    assert compared >= 3
