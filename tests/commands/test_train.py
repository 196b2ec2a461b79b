"""`metarl train` and `metarl demo`."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from console import TOY, metarl

from metarl import cli, machine
from metarl.commands.train import default_folder
from metarl.errors import CheckpointError
from metarl.methods import rule_names, training_names
from metarl.runs.metrics import read_metrics


def test_help_names_every_method():
    shown = metarl("train", "--help").stdout
    assert [name for name in training_names() if name not in shown] == []
    assert [name for name in rule_names() if name not in shown] == []
    shown = metarl("adapt", "--help").stdout
    assert [name for name in rule_names() if name not in shown] == []


@pytest.mark.parametrize(("device", "says"), [("gpu", "expected cpu"), ("cuda:99", "GPUs here")])
def test_a_device_that_is_not_there_is_one_line(tmp_path, device, says):
    done = metarl("train", TOY, "--method", "ppo", "--device", device, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_missing_learn2learn_leaves_no_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "learn2learn", None)
    run = tmp_path / "run"
    words = ["--backend", "learn2learn", "--iterations", "1", "--out", str(run)]
    assert cli.main(["train", "toy/reach", "--method", "maml", *words]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "pip install learn2learn" in said
    assert not run.exists()


@pytest.mark.parametrize(
    "words",
    [
        "train toy/reach --method ppo --set num_worlds=1000000000",
        "train toy/reach --method maml --set num_tasks=100000000",
        "train toy/reach --method dagger --set num_worlds=1000 hidden=[65536,65536,65536]",
        "adapt x toy/reach --num-tasks 100000000",
        "adapt x toy/reach --eval-episodes 100000000",
    ],
)
def test_what_cannot_fit_is_refused_before_it_is_tried(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "memory_bytes", lambda: 8 * 2**30)
    assert cli.main(words.split()) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "GiB of memory; this machine has 8.0 GiB" in said
    assert list(tmp_path.iterdir()) == []


def test_only_the_same_run_goes_on(tmp_path, capsys):
    small = ["--iterations", "1", "--out", str(tmp_path), "--set", "num_tasks=2", "episodes=2"]
    assert cli.main(["train", "toy/reach", "--method", "maml", *small]) == 0
    assert cli.main(["train", "toy/reach", "--method", "reptile", "--resume", *small]) == 2
    assert "is a run of maml on toy/reach, not of reptile" in capsys.readouterr().err


def test_a_run_goes_on_without_its_settings_given_again(tmp_path, capsys):
    run, go_on = str(tmp_path / "run"), ["train", "toy/reach", "--method", "maml"]
    tiny = ["--set", "num_tasks=2", "episodes=2", "hidden=[8]"]
    assert cli.main([*go_on, "--out", run, "--seed", "3", "--iterations", "1", *tiny]) == 0
    assert cli.main([*go_on, "--out", run, "--resume", "--iterations", "2"]) == 0
    assert [row["step"] for row in read_metrics(tmp_path / "run")] == [1, 2]
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["num_tasks"], config["hidden"], config["seed"]) == (2, [8], 3)
    assert cli.main([*go_on, "--out", run, "--resume", "--set", "num_tasks=3"]) == 2
    assert "num_tasks: saved 2, given 3" in capsys.readouterr().err


def test_a_run_goes_on_to_its_own_end_or_to_a_later_one(tmp_path, capsys):
    go_on = ["train", "toy/reach", "--method", "maml", "--out", str(tmp_path / "run"), "--resume"]
    tiny = ["--set", "num_tasks=2", "episodes=2"]
    assert cli.main([*go_on, "--iterations", "1", *tiny]) == 0
    assert f"no run in {tmp_path / 'run'} to go on with; starting one" in capsys.readouterr().out
    assert cli.main([*go_on, *tiny]) == 0
    assert [row["step"] for row in read_metrics(tmp_path / "run")] == [1]
    assert cli.main([*go_on, *tiny, "--from", str(tmp_path / "run")]) == 0
    assert "plays no part any more" in capsys.readouterr().out
    assert cli.main([*go_on, "--iterations", "2", *tiny]) == 0
    assert [row["step"] for row in read_metrics(tmp_path / "run")] == [1, 2]
    before = (tmp_path / "run" / "config.json").read_bytes()
    assert cli.main([*go_on, "--iterations", "1", *tiny]) == 2
    said = capsys.readouterr().err
    assert "has done 2 iterations, so it cannot end after 1" in said
    assert (tmp_path / "run" / "config.json").read_bytes() == before
    assert [row["step"] for row in read_metrics(tmp_path / "run")] == [1, 2]


def test_train_takes_the_fields_of_a_config(tmp_path):
    tiny = ("--set", "num_tasks=2", "episodes=2", "inner_updates=1", "hidden=[8]")
    done = metarl("train", TOY, "--iterations", "1", "--out", tmp_path / "run", *tiny)
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["num_tasks"], config["hidden"]) == (2, [8])


def test_a_flag_without_effect_is_refused(tmp_path, capsys):
    options = ["--method", "ppo", "--backend", "learn2learn", "--out", str(tmp_path / "run")]
    assert cli.main(["train", "toy/reach", *options]) == 2
    assert "has no effect" in capsys.readouterr().err
    assert cli.main(["train", "toy/reach", "--method", "fine-tune"]) == 2
    assert "trains nothing, it adapts what others trained" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_default_folder_has_no_slashes():
    assert default_folder(["my_module:kitchen/season"], "maml", 2) == Path(
        "runs/kitchen-season-maml-s2"
    )
    assert default_folder(["kitchen/heat"], "ppo", 1, "lp-ft") == Path(
        "runs/kitchen-heat-ppo-lp-ft-s1"
    )
    assert default_folder(["kitchen/add@robot=my arms/a.xml,control=joint"], "ppo", 0) == Path(
        "runs/kitchen-add-robot-my-arms-a.xml-control-joint-ppo-s0"
    )


def test_a_demo_that_cannot_write_says_so(tmp_path, capsys):
    taken = tmp_path / "file"
    taken.write_text("")
    assert cli.main(["demo", "--out", str(taken)]) == 2
    assert f"cannot write to {taken}" in capsys.readouterr().err


def test_empty_run_folder_holds_no_policy(tmp_path):
    from metarl.runs.policies import read_checkpoint

    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["--method", "ppo"],
            "trains on one family, not on 2; for several use --method multi-task",
        ),
        (["--method", "multi-task", "--from", "x"], "--from has no effect: multi-task"),
        (["--method", "multi-task", "--strategy", "fine-tune"], "'fine-tune' has no effect"),
        (["--method", "multi-task", "--set", "aggregation=pc"], "valid: aligned-mtl, famo"),
    ],
)
def test_several_families(words, says, tmp_path, capsys):
    names = ["toy:toy/reach", "pair:pair/same"]
    assert cli.main(["train", *names, *words, "--out", str(tmp_path / "a")]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert not (tmp_path / "a").exists()


def test_a_family_twice_is_told(tmp_path, capsys):
    assert cli.main(["train", TOY, TOY, "--method", "multi-task"]) == 2
    assert "stands there twice" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--workers", "2"], "--workers has no effect without --ray; add --ray, or leave it out"),
        (["--workers", "0", "--ray"], "--workers is 0; expected an integer >= 1"),
        (["--method", "ppo", "--ray"], "the tasks of ppo cannot be split over workers yet; leave"),
        (["--method", "ppo", "--ray"], "or train by one of anil, maml, maml-trpo, meta-sgd, promp"),
        (
            ["--ray=head"],
            "--ray is 'head'; expected auto (the cluster that this machine is part of)",
        ),
    ],
)
def test_workers_that_cannot_be_are_one_line(words, says, tmp_path, monkeypatch, capsys):
    there = importlib.util.find_spec("json")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: there)  # as if Ray were there
    assert cli.main(["train", TOY, *words, "--out", str(tmp_path / "a")]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert not (tmp_path / "a").exists()


def test_workers_need_ray(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert cli.main(["train", TOY, "--ray", "--out", str(tmp_path / "a")]) == 2
    assert capsys.readouterr().err == (
        "metarl: Ray is not installed: pip install 'metarl-sim[ray]'\n"
    )
