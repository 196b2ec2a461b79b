"""What is trained, and the whole of it on two toy skills."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path

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
        alone=("mirrored",), protocol=Protocol(num_tasks=4, eval_episodes=1),
    )  # fmt: skip


def test_every_arm_has_the_same_worlds_iterations_and_widths(script):
    design = script.DESIGN
    learned = {arm: design.learned(arm, 2) for arm in design.arms}
    assert list(learned) == ["together", "alone.stir", "other-noise"]
    for arm, one in learned.items():
        assert one.iterations == design.iterations
        assert one.settings == {**design.settings, **one.settings}, arm
        assert one.seed == 2
    together = learned["together"]
    assert learned["alone.stir"].families == ("kitchen/stir",)
    assert together.families == tuple(f"kitchen/{skill}" for skill in design.skills)
    assert replace(learned["other-noise"], arm="together", noise=0) == together
    cells = script.cells(design, 3)
    assert len({cell.key for cell in cells}) == len(cells) == 3 * 3


def results_of(toys, **success):
    """What was measured: by arm and seed, success by skill."""
    tables = importlib.import_module("shared.skill_tables")
    records = dict[str, Record]()
    for name, rates in success.items():
        arm, _, seed = name.rpartition("_")
        if arm == "alone":
            found = {f"alone.{skill}": {skill: rate} for skill, rate in rates.items()}
        else:
            found = {arm.replace("_", "-"): rates}
        for start, own in found.items():
            key = f"judge.{start}.s{seed}"
            named = {toys.family(skill): rate for skill, rate in own.items()}
            records[key] = Record(key, {}, {"success": named}, 1.0, {})
    return tables.Results(toys, records, 3)


def test_behind_is_of_the_same_seed(toys):
    results = results_of(
        toys,
        alone_0={"towards": 0.9, "mirrored": 0.5}, alone_1={"towards": 0.7, "mirrored": 0.6},
        together_0={"towards": 0.8, "mirrored": 0.6}, together_1={"towards": 0.8, "mirrored": 0.6},
        other_noise_1={"towards": 0.2, "mirrored": 0.2},
    )  # fmt: skip
    rows = {row.arm: row for row in results.rows()}
    assert list(rows) == ["alone", "together", "other-noise"]
    assert (rows["alone"].mean.partition(" ")[0], rows["alone"].behind, rows["alone"].furthest) == (
        "67.5",
        "",
        "",
    )
    # By seed 10 and -10, -10 and 0: the means over skills 0 and -5.
    assert rows["together"].behind.startswith("-2.5 [")
    assert rows["together"].furthest.startswith("towards, 0.0 [")
    assert (rows["other-noise"].behind, rows["other-noise"].furthest) == ("45.0", "towards, 50.0")
    assert rows["other-noise"].mean == "20.0"


def test_without_a_network_of_its_own_a_skill_could_be_behind_100_percent(toys):
    tables = importlib.import_module("shared.skill_tables")
    own = {"together_1": {"towards": 0.9, "mirrored": 0.7}}
    (row,) = results_of(toys, **own).rows()
    assert (row.mean, row.behind, row.furthest) == (
        "80.0",
        "at most 20.0",
        "mirrored, at most 30.0",
    )
    results = results_of(toys, **own, alone_1={"mirrored": 0.75})
    alone, row = results.rows()
    assert (alone.mean, row.behind) == ("", "at most 7.5")
    assert row.furthest == "towards, at most 10.0"
    said = tables.markdown(results)
    assert ", 1 seed;" in said
    assert "| alone |  | 75 |  |  |  |" in said
    # Of another seed, it says nothing of this one.
    other = results_of(toys, **own, alone_0={"mirrored": 0.75}).rows()[1]
    assert other.behind == "at most 20.0"


def test_it_runs_resumes_and_leaves_one_small_file(script, toys, tmp_path, capsys):
    config = script.Config(seeds=1, jobs=1, runs=tmp_path / "runs", results=tmp_path / "results")
    assert script.main(config, toys) == 0
    results = tmp_path / "results"
    assert {path.name for path in results.iterdir()} == {
        "cells.jsonl", "conflicts.json", "network.json", "network.md", "network.png",
    }  # fmt: skip
    conflicts = json.loads((results / "conflicts.json").read_text())["trainings"]
    assert list(conflicts) == ["other-noise.s0", "together.s0"]  # of several skills
    for each in conflicts.values():
        assert list(each["pairs"]) == ["towards ~ mirrored"]
        assert -1.0 < each["mean"] == each["pairs"]["towards ~ mirrored"] < 1.0
    assert len(Store(results).read()) == 2 * 3
    said = json.loads((results / "network.json").read_text())
    assert [row["arm"] for row in said["rows"]] == ["alone", "together", "other-noise"]
    assert said["rows"][0]["success"].keys() == {"mirrored"}
    table = (results / "network.md").read_text()
    # A fresh clone has the merged file alone, and nothing is left to run.
    assert script.main(replace(config, runs=tmp_path / "clone"), toys) == 0
    assert not (tmp_path / "clone" / "cells").exists()
    assert (results / "network.md").read_text() == table
    assert "other-noise" in capsys.readouterr().out
    # What one run folder knows is added to what is kept of others.
    [other] = (config.runs / "trainings").glob("other-noise.s0-*")
    (tmp_path / "other" / "trainings").mkdir(parents=True)
    other.rename(tmp_path / "other" / "trainings" / "other-noise.s1-again")
    tables = importlib.import_module("shared.skill_tables")
    assert tables.write_conflicts(tmp_path / "other", results, "again")
    conflicts = json.loads((results / "conflicts.json").read_text())["trainings"]
    assert list(conflicts) == ["other-noise.s0", "together.s0", "other-noise.s1"]
