"""`metarl adapt`: a folder, a table that fits, a verdict, and what to try next."""

from __future__ import annotations

import json

import numpy as np
import pytest
from toy import Reach, knowing, saved

from metarl import cli
from metarl.adapt.comparison import Comparison, compare, next_to_try
from metarl.adapt.protocol import Protocol
from metarl.adapt.record import read_record
from metarl.adapt.results import AdaptationResult
from metarl.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from metarl.sim.worlds import Worlds

FEW = ["--updates", "2", "--episodes", "4", "--num-tasks", "3", "--eval-episodes", "2"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A policy that saw its task, as a file."""
    spec = Worlds(Reach(), 1, num_threads=1).spec
    made = saved(knowing(spec), spec)
    path = tmp_path_factory.mktemp("source") / "reach.safetensors"
    save_checkpoint(path, made.tensors, made.meta)
    return path


def test_it_writes_a_folder_that_report_shows(source, tmp_path, capsys):
    out = tmp_path / "adapted"
    assert cli.main(["adapt", str(source), "toy/reach", *FEW, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    rows = [line.rstrip() for line in said.splitlines() if line.startswith(" ")]
    assert len(rows) >= 5
    assert max(map(len, rows)) <= 80
    assert "fine-tune on toy/reach" in said
    assert "control steps" in said
    assert "against no update" in said
    assert "against scratch" in said
    assert {path.name for path in out.iterdir()} == {
        "adaptation.json", "states.safetensors", "curves.png", "before-after.mp4",
        "before-after.png", "report.html",
    }  # fmt: skip
    comparison, about = read_record(out)
    assert comparison.result.success.shape == (3, 3)
    assert about["protocol"]["episodes"] == 4
    assert about["settings"]["rate"] == 3e-3
    states = load_checkpoint(out / "states.safetensors").tensors
    assert states["0.head.weight"].shape[0] == 3
    assert (states["0.head.weight"] != states["2.head.weight"]).any()
    assert cli.main(["report", str(out)]) == 0
    page = (out / "report.html").read_text()
    assert "Did it help?" in page
    assert "against scratch" in page


def test_a_folder_that_holds_something_is_refused_before_any_work(source, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("keep")
    assert cli.main(["adapt", str(source), "toy/reach", *FEW, "--out", str(tmp_path)]) == 2
    assert "holds something already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_damaged_result_is_said(tmp_path, capsys):
    for text in ('{"result": 3}', "[]", "{"):
        (tmp_path / "adaptation.json").write_text(text)
        assert cli.main(["report", str(tmp_path)]) == 2
        assert "adaptation.json" in capsys.readouterr().err


def arm(method, before, after, tasks=8):
    success = np.array([np.full(tasks, before), np.full(tasks, after)], float)
    return AdaptationResult(method, "toy/reach", success, success, success, 100, 1.0)


@pytest.mark.parametrize(
    ("after", "scratch", "says"),
    [
        (0.9, 0.1, ("helped against no update (+50 points", "helped against scratch (+80 points")),
        (0.2, 0.1, ("harmed against no update (-20 points", "helped against scratch")),
        (0.4, 0.4, ("did nothing sure against no update", "did nothing sure against scratch")),
        (0.4, 0.9, ("did nothing sure against no update", "harmed against scratch (-50 points")),
    ],
)
def test_the_verdict_is_against_no_update_and_against_scratch(after, scratch, says):
    mine = arm("fine-tune", 0.4, after)
    comparison = Comparison(mine, mine, arm("scratch", 0.0, scratch), same_test=False)
    assert all(words in comparison.verdict() for words in says)
    assert Comparison.from_json(json.loads(json.dumps(comparison.to_json()))).verdict() == (
        comparison.verdict()
    )


def test_the_control_differs_in_noise_alone_and_repeats(source):
    found = load_checkpoint(source)
    protocol = Protocol(num_tasks=3, episodes=4, updates=1, eval_episodes=2)
    one, two = (compare(Reach(), "fine-tune", found, protocol) for _ in range(2))
    assert np.array_equal(one.control.returns, two.control.returns)
    assert not np.array_equal(one.control.returns, one.result.returns)
    # Before any update only the first states differ, so the same tasks end about alike.
    np.testing.assert_allclose(one.control.returns[0], one.result.returns[0], rtol=0.5)


def test_what_to_try_next_is_what_helped_a_stranger(source):
    """Fine-tuning that fails, of a policy that saw its task: look for the task instead."""
    kept = load_checkpoint(source)
    config = {**kept.meta["config"], "task_visible": True}
    found = Checkpoint(kept.tensors, {**kept.meta, "config": config})
    poor, good = (
        Comparison(arm(name, 0.1, after), arm(name, 0.1, after), None, same_test=False)
        for name, after in (("fine-tune", 0.1), ("bayesian-optimization", 1.0))
    )
    assert "--strategy bayesian-optimization" in next_to_try(poor, found, Reach(), hides=True)
    assert next_to_try(good, found, Reach(), hides=True) == ""


def test_where_nothing_is_held_out_the_result_says_so(capsys, tmp_path):
    few = ["--updates", "1", "--episodes", "1", "--num-tasks", "2", "--eval-episodes", "1"]
    out = ["--no-film", "--out", str(tmp_path / "out")]
    name = "classic/point-navigation"
    assert cli.main(["adapt", "point-navigation-pearl", name, *few, *out]) == 0
    assert "has no held-out split" in capsys.readouterr().out
    assert "no held-out split" in (tmp_path / "out" / "report.html").read_text()
