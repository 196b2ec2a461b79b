"""One trunk over several families: it learns all of them, resumes bit for bit, refuses what is not finite."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import numpy as np
import pytest
import torch
from sliders import Fails, Slide
from torch._subclasses.fake_tensor import FakeTensorMode
from toy import Breaking, Reach

from metarl.errors import CheckpointError, ConfigError, TrainingError
from metarl.family import TaskFamily
from metarl.multitask.aggregate import Aggregator
from metarl.multitask.config import OF_LOSSES, Aggregation, MultiTaskConfig
from metarl.multitask.learners import ByExpert, ByReward
from metarl.multitask.shared import SharedNetwork, critic_shells, policy_shells
from metarl.multitask.tasks import TaskList
from metarl.multitask.trainer import MultiTaskTrainer
from metarl.multitask.update import descend, descend_values
from metarl.nn.functional import parameters_of
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.policies import load_policy
from metarl.runs.several import of_family
from metarl.sim.worlds import Worlds

TINY = MultiTaskConfig(num_worlds=6, minibatch=64, epochs=2, hidden=(8,), iterations=4)
ALL = get_args(Aggregation)


class NoExpert(Reach):
    """Nobody knows how to solve it."""

    id = "toy/no-expert"
    expert = TaskFamily.expert


def make(*families: Any, **settings: Any) -> MultiTaskTrainer:
    config = dataclasses.replace(TINY, **settings)
    return MultiTaskTrainer(families or (Reach(), Slide()), config, num_threads=1)


def settings_for(aggregation: str) -> dict[str, Any]:
    learner = "dagger" if aggregation in OF_LOSSES else "ppo"
    return {"aggregation": aggregation, "learner": learner}


def saved(trainer: MultiTaskTrainer) -> Checkpoint:
    return Checkpoint(*trainer.checkpoint())


def require_alike(one: Checkpoint, other: Checkpoint) -> None:
    assert one.tensors.keys() == other.tensors.keys()
    for name, tensor in one.tensors.items():
        assert torch.equal(tensor, other.tensors[name]), name


@pytest.mark.parametrize("learner", ["ppo", "dagger"])
@pytest.mark.parametrize("heads", ["per-task", "shared"])
def test_it_learns_every_task(learner: str, heads: str):
    pushing = {
        "learner": learner,
        "heads": heads,
        "num_worlds": 32,
        "hidden": (32,),
        "iterations": 25,
    }
    more = {"epochs": 6} if learner == "ppo" else {"log_std": -2.0, "expert_iterations": 0}
    trainer = make(**pushing, **more, minibatch=512, learning_rate=4e-3, seed=1)
    first = trainer.iterate()
    for _ in range(9):
        last = trainer.iterate()
    for task in ("reach", "slide"):
        assert last[f"return/{task}"] > first[f"return/{task}"] + 3.0, task
    assert last["success"] == pytest.approx((last["success/reach"] + last["success/slide"]) / 2)
    assert last["cosine/least"] == last["cosine/reach ~ slide"] == last["cosine"]
    assert -1.0 <= last["cosine"] <= 1.0


@pytest.mark.parametrize("aggregation", ALL)
def test_resumed_equals_never_stopped(aggregation: str):
    settings = settings_for(aggregation)
    whole, stopped, resumed = (make(**settings) for _ in range(3))
    for _ in range(2):
        stopped.iterate()
    kept = saved(stopped)
    torch.manual_seed(5)  # what others draw meanwhile
    resumed.restore(kept)
    before = torch.get_rng_state()
    for _ in range(2):
        last = resumed.iterate()
    assert torch.equal(torch.get_rng_state(), before)
    for _ in range(4):
        same = whole.iterate()
    for trainer in (whole, resumed):
        trainer.seconds = 0.0  # a clock's
    require_alike(saved(whole), saved(resumed))
    assert {**last, "steps_per_s": 0} == {**same, "steps_per_s": 0}


def test_resumed_with_one_head_and_turns():
    settings = {"learner": "dagger", "heads": "shared", "mixing": 0.9, "segment": 3, "anneal": 0.5}
    whole, stopped, resumed = (make(Reach(), Fails(), **settings) for _ in range(3))
    for _ in range(2):
        stopped.iterate()
    resumed.restore(saved(stopped))
    for trainer, times in ((whole, 4), (resumed, 2)):
        for _ in range(times):
            trainer.iterate()
        trainer.seconds = 0.0
    require_alike(saved(whole), saved(resumed))
    with pytest.raises(CheckpointError):
        make(Reach(), learner="dagger", heads="shared").restore(saved(whole))


@pytest.mark.parametrize("heads", ["per-task", "shared"])
def test_a_plain_policy_does_what_its_task_did(heads: str):
    trainer = make(heads=heads)
    trainer.iterate()
    for k, worlds in enumerate(trainer.worlds):
        obs = torch.from_numpy(worlds.reset())
        plain = load_policy(of_family(saved(trainer), worlds.family))
        assert plain.obs_dim == worlds.spec.obs_dim
        for ours, theirs in zip(trainer.policies(k, obs), plain(obs)):
            assert torch.equal(ours, theirs)


def test_a_head_and_what_only_others_see_stay_as_they_are():
    """Of what one task alone has, the other's gradient is zero."""
    trainer = make()
    trainer.iterate()
    samples = trainer._gather()[0].samples
    loss = trainer.learner.loss(0, samples)
    named = parameters_of(trainer.actor)
    found = dict(zip(named, torch.autograd.grad(loss, list(named.values()), allow_unused=True)))
    assert found["heads.1.weight"] is None
    own = set(trainer.tasks.places[0])
    others = [i for i in range(trainer.tasks.obs_dim) if i not in own]
    assert not found["trunk.layers.0.weight"][:, others].any()
    assert found["trunk.layers.0.weight"][:, sorted(own)].any()


