"""``--json``: stdout is one JSON value, whatever else a command says goes to stderr."""

from __future__ import annotations

import json

import pytest
from console import policy_file

from metarl import cli
from metarl.commands import catalogue, output, perceive


def answer(capsys, *words: object, status: int = 0):
    assert cli.main([*map(str, words), "--json"]) == status
    return json.loads(capsys.readouterr().out)


def test_lists(capsys):
    found = answer(capsys, "families")
    assert "kitchen/season" in [row["family"] for row in found["families"]]
    assert found["broken"] == []
    robots = answer(capsys, "families", "--robots")["robots"]
    assert {"panda", "ur5e"} <= {row["robot"] for row in robots}
    methods = answer(capsys, "methods")["methods"]
    assert {"maml", "fine-tune"} <= {row["method"] for row in methods}
    told = answer(capsys, "methods", "maml")
    settings = {row["--set"]: row for row in told["commands"][0]["settings"]}
    assert settings["num_tasks"]["default"].isdigit()


def test_a_check_that_fails_is_an_answer_too(capsys):
    rows = answer(capsys, "check", "toy/reach", status=1)["checks"]  # its splits overlap
    assert [row["check"] for row in rows if row["outcome"] == "fail"] == ["splits are disjoint"]
    assert cli.main(["check", "toy/nothing", "--json"]) == 2
    assert capsys.readouterr().out == ""


def test_adapting(tmp_path, capsys):
    policy = policy_file(tmp_path / "p.safetensors")
    words = ("adapt", policy, "toy/reach", "--updates", 1, "--episodes", 2, "--num-tasks", 2)
    more = ("--eval-episodes", 1, "--no-film", "--out", tmp_path / "out", "--strategy", "fine-tune")
    found = answer(capsys, *words, *more)
    assert found["folder"] == str(tmp_path / "out")
    assert found["protocol"]["num_tasks"] == 2


def test_swapping(tmp_path, capsys):
    words = ("perceive", "swap", "--data", "kitchen:doneness", "--num-pictures", 20, "--size", 16)
    found = answer(capsys, *words, "--out", tmp_path / "run")
    assert 0.0 < found["error"] < 1.0
    assert found["folder"] == str(tmp_path / "run")


def test_what_is_not_finite_is_null(capsys):
    with output.answering(True):
        output.answer({"x": float("nan"), "y": [1, float("inf")]})
        output.say("a line for people")
    out, err = capsys.readouterr()
    assert json.loads(out) == {"x": None, "y": [1, None]}
    assert err == "a line for people\n"


def test_a_command_that_raises_answers_nothing(capsys):
    def fail():
        output.answer(1)
        raise RuntimeError

    with pytest.raises(RuntimeError), output.answering(True):
        fail()
    assert capsys.readouterr().out == ""
    assert not output.answers_json()


def test_every_command_that_draws_a_table_has_it():
    silent = {"train", "watch", "perceive", "new", "report", "version", "metaworld"}
    commands = {**catalogue.COMMANDS, **{f"perceive {n}": c for n, c in perceive.COMMANDS.items()}}
    for name, command in commands.items():
        if name not in silent | {"perceive embed", "perceive render"}:
            assert "json" in command.__dataclass_fields__, name
