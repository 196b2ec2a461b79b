"""Parts of robots and skills: shared to the byte, learned together, and put together anew."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import parts
import pytest
import torch
from sliders import Slide
from torch._subclasses.fake_tensor import FakeTensorMode

from metarl.errors import CheckpointError, ConfigError
from metarl.multitask.aggregate import Aggregator
from metarl.multitask.learners import ByExpert
from metarl.multitask.modular.config import ModularConfig
from metarl.multitask.modular.network import ModularNetwork
from metarl.multitask.modular.pairs import Pairs
from metarl.multitask.modular.trainer import ModularTrainer
from metarl.multitask.shared import policy_shells
from metarl.multitask.update import descend
from metarl.nn.functional import parameters_of
from metarl.nn.views import seen
from metarl.registry import make_family
from metarl.runs.checkpoint import Checkpoint, load_checkpoint
from metarl.runs.pairs import Pair
from metarl.runs.policies import load_policy, load_policy_for
from metarl.runs.several import of_family
from metarl.runs.shipped import shipped
from metarl.sim.worlds import Worlds

TRAINED = (
    "parts/towards@robot=straight",
    "parts/towards@robot=turned",
    "parts/mirrored@robot=straight",
)
UNSEEN = "parts/mirrored@robot=turned"
TINY = ModularConfig(
    num_worlds=4, minibatch=40, epochs=2, iterations=4,
    encoded=3, command=2, things=5, core=7, posture=4, decoder=6,
)  # fmt: skip


def make(*names: str, **settings: Any) -> ModularTrainer:
    config = dataclasses.replace(TINY, **settings)
    return ModularTrainer([make_family(name) for name in names or TRAINED], config, num_threads=1)


def saved(trainer: ModularTrainer) -> Checkpoint:
    return Checkpoint(*trainer.checkpoint())


def succeeds(checkpoint: Checkpoint, name: str) -> float:
    """Share of episodes that the policy which a checkpoint has for a family ends well, without noise."""
    worlds = Worlds(make_family(name), 64, seed=3, task_visible=True, num_threads=1)
    policy = load_policy_for(of_family(checkpoint, worlds.family), worlds)
    obs = worlds.reset()
    for _ in range(worlds.spec.horizon):
        with torch.no_grad():
            step = worlds.step(policy(torch.from_numpy(obs))[0].numpy())
        obs = step.obs
    return float(step.success.mean())


def test_a_pair_that_never_met_works_without_an_update():
    wide = {"encoded": 4, "command": 4, "things": 8, "core": 16, "posture": 8, "decoder": 16}
    trainer = make(
        num_worlds=32, minibatch=160, epochs=4, iterations=20, learning_rate=5e-3, **wide
    )
    before = succeeds(saved(trainer), UNSEEN)
    for _ in range(20):
        last = trainer.iterate()
    assert last["success"] > 0.9
    assert before < 0.2
    assert succeeds(saved(trainer), UNSEEN) > 0.5


@pytest.mark.parametrize("settings", [{}, {"cores": "shared"}, {"encoders": "named"}])
def test_parts_are_shared_to_the_byte(settings: dict[str, Any]):
    """What a plain policy is made of stands in the checkpoint once, whichever pairs have it."""
    trainer = make(**settings)
    trainer.iterate()
    checkpoint, c = saved(trainer), trainer.config
    plain = {
        name: load_policy(of_family(checkpoint, make_family(name))) for name in (*TRAINED, UNSEEN)
    }
    ours, robot, skill = (parameters_of(plain[n]) for n in (UNSEEN, TRAINED[1], TRAINED[2]))
    for name in ("head.weight", "head.bias", "log_std"):  # the robot's
        assert torch.equal(ours[name], robot[name])
    core, command = slice(0, c.core), slice(0, c.command)
    first, second = "trunk.layers.0.weight", "trunk.layers.2.weight"
    assert torch.equal(ours[second][core], skill[second][core])
    assert torch.equal(
        ours["trunk.layers.4.weight"][command], skill["trunk.layers.4.weight"][command]
    )
    assert torch.equal(ours["trunk.layers.6.weight"], robot["trunk.layers.6.weight"])
    own, things = slice(0, c.encoded), slice(c.encoded, c.encoded + c.things)
    assert torch.equal(ours[first][own], robot[first][own])
    assert torch.equal(ours[first][things, -2:], skill[first][things, -2:])
    assert not ours[first][own, -2:].any()  # an encoder sees no task
    assert not ours[first][things, :-2].any()  # a core no robot
    assert not ours[second][core, c.encoded + c.things :].any()  # nor posture
    same = torch.equal(robot[second][core], skill[second][core])
    assert same == (c.cores == "shared")


def test_a_plain_policy_does_what_its_parts_did():
    trainer = make()
    trainer.iterate()
    for k, worlds in enumerate(trainer.worlds):
        obs = torch.from_numpy(worlds.reset())
        plain = load_policy(of_family(saved(trainer), worlds.family))
        for ours, theirs in zip(trainer.policies(k, obs), plain(obs)):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    "settings",
    [{"activation": "relu"}, {"cores": "shared", "squash": True}, {"encoders": "named"}],
)
def test_all_pairs_at_once_do_what_each_alone_does(settings: dict[str, Any]):
    trainer = make(**settings)
    trainer.iterate()
    obs = [torch.from_numpy(worlds.reset())[: 3 + k] for k, worlds in enumerate(trainer.worlds)]
    for k, (mean, log_std) in enumerate(trainer.policies.together(obs)):
        alone, spread = trainer.policies(k, obs[k])
        assert torch.allclose(mean, alone, atol=1e-6)
        assert torch.equal(log_std, spread)


def test_what_parts_say_is_blurred_while_they_learn_alone():
    trainer = make(blur=0.5)
    obs = [torch.from_numpy(worlds.reset()) for worlds in trainer.worlds]
    with torch.no_grad():
        acts = [mean for mean, _ in trainer.policies.together(obs)]
    for k, mean in enumerate(acts):
        assert torch.allclose(mean, trainer.policies(k, obs[k])[0], atol=1e-6)
    learns = [mean for mean, _ in trainer.policies.together(obs)]
    assert all((a - b).abs().max() > 1e-4 for a, b in zip(acts, learns))


def test_a_gradient_reaches_the_parts_of_its_pair_alone():
    trainer = make()
    samples = trainer._gather()[2].samples  # of mirrored with straight
    named = {n: p for n, p in parameters_of(trainer.actor).items() if p.requires_grad}
    loss = trainer.learner.loss(2, samples)
    found = dict(zip(named, torch.autograd.grad(loss, list(named.values()), allow_unused=True)))
    reached = {name.rpartition(".")[0] for name, gradient in found.items() if gradient is not None}
    parts = {".".join(name.split(".")[:2]) for name in reached}
    assert parts == {"encoder.straight", "core.mirrored", "decoder.straight"}


@pytest.mark.parametrize(
    "settings",
    [{}, {"learner": "ppo"}, {"weight_decay": 0.1, "aggregation": "pcgrad"}, {"blur": 0.3}],
)
def test_resumed_equals_never_stopped(settings: dict[str, Any]):
    whole, stopped, resumed = (make(**settings) for _ in range(3))
    for _ in range(2):
        stopped.iterate()
    resumed.restore(saved(stopped))
    for trainer, times in ((whole, 4), (resumed, 2)):
        for _ in range(times):
            last = trainer.iterate()
        trainer.seconds = 0.0
    assert np.isfinite(last["loss"])
    one, other = saved(whole), saved(resumed)
    assert one.tensors.keys() == other.tensors.keys()
    for name, tensor in one.tensors.items():
        assert torch.equal(tensor, other.tensors[name]), name


def test_other_noise_keeps_the_first_weights_alone():
    one, other = make(), make(noise=1)
    for name, tensor in parameters_of(one.actor).items():
        assert torch.equal(tensor, parameters_of(other.actor)[name]), name
    starts = [trainer.worlds[0].reset() for trainer in (one, other)]
    assert not np.array_equal(*starts)
    draws = [torch.rand(4, generator=trainer.generator) for trainer in (one, other)]
    assert not torch.equal(*draws)


def test_one_line_names_the_parts_that_are_known():
    checkpoint = saved(make())
    with pytest.raises(
        CheckpointError, match="robots straight, turned and of the skills parts/towards, parts/m"
    ):
        of_family(checkpoint, Slide())
    other = make_family(UNSEEN)
    other.id = "parts/mirrored@robot=bent"
    with pytest.raises(CheckpointError, match="none of parts/mirrored@robot=bent"):
        of_family(checkpoint, other)
    plain = make_family("parts/mirrored")  # its robot is the default one
    assert "core of parts/mirrored, trained together" in of_family(checkpoint, plain).meta["taken"]
    assert "never met" in of_family(checkpoint, make_family(UNSEEN)).meta["taken"]


def test_the_shipped_parts_pour_with_a_robot_that_never_poured():
    name = "kitchen/pour@robot=gantry,control=joint"
    checkpoint = load_checkpoint(shipped(name, "pairs-modular"))
    assert "never met" in of_family(checkpoint, make_family(name)).meta["taken"]
    assert succeeds(checkpoint, name) > 0.8
    with pytest.raises(CheckpointError, match=rf"did you mean {name}\?"):
        of_family(checkpoint, make_family("kitchen/pour@robot=gantry"))


def test_what_does_not_fit_together_is_told():
    with pytest.raises(ConfigError, match=r"parts/towards is straight with parts/towards.*twice"):
        make("parts/towards@robot=straight", "parts/towards")
    with pytest.raises(ConfigError, match="robot of parts/fixed cannot be chosen"):
        ModularTrainer([make_family("parts/towards"), Fixed()], TINY)
    spec = Worlds(make_family("parts/towards"), 1).spec
    pair, other = Pair("straight", "parts/towards"), Pair("turned", "parts/towards")
    wider = dataclasses.replace(spec, blocks={**spec.blocks, "object": 3})
    with pytest.raises(ConfigError, match=r"other things with \w+ than.*block object differs"):
        Pairs({pair: spec, other: wider}, {})
    more = dataclasses.replace(spec, action_dim=5)
    with pytest.raises(ConfigError, match="straight has 2 actions in parts/towards and 5"):
        Pairs({pair: spec, Pair("straight", "parts/mirrored"): more}, {})
    bare = dataclasses.replace(spec, columns={})
    with pytest.raises(ConfigError, match="no column of the block robot has the same name"):
        _ = Pairs({pair: bare}, {}).named


class Fixed(parts.Towards):
    """Has one robot."""

    id = "parts/fixed"

    def __init__(self):
        super().__init__(robot="straight")


class Bare(parts.Towards):
    """Observes no push when nothing has to be pushed back."""

    id = "parts/bare"

    def observe(self, worlds, task):
        return {"robot": super().observe(worlds, task)["robot"][:, :4]}

    def columns(self) -> Any:
        return {"robot": ("x", "y", "x velocity", "y velocity")}


def test_columns_that_nobody_trained_have_no_weight():
    spec = {n: Worlds(make_family(n), 1, task_visible=True).spec for n in (*TRAINED, UNSEEN)}
    bare = Worlds(Bare(robot="turned"), 1, task_visible=True).spec
    pairs = Pairs(
        {Pair("straight", "parts/towards"): spec[TRAINED[0]], Pair("turned", "parts/bare"): bare},
        {Pair("turned", "parts/towards"): spec[TRAINED[1]]},
    )
    assert [column.name for column in pairs.unseen("turned")] == ["push"]
    network = ModularNetwork(pairs, TINY, torch.Generator().manual_seed(0), log_std=-1.0)
    assert not network.encoder["turned"].weight[:, 4].any()
    assert not network.decoder["turned"]["posture1"].weight[:, 4].any()
    view = network.view(Pair("turned", "parts/towards"))
    assert seen(view, parameters_of(network))["trunk.layers.0.weight"].shape == (12, 7)


def test_one_encoder_sees_the_gripper_though_some_skills_hold_it_still():
    names = ["kitchen/season@robot=panda,control=joint", "kitchen/heat@robot=ur5e,control=joint"]
    trainer = make(*names, encoders="named", num_worlds=2)
    seen_by_it = [column.name for column in trainer.actor.pairs.named]
    assert seen_by_it == [
        "x",
        "y",
        "z",
        *(f"{a} velocity" for a in "xyz"),
        "yaw",
        "tilt",
        "opening",
    ]
    obs = [torch.from_numpy(worlds.reset()) for worlds in trainer.worlds]
    for k, (mean, _) in enumerate(trainer.policies.together(obs)):
        assert torch.allclose(mean, trainer.policies(k, obs[k])[0], atol=1e-6)
    weight = trainer.actor.encoder["every"].weight.detach()
    views = [seen(view, parameters_of(trainer.actor)) for view in trainer.actor.views]
    holds, turns = (
        float(view["trunk.layers.0.weight"][: len(weight)].detach().abs().sum()) for view in views
    )
    assert turns - holds == pytest.approx(float(weight[:, 8].abs().sum()), rel=1e-3)


def test_no_tensor_of_an_update_is_on_another_device():
    """With everything on `meta`, a stray CPU tensor raises in every operation, backward included."""
    trainer = make()
    actor = ModularNetwork(trainer.actor.pairs, TINY, torch.Generator(), log_std=-1.0).to("meta")
    policies = policy_shells(actor, trainer.tasks, "meta", hidden=actor.widths)
    learner = ByExpert(policies, TINY, torch.Generator())
    with FakeTensorMode(allow_non_fake_inputs=True):
        some = [
            {
                "obs": torch.zeros(5, spec.obs_dim, device="meta"),
                "wanted": torch.zeros(5, spec.action_dim, device="meta"),
            }
            for spec in trainer.tasks.specs
        ]
        optimizer = torch.optim.Adam(actor.parameters())
        aggregator = Aggregator("mean", 3, rate=0.1, device="meta")
        how = {"max_grad_norm": 1.0, "generator": torch.Generator()}
        stray = [{**each, "obs": torch.ones(each["obs"].shape)} for each in some]
        for apart in (True, False):
            stepped = descend(learner, some, actor, optimizer, aggregator, apart=apart, **how)
            assert stepped.losses.device.type == "meta"
            with pytest.raises(RuntimeError, match="device"):
                descend(learner, stray, actor, optimizer, aggregator, apart=apart, **how)