def test_an_episode_that_the_clock_ends_is_worth_what_lies_beyond():
    trainer = make(Reach(), Fails(), gamma=0.9, lam=1.0)
    trainer.iterate()
    learner, worlds = trainer.learner, trainer.worlds[0]
    worlds.assign(worlds.sample("train"))
    found = learner.gather(0, worlds, 0.0).samples
    n, unit = worlds.num_worlds, trainer.units[0]
    with torch.no_grad():
        beyond = unit * learner.critic(0, torch.from_numpy(worlds.obs))
    last = found["target"][-n:] * unit - 0.9 * beyond  # what the last step gave
    assert (last > -1e-4).all()
    assert (last <= 1.0 + 1e-4).all()  # as the toy's reward


def test_rewards_without_an_end_are_refused_and_the_good_state_kept():
    trainer = make(Slide(), Breaking(world=2, after=60))
    trainer.iterate()
    before = saved(trainer)
    with pytest.raises(TrainingError, match="finite"):
        trainer.iterate()
    for name, tensor in saved(trainer).tensors.items():
        if name.startswith("policy."):
            assert torch.equal(tensor, before.tensors[name])


def test_the_first_iteration_may_be_refused_as_well():
    trainer = make(Slide(), Breaking(world=2, after=5))
    before = saved(trainer)
    with pytest.raises(TrainingError, match="finite"):
        trainer.iterate()
    for name, tensor in saved(trainer).tensors.items():
        if name.startswith(("policy.", "state/learned")):  # the unit of Slide's values among it
            assert torch.equal(tensor, before.tensors[name]), name


@pytest.mark.parametrize("aggregation", ["mean", "upgrad", "graddrop", "famo"])
def test_an_update_that_is_not_finite_is_refused(aggregation: str):
    trainer = make(**settings_for(aggregation))
    trainer.iterate()
    good, state = saved(trainer), trainer.aggregator.state()
    whole = trainer.learner.loss
    trainer.learner.loss = lambda k, some: whole(k, some) * (torch.nan if k else 1.0)
    with pytest.raises(TrainingError):
        trainer.iterate()
    for name, tensor in saved(trainer).tensors.items():
        if name.startswith(("policy.", "state/learned")):
            assert torch.equal(tensor, good.tensors[name]), name
    assert state.keys() == trainer.aggregator.state().keys()


def test_what_is_missing_is_told():
    with pytest.raises(ConfigError, match=r"toy/no-expert has no expert.*learner=ppo"):
        make(Reach(), NoExpert(), learner="dagger")
    with pytest.raises(ConfigError, match="toy/reach stands there twice"):
        make(Reach(), Reach())
    with pytest.raises(ConfigError, match="--from has no effect"):
        MultiTaskTrainer((Reach(), Slide()), TINY, initial={})
    for settings in ({"mixing": 0.5}, {"learner": "dagger", "gamma": 0.9}, {"normalised": True}):
        with pytest.raises(ConfigError, match="|".join(settings)):
            dataclasses.replace(TINY, **settings)


@pytest.mark.parametrize("learner", ["ppo", "dagger"])
@pytest.mark.parametrize("more", [{}, {"heads": "shared", "aggregation": "sum"}])
def test_all_tasks_at_once_give_what_each_alone_gives(learner: str, more: dict[str, Any]):
    """Losses, gradients and so the step, of networks that are no longer what they were drawn."""
    one, other = (make(Reach(), Fails(), Slide(), learner=learner, **more) for _ in range(2))
    for trainer in (one, other):
        trainer.iterate()
    some = [{n: x[:40] for n, x in g.samples.items()} for g in one._gather()]
    with torch.no_grad():
        apart = torch.stack([one.learner.loss(k, each) for k, each in enumerate(some)])
        assert torch.allclose(one.learner.losses(some), apart, rtol=1e-5)
        if learner == "ppo":
            for k, values in enumerate(one.learner.critic.together([x["obs"] for x in some])):
                assert torch.allclose(values, one.learner.critic(k, some[k]["obs"]), atol=1e-6)
    for trainer, alone in ((one, True), (other, False)):
        stepped = descend(
            trainer.learner, some, trainer.actor, trainer.optimizers["policy"], trainer.aggregator,
            max_grad_norm=1e9, generator=trainer.generator, apart=alone,
        )  # fmt: skip
        assert (stepped.cosines is None) != alone
        assert torch.allclose(stepped.losses, apart, rtol=1e-5)
    theirs = parameters_of(other.actor)
    for name, parameter in parameters_of(one.actor).items():
        if parameter.requires_grad:
            assert parameter.grad.abs().max() > 0.0, name
            assert torch.allclose(parameter.grad, theirs[name].grad, rtol=1e-4, atol=1e-7), name


