"""Asked of policies that want the same, another thing, or the opposite."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from directions import Left, Right, taught
from pupils import pupil
from sliders import Slide
from stable_baselines3 import PPO
from toy import Reach

import metarl.advise
from metarl.advise.advice import NOTHING
from metarl.advise.advisor import rank
from metarl.advise.carried import Reading, carry_source
from metarl.advise.evidence import Target, gather
from metarl.advise.rule import Rule
from metarl.advise.signals import SIGNALS, Evidence
from metarl.errors import CheckpointError, ConfigError
from metarl.registry import make_family
from metarl.runs.checkpoint import save_checkpoint
from metarl.runs.policies import read_checkpoint
from metarl.runs.shipped import shipped
from metarl.sim.worlds import Worlds

EPISODES = 16


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Policies that go right, left and up."""
    folder = tmp_path_factory.mktemp("sources")
    return {name: taught(f"toy/{name}", folder / name) for name in ("right", "left", "up")}


@pytest.fixture(scope="module")
def evidence(sources):
    target = Target(Right(), episodes=EPISODES)
    return {name: gather(path, target, name=name) for name, path in sources.items()}


def test_every_signal_is_known_of_a_policy_of_such_a_family(evidence):
    for one in evidence.values():
        assert set(one.signals) == set(SIGNALS)
        assert not one.absent
        assert np.isfinite(list(one.signals.values())).all()
        assert one.steps > 0
    assert evidence["left"].family == "toy/left"
    assert evidence["left"].target == "toy/right"
    assert "task: zero weights" in evidence["left"].carried


@pytest.mark.parametrize(
    "signal",
    ["zero_update", "greedy", "action_agreement", "expert_approach", "logme_actions",
     "h_score_actions", "gradient_cosine_untrained"],
)  # fmt: skip
def test_a_signal_prefers_the_same_to_the_opposite(evidence, signal):
    assert evidence["right"].signals[signal] > max(0.0, evidence["left"].signals[signal])


def test_who_wants_the_opposite_is_predicted_to_harm(sources):
    advice = metarl.advise.advise(list(sources.values()), Right(), episodes=EPISODES)
    right, left, up = (advice.best_of(str(path)) for path in sources.values())
    whole = {o.source: o.prediction.gain for o in advice.options if o.strategy == "fine-tune"}
    assert advice.options[0] == right
    assert right.verdict == "reuse it"
    assert whole[left.source] < -0.2
    assert left.verdict != "reuse it"
    assert whole[left.source] < whole[up.source] < whole[right.source]
    assert f"reuse {sources['right']}" in advice.verdict()
    again = metarl.advise.advise([sources["left"]], Left(), episodes=EPISODES)
    assert again.options[0].verdict == "reuse it"  # it is the target that makes it harm


def test_what_is_shared_is_what_goes_along():
    family = make_family("kitchen/season")
    spec = Worlds(family, 1).spec
    found = carry_source(shipped("kitchen/heat", "heat-ppo"), family, spec, 0)
    assert found.observed == 8 / 13  # the hand's, but for the opening of the gripper
    first, own = found.policy.trunk.layers[0].weight, found.own.trunk.layers[0].weight
    assert torch.equal(first[:, found.common.here], own[:, found.common.there])
    others = [k for k in range(spec.obs_dim) if k not in found.common.here.tolist()]
    assert not first[:, others].any()


def test_one_seed_one_advice_whatever_the_process_has_set(sources, evidence):
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch.set_default_dtype(torch.float64)
    try:
        again = gather(sources["up"], Target(Right(), episodes=EPISODES))
    finally:
        torch.set_default_dtype(torch.float32)
    assert again.signals == evidence["up"].signals
    other = gather(sources["up"], Target(Right(), episodes=EPISODES, seed=1))
    assert other.signals != evidence["up"].signals


