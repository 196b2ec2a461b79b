"""A policy under another interface: what it did it does, and what became of every parameter."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from pupils import Chance, act, pupil
from sliders import Slide
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from toy import Reach, knowing, saved

from metarl.errors import ConfigError, FamilyError
from metarl.nn.surgery import FIRST
from metarl.registry import register
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.policies import load_policy, load_policy_for
from metarl.sim.worlds import Worlds
from metarl.sources import carry, read_source
from metarl.sources.interface import fits
from metarl.sources.report import Surgery, rows_of

MAP = ["robot[0:2]=3:5", "robot[2:4]=0:2*10"]


@register("toy/arm")
class Arm(Reach):
    """The toy with other actions, under another control."""

    id = "toy/arm"

    def __init__(self, *, control: str = "hand"):
        self.control = control
        self.id = "toy/arm" if control == "hand" else f"toy/arm@control={control}"


def own(seed: int = 0, **meta) -> Checkpoint:
    """What a run on the toy saved."""
    spec = Worlds(Reach(), 1).spec
    policy = knowing(spec)
    policy.reinitialise(torch.Generator().manual_seed(seed))
    with torch.no_grad():
        policy.context.copy_(torch.tensor([0.3, -0.4]))
    found = saved(policy, spec)
    more = {"critic.head.weight": torch.zeros(1, 2), "rates.context": torch.zeros(1, 2)}
    return Checkpoint(found.tensors | more, {**found.meta, "family": "toy/reach", **meta})


def fates(surgery: Surgery) -> dict[str, str]:
    return {parameter.name: parameter.became for parameter in surgery.parameters}


def test_within_a_family_all_goes_along():
    source = own()
    found, surgery = carry(source, Reach())
    policy = {n: t for n, t in source.tensors.items() if n.startswith("policy.")}
    assert set(found.tensors) == set(policy)
    assert all(torch.equal(found.tensors[name], policy[name]) for name in policy)
    fate = fates(surgery)
    assert {fate.pop("critic"), fate.pop("rates")} == {"dropped"}
    assert set(fate.values()) == {"kept"}
    assert surgery.zeroed == surgery.fresh == {}
    assert fits(source, Reach())
    assert not fits(source, Slide())


def test_another_family_takes_what_both_observe():
    found, surgery = carry(own(method="maml"), Slide(), name="runs/reach")
    worlds = Worlds(Slide(), 4)
    policy, old = load_policy_for(found, worlds), load_policy(own())
    obs = np.random.default_rng(0).normal(size=(6, worlds.spec.obs_dim)).astype(np.float32)
    seen = np.concatenate([obs[:, :4], np.zeros((6, 2), np.float32)], 1)
    with torch.no_grad():
        old.context.zero_()
    np.testing.assert_allclose(act(policy, obs), act(old, seen), atol=1e-6)
    assert "method" not in found.meta
    assert surgery.zeroed["object"].endswith("for the source never observed it")
    assert "something else" in surgery.zeroed["task"]
    fate = fates(surgery)
    assert (fate[FIRST], fate["context"], fate["head.weight"]) == ("resized", "zeroed", "kept")
    assert fate["trunk.layers.0.bias"] == "kept"
    said = str(surgery)
    assert said.startswith("starts from runs/reach (toy/reach): carried robot, layers, head")
    assert "\n" not in said


@register("toy/named")
class Named(Reach):
    """The toy, its columns named, in another order, one of them its own."""

    id = "toy/named"
    order = (2, 3, 0, 1)
    names = ("vx", "vy", "x", "y")

    def observe(self, worlds, task):
        whole = super().observe(worlds, task)["robot"]
        return {"robot": whole[:, list(self.order)]}

    def columns(self):
        return {"robot": self.names}


@register("toy/named-other")
class NamedOther(Named):
    """Without the first velocity."""

    id = "toy/named-other"
    order, names = (0, 3, 1), ("x", "vy", "y")


@register("toy/strange")
class Strange(Named):
    """Which shares a block's name and width, and no column."""

    id = "toy/strange"
    names = ("a", "b", "c", "d")


def test_columns_with_the_same_name_go_along_wherever_they_stand():
    source = own(family="toy/named")
    first = source.tensors[f"policy.{FIRST}"]
    found, surgery = carry(source, NamedOther())
    now = found.tensors[f"policy.{FIRST}"]
    assert torch.equal(now[:, :3], first[:, [2, 1, 3]])
    assert not now[:, 3:].any()  # the task
    back, told = carry(
        Checkpoint(found.tensors, {**found.meta, "family": "toy/named-other"}), Named()
    )
    assert torch.equal(back.tensors[f"policy.{FIRST}"][:, 1:4], first[:, 1:4])
    assert not back.tensors[f"policy.{FIRST}"][:, 0].any()
    assert "robot (vx): zero weights at first, for the source never observed it" in str(told)
    assert "robot[0:1] of the source: dropped" in str(surgery)


