"""What a training starts from, under its config and its strategy."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from pupils import Chance, pupil
from sliders import Slide
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from toy import Reach, knowing, saved

from metarl.errors import ConfigError
from metarl.learn.start import start_from
from metarl.learn.train import train
from metarl.methods import rule_names, rules_of
from metarl.nn.policy import LOG_STD
from metarl.rl.config import PpoConfig
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.policies import load_policy, read_checkpoint
from metarl.sim.worlds import Worlds

TINY = {"num_worlds": 4, "minibatch": 80, "iterations": 1, "learning_rate": 1e-12}
MAP = ["robot=0:4"]


@pytest.fixture(scope="module")
def model():
    """Of others, with statistics of what it observed."""
    return pupil(PPO, VecNormalize(DummyVecEnv([Chance]), clip_obs=1.5))


def own() -> Checkpoint:
    spec = Worlds(Reach(), 1).spec
    policy = knowing(spec)
    with torch.no_grad():
        policy.log_std.fill_(-2.0)
    found = saved(policy, spec)
    return Checkpoint(found.tensors, {**found.meta, "family": "toy/reach"})


def test_another_family_explores_afresh_unless_the_source_is_asked_for():
    blind = {"hidden": (2,), "task_visible": False}
    within, beyond = start_from(own(), Reach()), start_from(own(), Slide())
    assert within.under(PpoConfig(**blind)).tensors["log_std"].tolist() == [-2.0, -2.0]
    assert "log_std" not in within.under(PpoConfig(**blind, exploration="fresh")).tensors
    assert "log_std" not in beyond.under(PpoConfig(**blind)).tensors
    kept = beyond.under(PpoConfig(**blind, exploration="source", strategy="fine-tune"))
    assert kept.tensors["log_std"].tolist() == [-2.0, -2.0]
    said = beyond.under(PpoConfig(**blind)).to_json()
    assert "another exploration" in said["fresh"]["log_std"]
    became = {row["name"]: row["became"] for row in said["parameters"]}
    assert became["log_std"] == "set"


@pytest.mark.parametrize("name", rule_names())
def test_what_a_strategy_draws_anew_is_said(name):
    start, kind = start_from(own(), Slide()), rules_of(name)
    under = start.under(PpoConfig(hidden=(2,), strategy=name))
    said = under.to_json()
    became = {row["name"]: row["became"] for row in said["parameters"]}
    trunk, head = (became[f"{part}.weight"] for part in ("trunk.layers.0", "head"))
    assert (trunk == "drawn anew") == (kind.start == "scratch")
    assert (head == "drawn anew") == kind.new_head
    assert ("layers" in said["carried"]) == (kind.start == "source")
    assert ("head" in said["carried"]) == (not kind.new_head)
    assert bool(said["zeroed"]) == (kind.start == "source" or kind.imitates)
    if kind.imitates:  # it is needed whole
        assert under.tensors.keys() == start.tensors.keys()
        assert all(why.startswith("to what is imitated ") for why in said["zeroed"].values())
    assert f"by {name}" in str(under) or not (kind.new_head or kind.start == "scratch")


def test_the_networks_are_as_the_source_has_them():
    start = start_from(own(), Reach())
    assert start.network == {
        "hidden": [2], "activation": "tanh", "squash": False, "normalised": False,
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"hidden is \[64, 64\], but a policy has \[2\]"):
        start.under(PpoConfig())


@pytest.mark.parametrize("strategy", ["fine-tune", "l2-sp", "low-rank", "wise-ft"])
def test_statistics_are_the_sources_under_every_strategy_that_keeps_it(strategy, model, tmp_path):
    how = {"mapping": MAP, "strategy": strategy, "exploration": "source"}
    found = read_checkpoint(train("toy/reach", "ppo", out=tmp_path, start=model, **how, **TINY))
    env = model.get_vec_normalize_env()
    mean = found.tensors["policy.normaliser.mean"].numpy()
    np.testing.assert_array_equal(mean, [*env.obs_rms.mean[:4], 0.0, 0.0])
    assert found.meta["config"]["normalised"]
    assert load_policy(found).normaliser.bound[:4].tolist() == [1.5] * 4
    torch.testing.assert_close(found.tensors["policy.log_std"], model.policy.log_std.detach())
    more = train("toy/reach", "ppo", out=tmp_path, resume=True, iterations=2)
    assert np.array_equal(read_checkpoint(more).tensors["policy.normaliser.mean"].numpy(), mean)


def test_a_student_from_nothing_forgets_statistics_and_its_teacher_keeps_them(model, tmp_path):
    how = {"mapping": MAP, "strategy": "kickstart"}
    found = read_checkpoint(train("toy/reach", "ppo", out=tmp_path, start=model, **how, **TINY))
    assert not found.tensors["policy.normaliser.mean"].any()
    torch.testing.assert_close(found.tensors["policy.log_std"], torch.full((2,), LOG_STD))
    start = json.loads((tmp_path / "start.json").read_text())
    became = {row["name"]: row["became"] for row in start["parameters"]}
    assert became["normaliser.mean"] == became["trunk.layers.0.bias"] == "drawn anew"
    held = [t for n, t in found.tensors.items() if "normaliser.mean" in n and "policy." not in n]
    mean = model.get_vec_normalize_env().obs_rms.mean
    assert [t[:4].tolist() for t in held] == [mean[:4].tolist()]


def test_paths_may_be_strings(tmp_path):
    first = train("toy/reach", "ppo", out=str(tmp_path / "a"), **TINY)
    second = train("toy/reach", "ppo", out=str(tmp_path / "b"), start=str(first), **TINY)
    assert (
        read_checkpoint(str(tmp_path / "b")).tensors.keys()
        == read_checkpoint(second).tensors.keys()
    )


def test_a_spread_that_acts_as_another_is_told(tmp_path, capsys):
    train("toy/reach", "ppo", out=tmp_path / "a", log_std=-3.5, **TINY)
    assert "log_std -3.5 acts as -3: " in capsys.readouterr().err
    train("toy/reach", "ppo", out=tmp_path / "b", log_std=-3.0, **TINY)
    assert "acts as" not in capsys.readouterr().err
