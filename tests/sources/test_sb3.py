"""Stable-Baselines3's policies act here as they do there, to the bit."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
import torch
from pupils import ACTIONS, OBS, Chance, act, observations, pupil
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from metarl.errors import CheckpointError, ConfigError
from metarl.runs.policies import load_policy
from metarl.sources import read_source

BOX = {":type:": "<class 'gymnasium.spaces.box.Box'>", "_shape": [2], "low": "[-1. -1.]"}
KINDS = (PPO, A2C, SAC, TD3)
EPS = np.finfo(np.float32).eps


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.__name__)
def model(request):
    return pupil(request.param)


def test_it_acts_as_it_did_to_the_bit(model, tmp_path):
    """The environment's actions are in [-1, 1], as ours: the difference is 0.0."""
    model.save(tmp_path / "model.zip")
    expected = model.predict(observations(), deterministic=True)[0]
    if isinstance(model, (SAC, TD3)):  # SB3 rounds once more, on the way from [-1, 1] to the same
        with torch.no_grad():
            expected = model.policy._predict(torch.from_numpy(observations()), True).numpy()
    for source in (model, tmp_path / "model.zip"):
        found = read_source(source)
        assert np.abs(act(load_policy(found), observations()) - expected).max() == 0.0
        assert found.meta["blocks"] == {"observation": OBS, "task": 0}
        assert found.meta["action_dim"] == ACTIONS
        assert found.meta["config"]["hidden"] == [8, 6]
        assert found.meta["config"]["squash"] == isinstance(model, (SAC, TD3))
        assert any("critic" in name or "value" in name for name in found.meta["dropped"])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_other_bounds_become_ours_up_to_rounding(kind, tmp_path):
    low, high = np.float32([-2.0, -1.0]), np.float32([1.0, 0.25])
    model = pupil(kind, Chance(low, high), activation_fn=torch.nn.ELU)
    model.save(tmp_path / "model.zip")
    expected = model.predict(observations(), deterministic=True)[0]
    for source in (model, tmp_path / "model.zip"):
        ours = act(load_policy(read_source(source)), observations())
        np.testing.assert_allclose(low + 0.5 * (ours + 1.0) * (high - low), expected, atol=8 * EPS)
    if kind is PPO:
        notes = " ".join(read_source(model).meta["notes"])
        assert "scaled from the bounds of its actions" in notes
        mean, std = model.policy.log_std.detach(), torch.tensor([2.0 / 3.0, 2.0 / 1.25])
        ours = read_source(model).tensors["policy.log_std"]
        torch.testing.assert_close(ours, mean + std.log())


def test_a_state_dependent_deviation_is_said_to_be_set(model):
    notes = " ".join(read_source(model).meta["notes"])
    assert ("log_std: set to" in notes) == isinstance(model, (SAC, TD3))


def test_statistics_come_along_with_a_live_model_or_as_arrays(tmp_path):
    env = VecNormalize(DummyVecEnv([Chance]), clip_obs=1.5)
    model = pupil(PPO, env)
    model.save(tmp_path / "model.zip")
    env.training = False
    seen = env.normalize_obs(observations())
    assert (np.abs(seen) == 1.5).any()
    expected = model.predict(seen, deterministic=True)[0]
    arrays = {"mean": env.obs_rms.mean, "var": env.obs_rms.var}
    np.savez(tmp_path / "env.npz", **arrays, epsilon=env.epsilon, clip=env.clip_obs)
    by_hand = read_source(tmp_path / "model.zip", statistics=tmp_path / "env.npz")
    for found in (read_source(model), by_hand):
        assert found.meta["config"]["normalised"]
        assert np.abs(act(load_policy(found), observations()) - expected).max() == 0.0
    env.save(str(tmp_path / "env.pkl"))
    with pytest.raises(CheckpointError, match=r"pickle\.load.*\n.*numpy\.savez.*obs_rms"):
        read_source(tmp_path / "model.zip", statistics=tmp_path / "env.pkl")