def test_where_no_column_goes_along_the_first_layer_is_drawn_anew():
    found, surgery = carry(own(family="toy/named"), Strange())
    first = found.tensors[f"policy.{FIRST}"]
    assert first.abs().sum(dim=0).min() > 0.0
    assert not found.tensors["policy.trunk.layers.0.bias"].any()
    again, _ = carry(own(family="toy/named"), Strange())
    assert torch.equal(first, again.tensors[f"policy.{FIRST}"])
    assert "carried layers above the first" in str(surgery)
    assert "robot (a, b, c, d)" not in str(surgery)
    assert "robot: drawn anew, for the source never observed it" in str(surgery)
    assert {FIRST, "trunk.layers.0.bias"} <= set(surgery.by_fate()["drawn anew"])


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ({"robot": ("x", "y")}, "expected 4 different texts"),
        ({"robot": ("x", "y", "x", "z")}, "expected 4 different texts"),
        ({"robot": "abcd"}, "expected 4 different texts"),
        ({"object": ("x",)}, "names block 'object'"),
        (None, "gave NoneType"),
    ],
)
def test_names_that_do_not_fit_are_the_familys_fault(names, says, monkeypatch):
    monkeypatch.setattr(Named, "columns", lambda self: names)
    with pytest.raises(FamilyError, match=says):
        Worlds(Named(), 1)


def test_what_others_trained_acts_through_a_mapping():
    """Through mapped and rescaled columns the same actions come out."""
    model = pupil(PPO)
    found, surgery = carry(read_source(model), Reach(), MAP)
    obs = np.random.default_rng(0).normal(size=(32, 6)).astype(np.float32)
    there = np.zeros((32, 5), np.float32)
    there[:, 3:5], there[:, 0:2] = obs[:, 0:2], 10.0 * obs[:, 2:4]
    expected = model.predict(there, deterministic=True)[0]
    ours = act(load_policy_for(found, Worlds(Reach(), 1)), obs)
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    first = next(p for p in surgery.parameters if p.name == FIRST)
    assert first.parts == (
        "robot[0:2] from observation[3:5]", "robot[2:4] from observation[0:2] * 10",
    )  # fmt: skip
    assert (first.was, first.shape) == ((8, 5), (8, 6))
    assert "observation[2:3] of the source" in surgery.zeroed
    assert fates(surgery)["value_net.weight"] == "dropped"


def test_statistics_move_with_their_columns():
    env = VecNormalize(DummyVecEnv([Chance]), clip_obs=1.5)
    model = pupil(SAC, env)
    env.training = False
    found, _ = carry(read_source(model), Reach(), MAP)
    obs = np.random.default_rng(0).normal(size=(32, 6)).astype(np.float32)
    there = np.tile(
        env.obs_rms.mean.astype(np.float32), (32, 1)
    )  # normalised to 0, as unmapped ones
    there[:, 3:5], there[:, 0:2] = obs[:, 0:2], 10.0 * obs[:, 2:4]
    seen = env.normalize_obs(there)
    assert (np.abs(seen) == 1.5).any()
    expected = model.predict(seen, deterministic=True)[0]
    np.testing.assert_allclose(act(load_policy(found), obs), expected, atol=1e-5)


def test_actions_go_along_by_number_or_as_said():
    source = own()
    _, plain = carry(source, Arm())
    assert fates(plain)["head.weight"] == "kept"
    other = own(family="toy/arm")
    found, surgery = carry(other, Arm(control="joint"), seed=3)
    assert "control=hand and are of control=joint" in surgery.fresh["head"]
    assert "control: was hand, is joint" in surgery.notes
    assert fates(surgery)["head.weight"] == "drawn anew"
    again, _ = carry(other, Arm(control="joint"), seed=3)
    assert torch.equal(found.tensors["policy.head.weight"], again.tensors["policy.head.weight"])
    found, surgery = carry(other, Arm(control="joint"), ["action[1]=action[0]"], seed=3)
    head, old = found.tensors["policy.head.weight"], other.tensors["policy.head.weight"]
    assert torch.equal(head[1], old[0])
    assert torch.equal(head[0], again.tensors["policy.head.weight"][0])
    assert "1 other rows are drawn anew" in {p.why for p in surgery.parameters}
    _, surgery = carry(source, Arm(), ["action=new"])
    assert surgery.fresh["head"] == "drawn anew, for the mapping says so"


def test_nothing_is_guessed():
    with pytest.raises(ConfigError, match=r"nothing is guessed.*--map robot=0:4"):
        carry(read_source(pupil(PPO)), Reach())
    with pytest.raises(ConfigError, match="holds no policy"):
        carry(Checkpoint({"critic.head.weight": torch.zeros(1)}, {}), Reach())


def test_the_report_is_whole_and_outlives_the_run():
    _, surgery = carry(read_source(pupil(PPO)), Slide(), MAP, name="model.zip")
    read = json.loads(json.dumps(surgery.to_json()))
    assert read["mapping"] == MAP
    rows = rows_of(read)
    names = [row[0] for row in rows]
    worlds = Worlds(Slide(), 1)
    policy = load_policy_for(carry(read_source(pupil(PPO)), Slide(), MAP)[0], worlds)
    assert set(policy.state_dict()) <= set(names)
    assert rows[names.index(FIRST)][1:4] == ["resized", "8 x 5", "8 x 9"]
    assert rows_of({"from": "an older run"}) == []
    anew = surgery.renewed({"log_std": "set to -1"})
    assert fates(anew)["log_std"] == "set"
    assert "log_std" not in anew.carried
    assert anew.by_fate()["set"] == ["log_std"]
