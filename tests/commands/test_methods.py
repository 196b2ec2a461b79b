"""`metarl methods`, and a strategy from outside under every command."""

from __future__ import annotations

import dataclasses
import json

import pytest
from louder import announce

from metarl import cli
from metarl.methods import (
    adapting_config,
    get_training,
    method_names,
    rule_names,
    training_names,
)
from metarl.runs.fields import field_docs


@pytest.fixture
def outside(monkeypatch):
    announce(monkeypatch)


def test_every_method_is_listed_and_shows_its_settings(capsys):
    assert cli.main(["methods"]) == 0
    shown = capsys.readouterr().out
    assert all(f" {name} " in shown for name in method_names())
    assert cli.main(["methods", "anil"]) == 0
    shown = capsys.readouterr().out
    assert "inner_rate      0.1 " in shown  # ANIL's own default, not MAML's
    assert "--iterations" in shown
    assert cli.main(["methods", "lp-ft"]) == 0
    by_reward, by_ppo = capsys.readouterr().out.split("--method ppo --from SOURCE --strategy lp-ft")
    assert "head_share   0.5" in by_reward
    assert "epochs " in by_reward
    assert "head_share   0.5" in by_ppo
    assert "epochs " not in by_ppo
    assert cli.main(["methods", "anill"]) == 2
    assert "did you mean 'anil'" in capsys.readouterr().err


@pytest.mark.parametrize("name", [*training_names(), *rule_names()])
def test_every_field_says_what_it_is(name):
    config = adapting_config(name) if name in rule_names() else get_training(name).config
    docs = field_docs(config)
    assert [f.name for f in dataclasses.fields(config) if not docs.get(f.name)] == []


def test_a_strangers_strategy_is_listed_beside_what_is_broken(outside, capsys):
    assert cli.main(["methods"]) == 0
    shown = capsys.readouterr().out
    assert "louder" in shown
    assert "a louder head" in shown
    assert "broken: method 'broken' cannot be imported" in shown
    assert cli.main(["methods", "louder"]) == 0
    assert "factor" in capsys.readouterr().out


def test_a_strangers_strategy_adapts(outside, capsys, tmp_path):
    few = ["--updates", "1", "--episodes", "2", "--num-tasks", "2", "--eval-episodes", "1"]
    out = ["--no-film", "--out", str(tmp_path / "out"), "--strategy", "louder"]
    command = ["adapt", "heat-ppo", "kitchen/heat", *few, *out]
    assert cli.main([*command, "--set", "factor=0"]) == 2
    assert "factor is 0.0; expected a finite number > 0" in capsys.readouterr().err
    assert cli.main([*command, "--set", "factor=3"]) == 0
    assert "louder on kitchen/heat" in capsys.readouterr().out
    saved = json.loads((tmp_path / "out" / "adaptation.json").read_text())
    assert saved["settings"] == {"factor": 3.0}