def test_evidence_is_kept_as_json(evidence):
    one = evidence["up"]
    assert Evidence.from_json(dataclasses.asdict(one)) == one
    for bad in ({}, {**one.to_json(), "signals": {"magic": 1.0}}, {**one.to_json(), "signals": 3}):
        with pytest.raises(CheckpointError, match="evidence"):
            Evidence.from_json(bad)


class Unguided(Reach):
    """Without an expert."""

    id = "toy/unguided"

    @classmethod
    def has_expert(cls):
        return False


def test_what_cannot_be_known_is_said(sources, tmp_path):
    found = read_checkpoint(sources["up"])
    path = tmp_path / "stranger.safetensors"
    save_checkpoint(path, found.tensors, {**found.meta, "family": "not/here"})
    one = gather(path, Target(Unguided(), episodes=EPISODES))
    assert set(one.signals) | set(one.absent) == set(SIGNALS)
    assert "no expert" in one.absent["action_agreement"]
    assert "cannot be run here: unknown family 'not/here'" in one.absent["gradient_cosine"]
    advice = metarl.advise.advise([path], Unguided(), episodes=EPISODES)
    said = "\n".join(advice.lines())
    assert "Not known of" in said
    assert "gradient cosine" in said


def test_a_source_of_other_blocks_and_actions_is_held_against_what_it_shares(sources):
    one = gather(sources["right"], Target(Slide(), episodes=EPISODES))
    assert one.signals["shared_observations"] == pytest.approx(4 / 5)  # `robot`, not `object`
    assert one.signals["shared_actions"] == 1.0


def test_a_policy_of_stable_baselines_is_a_source_by_a_mapping(tmp_path):
    pupil(PPO).save(tmp_path / "model.zip")
    path, mapping = tmp_path / "model.zip", ("robot=observation[0:4]",)
    with pytest.raises(ConfigError, match="--map robot=0:4"):
        metarl.advise.advise([path], Right(), episodes=EPISODES)
    reading = Reading(mapping=mapping)
    advice = metarl.advise.advise([path], Right(), episodes=EPISODES, reading=reading)
    one = advice.evidence[0]
    assert one.signals["shared_observations"] == 1.0
    assert one.signals["shared_actions"] == 1.0
    assert "cannot be run here" in one.absent["gradient_cosine"]
    with pytest.raises(ConfigError, match="of one source; 2 are given"):
        metarl.advise.advise([path, tmp_path], Right(), reading=reading)


def test_sources_are_asked_once_each_and_some_there_must_be(sources):
    with pytest.raises(ConfigError, match="at least one"):
        metarl.advise.advise([], Right())
    up = sources["up"]
    with pytest.raises(ConfigError, match="twice"):
        metarl.advise.advise([up, up.parent / ".." / "checkpoints" / up.name], Right())
    with pytest.raises(CheckpointError, match="no checkpoint"):
        metarl.advise.advise(["nowhere"], "toy/right")


def test_a_checkpoint_that_holds_another_network_is_refused(sources, tmp_path):
    found = read_checkpoint(sources["up"])
    path = tmp_path / "trunkless.safetensors"
    tensors = {n: t for n, t in found.tensors.items() if "trunk" not in n}
    save_checkpoint(path, tensors, found.meta)
    with pytest.raises((CheckpointError, ConfigError), match=r"holds no trunk"):
        gather(path, Target(Right(), episodes=2))


@pytest.mark.parametrize(
    ("gain", "verdict", "best"),
    [(0.3, "reuse it", "Best: reuse a."), (0.05, NOTHING, "no source is predicted to help by more"),
     (-0.05, NOTHING, "by more than noise does (0.10)"), (-0.3, "start from scratch", "to harm")],
)  # fmt: skip
def test_a_gain_that_noise_brings_about_is_no_reason(gain, verdict, best):
    signals = {"zero_update": gain, "logme_actions": -9.0}
    known = Evidence("a", "toy/right", "toy/left", signals, {}, "all", 0, 0.0)
    advice = rank([known], "toy/left", Rule())
    assert advice.best_of("a").verdict == verdict
    assert best in advice.verdict()
