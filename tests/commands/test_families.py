"""`metarl families NAME` says what a family is."""

from __future__ import annotations

import json

from metarl import cli
from metarl.registry import make_family
from metarl.sim.worlds import Worlds
from metarl.types import variations


def test_a_family_is_explained(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert cli.main(["families", "kitchen/heat"]) == 0
    said = capsys.readouterr().out
    family = make_family("kitchen/heat")
    assert "50 control steps of 0.05 s" in said
    for name, variation in variations(family.task_type).items():
        row = next(line for line in said.splitlines() if line.strip().startswith(name))
        assert variation.unit in row
        assert ("hidden" if variation.hidden else "seen") in row
        assert variation.doc in row
    for term, weight in family.weights.items():
        assert f"{term} x {weight:g}" in said
    assert "opening" in said  # a column of its robot
    assert "heat-maml, heat-pearl, heat-ppo" in said
    assert "control" in said
    assert "metarl watch kitchen/heat --policy expert" in said


def test_options_change_what_is_said_and_programs_get_json(capsys):
    name = "kitchen/add@control=joint,robot=ur5e"
    assert cli.main(["families", name, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    spec = Worlds(make_family(name), 1).spec
    assert told["actions"].startswith(f"{spec.action_dim},")
    assert "shoulder_pan ahead" in told["observations"]
    names = {row["@option"] for row in told["options"]}
    assert names == {"food", "robot", "control", "site", "home"}
    assert told["expert"] == "yes"


def test_a_strangers_family_without_an_expert(capsys):
    assert cli.main(["families", "classic/ant-goal"]) == 0
    said = capsys.readouterr().out
    assert "expert: no" in said
    assert "--policy random" in said


def test_mistakes_are_told(capsys):
    assert cli.main(["families", "kitchen/none"]) == 2
    assert "unknown family 'kitchen/none'" in capsys.readouterr().err
    assert cli.main(["families", "kitchen/add", "--robots"]) == 2
    assert "--robots does not go with kitchen/add" in capsys.readouterr().err