def test_the_lines_that_turn_a_pickle_into_arrays_do_so(tmp_path):
    env = VecNormalize(DummyVecEnv([Chance]))
    model = pupil(PPO, env)
    model.save(tmp_path / "model.zip")
    env.save(str(tmp_path / "env.pkl"))
    with pytest.raises(CheckpointError) as refused:
        read_source(tmp_path / "model.zip", statistics=tmp_path / "env.pkl")
    exec("\n".join(str(refused.value).splitlines()[1:]))
    ours = read_source(tmp_path / "model.zip", statistics=tmp_path / "env.npz")
    assert torch.equal(ours.tensors["policy.normaliser.mean"], torch.from_numpy(env.obs_rms.mean))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"mean": np.zeros(3), "var": np.ones(3)}, "statistics of 3 numbers"),
        ({"var": -np.ones(OBS)}, "variances >= 0"),
        ({"mean": np.full(OBS, np.nan)}, "finite"),
        ({"clip": 0.0}, "clip 0.0"),
        ({"clip": None}, "lacks clip"),
        ({"other": np.zeros(2)}, "'other.npy', which does not belong"),
        ({"mean": np.array(["a"] * OBS)}, "no array of numbers"),
    ],
)
def test_statistics_that_do_not_fit_are_refused(changes, match, tmp_path):
    pupil(PPO).save(tmp_path / "model.zip")
    usual = {"mean": np.zeros(OBS), "var": np.ones(OBS), "epsilon": 1e-8, "clip": 10.0}
    arrays = {name: x for name, x in (usual | changes).items() if x is not None}
    np.savez(tmp_path / "env.npz", **arrays)
    with pytest.raises(CheckpointError, match=match):
        read_source(tmp_path / "model.zip", statistics=tmp_path / "env.npz")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"use_sde": True}, "gSDE"),
        (
            {"policy_kwargs": {"activation_fn": "<class 'torch.nn.modules.activation.Mish'>"}},
            "Mish",
        ),
        (
            {"action_space": {":type:": "<class 'gymnasium.spaces.discrete.Discrete'>"}},
            "only a Box",
        ),
        ({"action_space": 3}, "only a Box"),
        ({"action_space": BOX | {"high": "[inf 1.]"}}, "finite bounds"),
        ({"action_space": BOX | {"high": "[-1. 1.]"}}, "finite bounds"),
        ({"action_space": BOX | {"high": "[ 1. ... 1.]"}}, "cannot read high"),
        ({"action_space": BOX | {"high": "[1.]"}}, "1 values of high"),
        ({"action_space": BOX | {"_shape": [10**9]}}, "shape"),
        ({"action_space": BOX | {"_shape": [10**30]}}, "cannot read"),
    ],
)
def test_what_its_words_say_and_nobody_can_do_is_refused(changes, match, tmp_path):
    pupil(PPO).save(tmp_path / "model.zip")
    with zipfile.ZipFile(tmp_path / "model.zip") as before:
        members = {name: before.read(name) for name in before.namelist()}
    members["data"] = json.dumps(json.loads(members["data"]) | changes).encode()
    with zipfile.ZipFile(tmp_path / "changed.zip", "w") as after:
        for name, content in members.items():
            after.writestr(name, content)
    with pytest.raises(CheckpointError, match=match):
        read_source(tmp_path / "changed.zip")


def test_other_algorithms_and_anything_else_are_refused():
    class Choice(Chance):
        def __init__(self):
            super().__init__()
            from gymnasium.spaces import Discrete

            self.action_space = Discrete(2)

    with pytest.raises(CheckpointError, match="no MlpPolicy of PPO, A2C, SAC or TD3"):
        read_source(DQN("MlpPolicy", Choice(), buffer_size=8))
    with pytest.raises(CheckpointError, match="expected a path, or a model"):
        read_source({"policy": 3})
    with pytest.raises(CheckpointError, match="gSDE"):
        read_source(PPO("MlpPolicy", Chance(), use_sde=True, n_steps=4, batch_size=4))


def test_names_and_statistics_without_effect_are_refused(tmp_path):
    pupil(PPO).save(tmp_path / "model.zip")
    with pytest.raises(ConfigError, match="--names has no effect"):
        read_source(tmp_path / "model.zip", names=["head.bias=x"])
    with pytest.raises(ConfigError, match="--statistics has no effect"):
        read_source(pupil(PPO), statistics=tmp_path / "env.npz")
