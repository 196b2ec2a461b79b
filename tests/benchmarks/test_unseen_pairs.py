"""Which pairs never meet, what their cells are, and the whole of it on four toy pairs."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metarl.adapt.protocol import Protocol
from metarl.errors import ConfigError
from metarl.grid.store import Store
from metarl.registry import family_class
from metarl.runs.checkpoint import Checkpoint

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TINY = {
    "num_worlds": 16, "minibatch": 160, "learning_rate": 5e-3,
    "encoded": 3, "command": 2, "things": 5, "core": 7, "posture": 4, "decoder": 6,
}  # fmt: skip


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("unseen_pairs")


@pytest.fixture
def toys(script):
    return script.Design(
        robots=("turned", "straight"), skills=("towards", "mirrored"),
        name="parts:parts/{skill}@robot={robot}", num_unseen=1, iterations=3, settings=TINY,
        protocol=Protocol(num_tasks=4, eval_episodes=1), num_episodes=2,
    )  # fmt: skip


def test_every_robot_and_every_skill_is_met(script):
    design = script.DESIGN
    assert len(design.pairs) == 24
    assert all(family_class(design.family(pair)) for pair in design.pairs)
    unseen = design.unseen("main")
    assert len(unseen) == 6
    assert len(design.trained("main")) == 18
    assert {robot: sum(r == robot for r, _ in unseen) for robot in design.robots} == dict.fromkeys(
        design.robots, 2
    )
    assert len({skill for _, skill in unseen}) == 6
    assert replace(design, skills=design.skills[::-1]).unseen("main") == unseen  # nobody picks
    met = [skill for robot, skill in design.trained("restricted") if robot == "ur5e"]
    assert met == ["add"]
    assert len(design.trained("restricted")) == 17
    for split in ("main", "restricted"):
        for pair in design.unseen(split):
            near = design.nearest(pair, split)
            assert len(near) == 2
            assert all(skill == pair[1] and robot != pair[0] for robot, skill in near)


def test_a_design_that_leaves_something_out_is_refused(toys):
    with pytest.raises(ConfigError, match=r"mirrored.* is left out of the main split"):
        replace(toys, robots=("straight",), num_unseen=1)
    with pytest.raises(ConfigError, match="nothing is left out of the main split"):
        replace(toys, num_unseen=0)


def test_budgets_are_the_same_but_for_the_pairs(script, toys):
    main, other, alone = (
        toys.learned(arm, 1) for arm in ("main", "other-noise", "alone.straight.mirrored")
    )
    assert (main.noise, other.noise) == (0, 1)
    assert replace(other, arm="main", noise=0) == main
    assert alone.families == ("parts:parts/mirrored@robot=straight",)
    assert replace(alone, arm="main", families=main.families) == main
    # The answer comes first, for every seed; then what it is compared with.
    keys = [cell.key for cell in script.cells(toys, 2)]
    assert keys.index("judge.main.s0") < keys.index("judge.main.s1")
    assert keys.index("nearest.main.s1") < keys.index("judge.restricted.s0")
    assert keys.index("nearest.restricted.s1") < keys.index("judge.other-noise.s0")
    assert len(set(keys)) == len(keys)


def test_a_pivot_is_learned_by_every_robot_and_judged_nowhere(script, toys):
    pivot = "parts:parts/towards@robot={robot},side=1"
    design = replace(toys, pivot=(pivot,))
    more = tuple(pivot.format(robot=robot) for robot in ("straight", "turned"))
    for arm in ("main", "restricted", "other-noise"):
        assert design.learned(arm, 0).families == toys.learned(arm, 0).families + more
    alone = "alone.straight.mirrored"
    assert design.learned(alone, 0) == toys.learned(alone, 0)
    cells = script.cells(design, 1)
    assert not [c for c in cells for name in getattr(c, "families", ()) if "side=1" in name]
    own = script.DESIGN.pivot[0].format(robot="panda")
    assert family_class(own).__name__ == "Babble"


def test_joints_are_mapped_by_their_order_and_the_gripper_by_its_place(script):
    cells = importlib.import_module("shared.pair_cells")
    eight = Checkpoint({}, {"action_dim": 8})
    assert cells.same_joints(eight, 6) == ("action[0:5]=action[0:5]", "action[5]=action[7]")
    six = Checkpoint({}, {"action_dim": 6})
    assert cells.same_joints(six, 7) == ("action[0:5]=action[0:5]", "action[6]=action[5]")


def test_explained_variance_by_hand(script):
    cells = importlib.import_module("shared.pair_cells")
    rows = np.array([[0.0, 1.0], [0.0, -1.0], [4.0, 1.0], [4.0, -1.0]])
    assert cells.explained(rows, ["a", "a", "b", "b"]) == pytest.approx(16 / 20)
    assert cells.explained(rows, ["a", "b", "a", "b"]) == pytest.approx(4 / 20)


def test_it_runs_resumes_and_leaves_one_small_file(script, toys, tmp_path, capsys):
    config = script.Config(seeds=1, jobs=1, runs=tmp_path / "runs", results=tmp_path / "results")
    assert script.main(config, toys) == 0
    results = tmp_path / "results"
    assert {path.name for path in results.iterdir()} == {
        "cells.jsonl", "pairs.json", "pairs.md", "features.png",
    }  # fmt: skip
    records = Store(results).read()
    # Three trainings of several pairs and two of one, each judged; two of nearest pairs; features.
    assert len(records) == 2 * 5 + 2 + 1
    said = json.loads((results / "pairs.json").read_text())
    rows = {(row["split"], row["what"]): row for row in said["rows"]}
    judged = records["judge.main.s0"].result["success"]
    unseen = rows["main", "unseen pairs, no update"]
    assert unseen["each"] == [judged["parts:parts/mirrored@robot=straight"]]
    near = records["nearest.restricted.s0"].result["success"]
    assert set(near) == {"parts:parts/towards@robot=turned"}
    features = records["features.main.s0"].result
    assert set(features["skills"]) == {"mirrored", "towards"}
    assert len(features["points"]) == len(features["robots"]) == 4 * 24
    table = (results / "pairs.md").read_text()
    assert "unseen straight mirrored" in table
    # A fresh clone has the merged file alone, and nothing is left to run.
    elsewhere = replace(config, runs=tmp_path / "clone")
    assert script.main(elsewhere, toys) == 0
    assert not (tmp_path / "clone" / "cells").exists()
    assert (results / "pairs.md").read_text() == table
    assert "other-noise" in capsys.readouterr().out
