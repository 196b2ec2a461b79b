"""A checkpoint knows what its family was; a family that has changed since is told."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from toy import Reach

from metarl.cli import main
from metarl.errors import ChangedFamilyWarning, CheckpointError
from metarl.family import TaskFamily
from metarl.learn.loop import train
from metarl.rl.ppo import PpoConfig, PpoTrainer
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.fingerprint import (
    FINGERPRINT,
    family_differences,
    fingerprint,
    require_unchanged,
)
from metarl.runs.policies import load_policy_for, read_checkpoint
from metarl.sim.worlds import Worlds

CONFIG = PpoConfig(num_worlds=2, minibatch=40, epochs=1, iterations=1, hidden=(2,))


@pytest.fixture
def checkpoint():
    """As one that was trained on the toy, with nothing in it but what it says."""
    return Checkpoint({}, {"family": "toy/reach", FINGERPRINT: fingerprint(Reach())})


observe = Reach.observe


def scaled(family, worlds, task):
    """What took the return from 55 to 2 without a word."""
    return {"robot": observe(family, worlds, task)["robot"] * 0.2}


class Scaled(Reach):
    observe = scaled


class Swapped(Reach):
    def observe(self, worlds, task):
        return {"robot": super().observe(worlds, task)["robot"][:, ::-1]}


class Wider(Reach):
    def observe(self, worlds, task):
        robot = super().observe(worlds, task)["robot"]
        return {"robot": np.concatenate([robot, robot], 1)}


class Faster(Reach):
    control_dt_s = 0.02


class Longer(Reach):
    horizon = 50


class Weighted(Reach):
    weights = {"near": 10.0}


class Rewarded(Reach):
    def terms(self, worlds, task, action):
        return {"near": 1.0 - super().terms(worlds, task, action)["near"]}


class Weaker(Reach):
    def act(self, worlds, task, action):
        super().act(worlds, task, 0.5 * action)


@pytest.mark.parametrize(
    ("family", "told"),
    [
        (Scaled(), "observation robot of a probe episode was"),
        (Swapped(), "observation robot of a probe episode was"),
        (Wider(), "blocks robot was 4, is 8"),
        (Faster(), "control_dt_s was 0.05, is 0.02"),
        (Longer(), "horizon was 40, is 50"),
        (Weighted(), "weights near was 1.0, is 10.0"),
        (Rewarded(), "reward near of a probe episode was"),
        (Weaker(), "observation robot of a probe episode was"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, TaskFamily) else "",
)
def test_a_change_is_told(checkpoint, family, told):
    family.id = "toy/reach"
    found = family_differences(checkpoint, family)
    assert any(line.startswith(told) for line in found), found
    with pytest.raises(CheckpointError, match=r"toy/reach has changed since .* train anew"):
        require_unchanged(checkpoint, family)


def test_what_has_not_changed_is_not_told(checkpoint):
    class Commented(Reach):
        """The same family, written anew."""

        id = "toy/reach"

        def observe(self, worlds, task):
            where = worlds.qpos * 5  # another comment
            return {"robot": np.concatenate([where, worlds.qvel], axis=1)}

    assert family_differences(checkpoint, Commented()) == []
    require_unchanged(checkpoint, Reach())


def test_what_another_machine_computes_otherwise_is_no_change(checkpoint):
    probe = checkpoint.meta[FINGERPRINT]["probe"]
    for name, values in probe.items():
        probe[name] = [value * (1 + 1e-5) for value in values]
    assert family_differences(checkpoint, Reach()) == []


def test_other_families_and_older_checkpoints_say_nothing(checkpoint):
    older = Checkpoint({}, {"family": "toy/reach"})
    family = Scaled()
    family.id = "toy/reach"
    assert family_differences(older, family) == []
    family.id = "toy/scaled"
    assert family_differences(checkpoint, family) == []


@pytest.mark.parametrize("forged", [{}, {"probe": 3}, {"probe": {"a": ["x"]}}, {"blocks": []}])
def test_a_forged_fingerprint_is_a_difference(forged):
    found = Checkpoint({}, {"family": "toy/reach", FINGERPRINT: forged})
    assert family_differences(found, Reach())


def test_shipped_families_have_fingerprints_that_repeat():
    from metarl.registry import make_family

    for name in ("kitchen/skills", "classic/cheetah-velocity"):
        one, other = fingerprint(make_family(name)), fingerprint(make_family(name))
        assert one == other
        assert all(np.isfinite(values).all() for values in one["probe"].values())


@pytest.fixture
def run(tmp_path):
    """A run of the toy, as the loop writes it."""
    train(PpoTrainer(Reach(), CONFIG), tmp_path / "run")
    return tmp_path / "run"


def test_a_run_of_a_family_that_changes_under_it(run, monkeypatch, capsys):
    found = read_checkpoint(run)
    worlds = Worlds(Reach(), 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_policy_for(found, worlds)
    words = ["adapt", str(run), "toy:toy/reach", "--num-tasks", "1", "--episodes", "1"]
    words += ["--eval-episodes", "1", "--updates", "0"]
    assert main([*words, "--strict"]) == 0
    assert "changed" not in capsys.readouterr().err

    monkeypatch.setattr(Reach, "observe", scaled)
    with pytest.warns(ChangedFamilyWarning, match="observation robot of a probe episode"):
        load_policy_for(found, Worlds(Reach(), 1))
    assert main(words) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "changed" in line]
    assert len(said) == 1
    assert said[0].startswith("metarl: warning: toy/reach has changed since")
    assert main([*words, "--strict"]) == 2
    assert "leave out --strict" in capsys.readouterr().err
    again = ["train", "toy:toy/reach", "--method", "ppo", "--out", str(run)]
    again += ["--resume", "--iterations", "2", "--strict"]
    assert main(again) == 2
    begun = ["train", "toy:toy/reach", "--method", "ppo", "--from", str(run), "--strict"]
    assert main([*begun, "--out", str(run.parent / "other")]) == 2
    watched = ["watch", "toy:toy/reach", "--policy", str(run), "--strict", "--no-live"]
    assert main([*watched, "--out", str(run.parent / "film.mp4")]) == 2
    assert capsys.readouterr().err.count("has changed since") == 3
    with pytest.warns(ChangedFamilyWarning, match="has changed since"):
        train(PpoTrainer(Reach(), CONFIG), run, resume=True)
