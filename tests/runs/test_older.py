"""Runs that an older release wrote, before modules moved: they load, report, adapt and go on.

The folders in ``older/`` are two iterations each of release 0.1.0 on the toy, as it wrote them;
``third.json`` is what that release then measured in the third.
"""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import pytest

from metarl.cli import main
from metarl.registry import make_family
from metarl.runs.metrics import read_metrics
from metarl.runs.policies import load_policy_for, read_checkpoint
from metarl.sim.worlds import Worlds

OLDER = Path(__file__).parent / "older"
METHODS = ("ppo", "maml")


@pytest.fixture(params=METHODS)
def run(request, tmp_path):
    return Path(shutil.copytree(OLDER / request.param, tmp_path / request.param))


def test_it_loads_without_a_word(run):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read_checkpoint(run)
        load_policy_for(found, Worlds(make_family("toy:toy/reach"), 1))
    assert found.meta["method"] == run.name


def test_it_goes_on_as_the_older_release_did(run):
    words = ["train", "toy:toy/reach", "--method", run.name, "--out", str(run), "--resume"]
    assert main([*words, "--iterations", "3"]) == 0
    rows = read_metrics(run)
    assert [row["step"] for row in rows] == [1, 2, 3]
    then = json.loads((OLDER / "third.json").read_text())[run.name]
    assert {name: rows[-1][name] for name in then} == pytest.approx(then, rel=1e-6, abs=1e-9)


def test_it_adapts_and_reports(run, capsys):
    words = ["adapt", str(run), "toy:toy/reach", "--num-tasks", "1", "--episodes", "2"]
    assert main([*words, "--eval-episodes", "1", "--updates", "1"]) == 0
    assert main(["report", str(run), "--no-film"]) == 0
    assert "changed" not in capsys.readouterr().err
    assert (run / "report.html").stat().st_size > 10_000
