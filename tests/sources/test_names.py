"""CleanRL's state_dict, and tensors that the user names."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from pupils import act, observations
from safetensors.torch import save_file
from torch import nn

from metarl.errors import CheckpointError, ConfigError
from metarl.runs.policies import load_policy
from metarl.sources import read_source
from metarl.sources.names import parse_names


class Agent(nn.Module):
    """As cleanrl/ppo_continuous_action.py has it."""

    def __init__(self):
        super().__init__()
        self.critic = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1))
        self.actor_mean = nn.Sequential(
            nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 2)
        )
        self.actor_logstd = nn.Parameter(torch.tensor([[-0.5, 1.0]]))


@pytest.fixture(scope="module")
def agent():
    torch.manual_seed(0)
    return Agent()


def test_a_cleanrl_agent_acts_as_it_did_to_the_bit(agent, tmp_path):
    torch.save(agent.state_dict(), tmp_path / "agent.cleanrl_model")
    found = read_source(tmp_path / "agent.cleanrl_model")
    with torch.no_grad():
        expected = agent.actor_mean(torch.from_numpy(observations())).clamp(-1.0, 1.0).numpy()
    assert np.abs(act(load_policy(found), observations()) - expected).max() == 0.0
    assert found.tensors["policy.log_std"].tolist() == [-0.5, 1.0]
    assert found.meta["family"] == "CleanRL PPO"
    assert found.meta["dropped"]["critic.0.weight"] == [8, 5]
    notes = " ".join(found.meta["notes"])
    assert "taken to lie in [-1, 1]" in notes
    assert "NormalizeObservation" in notes
    assert "acts as if within [-3, 0.5]" in notes


NAMES = [
    *(f"trunk.layers.{i}.{part}=net.{i}.{part}" for i in (0, 2) for part in ("weight", "bias")),
    "head.weight=net.4.weight",
    "head.bias=net.4.bias",
]


@pytest.fixture
def tensors(agent, tmp_path):
    """A file of bare tensors, in both kinds."""
    found = {f"net.{name}": t.clone() for name, t in agent.actor_mean.state_dict().items()}
    save_file(found, tmp_path / "bare.safetensors")
    torch.save(found, tmp_path / "bare.pt")
    return tmp_path


@pytest.mark.parametrize("kind", ["safetensors", "pt"])
def test_named_tensors_come_by_the_same_door(kind, agent, tensors):
    found = read_source(tensors / f"bare.{kind}", names=NAMES)
    with torch.no_grad():
        expected = agent.actor_mean(torch.from_numpy(observations())).clamp(-1.0, 1.0).numpy()
    assert np.abs(act(load_policy(found), observations()) - expected).max() == 0.0
    with pytest.raises(ConfigError, match="nobody has named"):
        read_source(tensors / f"bare.{kind}")


def test_a_file_says_more_than_names(agent, tensors):
    said = {
        "names": dict(name.split("=") for name in NAMES),
        "activation": "relu", "squash": False, "low": [-2.0, -1.0], "high": [2.0, 3.0],
    }  # fmt: skip
    (tensors / "names.json").write_text(json.dumps(said))
    found = read_source(tensors / "bare.safetensors", names=[str(tensors / "names.json")])
    assert found.meta["config"]["activation"] == "relu"
    layers = agent.actor_mean
    with torch.no_grad():
        x = torch.from_numpy(observations())
        there = layers[4](layers[2](layers[0](x).relu()).relu()).numpy()
    low, high = np.array(said["low"]), np.array(said["high"])
    ours = act(load_policy(found), observations())
    np.testing.assert_allclose(
        low + 0.5 * (ours + 1.0) * (high - low), there.clip(low, high), atol=1e-5
    )


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["head.weight"], "no file head.weight"),
        (["head.weight=a", "head.bias"], "cannot read --names 'head.bias'"),
        (["wing.weight=a", "head.bias=b"], "'wing.weight' is no tensor of a policy"),
        (["head.weight=a", "head.weight=b"], "twice"),
        (["head.weight=a", "head.bias=a"], "twice"),
    ],
)
def test_words_that_name_nothing_are_refused(words, match):
    with pytest.raises((ConfigError, CheckpointError), match=match):
        parse_names(words)


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({"name": {}}, "did you mean 'names'"),
        ({"names": []}, "expected a table of names"),
        ({"names": {}, "activation": "mish"}, "unknown activation 'mish'"),
        ({"names": {}, "squash": 1}, "expected true or false"),
        ({"names": {}, "low": [1.0]}, "expected both"),
        ({"names": {}, "low": [1.0], "high": ["x"]}, "expected a number an action"),
    ],
)
def test_a_file_of_names_is_strict(said, match, tmp_path):
    (tmp_path / "names.json").write_text(json.dumps(said))
    with pytest.raises(ConfigError, match=match):
        parse_names([str(tmp_path / "names.json")])


def test_tensors_that_are_no_policy_are_refused(tensors):
    with pytest.raises(ConfigError, match=r"did you mean 'net\.0\.weight'"):
        read_source(
            tensors / "bare.pt", names=["head.weight=net.0.weights", "head.bias=net.0.bias"]
        )
    with pytest.raises(CheckpointError, match="no policy of plain layers"):
        read_source(tensors / "bare.pt", names=NAMES[4:])
    with pytest.raises(CheckpointError, match="expected each as wide"):
        read_source(tensors / "bare.pt", names=[*NAMES[:2], *NAMES[4:]])
    save_file({"a": torch.zeros(2, dtype=torch.complex64)}, tensors / "c.safetensors")
    with pytest.raises(CheckpointError, match="complex64"):
        read_source(tensors / "c.safetensors", names=NAMES)
    (tensors / "cut.safetensors").write_bytes((tensors / "bare.safetensors").read_bytes()[:-4])
    with pytest.raises(CheckpointError, match="damaged, or no safetensors"):
        read_source(tensors / "cut.safetensors", names=NAMES)