def test_one_seed_one_result():
    one, same, other = make(), make(), make(seed=1)
    figures = [{**t.iterate(), "steps_per_s": 0} for t in (one, same, other)]
    assert figures[0] == figures[1] != figures[2]


def test_many_tasks_do_not_drown_the_metrics():
    families = [Reach() for _ in range(13)]
    for k, family in enumerate(families):
        family.id = f"toy/reach{k}"
    metrics = make(*families, num_worlds=1, epochs=1).iterate()
    assert {"cosine", "cosine/least"} <= metrics.keys()
    assert not [name for name in metrics if "~" in name]


# Devices --------------------------------------------------------------------------------


@pytest.mark.parametrize("aggregation", ["mean", "sum", "uncertainty"])
def test_every_tensor_of_a_step_lives_on_the_parameters_device(aggregation: str):
    """A stray CPU tensor raises under FakeTensorMode, in the backward pass too."""
    families = (Reach(), Slide())
    tasks = TaskList(families, tuple(Worlds(family, 1).spec for family in families))
    config = dataclasses.replace(TINY, device="meta", **settings_for(aggregation))
    generator = torch.Generator()
    kind = {"hidden": (8,), "one_head": True}
    drawn = torch.Generator()
    actor = SharedNetwork(tasks, [2, 2], drawn, head_gain=0.01, log_std=-0.7, **kind)
    critic = SharedNetwork(tasks, [1, 1], drawn, head_gain=1.0, **kind)
    weigher = Aggregator(aggregation, 2, rate=0.1, device="meta")
    actors = policy_shells(actor, tasks, "meta", hidden=(8,))
    critics = critic_shells(critic, tasks, "meta", (8,))
    with FakeTensorMode():
        actor = to_meta(actor)
        critic = to_meta(critic)
        for shell in (*actors.networks, *critics.networks):
            to_meta(shell)
        if weigher.scalarizer is not None:
            to_meta(weigher.scalarizer)
            weigher.optimizer = torch.optim.Adam(weigher.scalarizer.parameters())
        units = torch.ones(2, device="meta")
        by_reward = ByReward(actors, critics, units, config, drawn)
        learner = ByExpert(actors, config, drawn) if aggregation == "uncertainty" else by_reward
        some = [on_meta(spec.obs_dim) for spec in tasks.specs]
        movers = [torch.optim.Adam(net.parameters(), eps=1e-5) for net in (actor, critic)]
        stepped = descend(
            learner, some, actor, movers[0],
            weigher, max_grad_norm=1.0, generator=generator,
        )  # fmt: skip
        if weigher.plain:
            descend(
                learner, some, actor, movers[0],
                weigher, max_grad_norm=1.0, generator=generator, apart=False,
            )  # fmt: skip
        values = descend_values(by_reward, some, critic, movers[1], max_grad_norm=1.0)
        for x in (stepped.losses, stepped.cosines, values, *actor.parameters()):
            assert x.device.type == "meta"
        stray = [{**each, "obs": torch.ones(5, each["obs"].shape[1])} for each in some]
        with pytest.raises(RuntimeError, match="device"):
            descend_values(by_reward, stray, critic, movers[1], max_grad_norm=1.0)


def to_meta(network: torch.nn.Module) -> torch.nn.Module:
    """Put a network's parameters on device meta; call it under the mode."""
    for module in network.modules():
        for name, p in list(module._parameters.items()):
            module._parameters[name] = torch.nn.Parameter(torch.empty(p.shape, device="meta"))
    return network


def on_meta(obs_dim: int) -> dict[str, torch.Tensor]:
    shapes = {"obs": (5, obs_dim), "action": (5, 2), "wanted": (5, 2)}
    rows = {name: (5,) for name in ("log_prob", "advantage", "target")}
    return {n: torch.ones(s, device="meta") for n, s in {**shapes, **rows}.items()}


def test_samples_are_those_of_first_episodes():
    trainer = make(Reach(), Fails(), gamma=0.9)
    gathered = trainer._gather()
    sizes = [len(each.samples["obs"]) for each in gathered]
    assert sizes[0] == 6 * 40
    assert sizes[1] <= 6 * 25
    advantage = gathered[1].samples["advantage"]
    np.testing.assert_allclose([advantage.mean(), advantage.std()], [0.0, 1.0], atol=0.05)
