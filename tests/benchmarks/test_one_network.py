"""What is trained, and the whole of it on two toy skills."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metarl.adapt.protocol import Protocol
from metarl.grid.store import Record, Store

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TINY = {"hidden": (8,), "num_worlds": 16, "minibatch": 160, "learning_rate": 5e-3}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("one_network")


@pytest.fixture
def toys(script):
    return script.Design(
        skills=("towards", "mirrored"), name="parts:parts/{skill}", iterations=3, settings=TINY,
        aggregations=("pcgrad",), protocol=Protocol(num_tasks=4, eval_episodes=1),
    )  # fmt: skip


def test_every_arm_has_the_same_worlds_iterations_and_widths(script):
    design = script.DESIGN
    learned = {arm: design.learned(arm, 2) for arm in design.arms}
    assert len(learned) == 4 + 8
    for arm, one in learned.items():
        assert one.iterations == design.iterations
        assert design.settings.items() <= one.settings.items(), arm
        assert one.seed == 2
    assert sum(len(one.families) for arm, one in learned.items() if "alone" in arm) == 8
    together = learned["together"]
    assert replace(learned["other-noise"], arm="together", noise=0) == together
    assert learned["one-head"].settings == {**together.settings, "heads": "shared"}
    assert learned["upgrad"].settings == {**together.settings, "aggregation": "upgrad"}


def test_behind_is_of_the_same_seed(script, toys):
    tables = importlib.import_module("shared.skill_tables")
    rates = {"towards": (0.9, 0.7), "mirrored": (0.5, 0.6)}
    records = dict[str, Record]()

    def add(arm, seed, **success):
        named = {toys.family(skill): rate for skill, rate in success.items()}
        key = f"judge.{arm}.s{seed}"
        records[key] = Record(key, {}, {"success": named}, 1.0, {})

    for seed in (0, 1):
        for skill, own in rates.items():
            add(f"alone.{skill}", seed, **{skill: own[seed]})
        add("together", seed, towards=0.8, mirrored=0.6)
    add("one-head", 1, towards=0.2, mirrored=0.2)
    rows = {row.arm: row for row in tables.Results(toys, records, 3).rows()}
    assert list(rows) == ["alone", "together", "one-head"]
    np.testing.assert_allclose(rows["together"].behind_each, [[0.1, -0.1], [-0.1, 0.0]], atol=1e-12)
    assert rows["one-head"].worst == "towards 50.0 behind"
    assert rows["one-head"].mean == "20.0"
    assert rows["alone"].worst == "mirrored 55"


def test_a_network_for_all_is_shown_before_those_of_one_skill_are_there(script, toys):
    tables = importlib.import_module("shared.skill_tables")
    named = {toys.family(skill): rate for skill, rate in {"towards": 0.9, "mirrored": 0.7}.items()}
    key = "judge.together.s1"
    results = tables.Results(toys, {key: Record(key, {}, {"success": named}, 1.0, {})}, 3)
    (row,) = results.rows()
    assert (row.behind, row.worst, row.mean) == ("", "mirrored 70", "80.0")
    for seed, seconds in ((0, 60.0), (1, 180.0)):
        train = f"train.together.s{seed}"
        results.records[train] = Record(train, {}, {}, seconds, {})
    assert results.minutes("together") == 2.0  # of the two that are there, of three
    said = tables.markdown(results)
    assert ", 1 seed;" in said
    assert "behind: not known" in said


def test_what_answers_the_question_is_run_first(script):
    cells = script.cells(script.DESIGN, 3)
    assert [cell.start.name for cell in cells[:3]] == [f"together.s{seed}" for seed in range(3)]
    assert [cell.start.arm for cell in cells[-6:]] == ["one-head"] * 3 + ["upgrad"] * 3
    assert len({cell.key for cell in cells}) == len(cells) == 3 * len(script.DESIGN.arms)


def test_it_runs_resumes_and_leaves_one_small_file(script, toys, tmp_path, capsys):
    config = script.Config(seeds=1, jobs=1, runs=tmp_path / "runs", results=tmp_path / "results")
    assert script.main(config, toys) == 0
    results = tmp_path / "results"
    assert {path.name for path in results.iterdir()} == {
        "cells.jsonl", "network.json", "network.md", "network.png",
    }  # fmt: skip
    assert len(Store(results).read()) == 2 * 6
    said = json.loads((results / "network.json").read_text())
    assert [row["arm"] for row in said["rows"]] == [
        "alone", "together", "one-head", "pcgrad", "other-noise",
    ]  # fmt: skip
    table = (results / "network.md").read_text()
    assert "`pcgrad`: `together` with the skills' gradients added by `pcgrad`." in table
    # A fresh clone has the merged file alone, and nothing is left to run.
    assert script.main(replace(config, runs=tmp_path / "clone"), toys) == 0
    assert not (tmp_path / "clone" / "cells").exists()
    assert (results / "network.md").read_text() == table
    assert "one-head" in capsys.readouterr().out
