"""Hindsight: commands come to mean what comes of them, the same for robots that never met."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from metarl.errors import ConfigError
from metarl.multitask.aggregate import Aggregator
from metarl.multitask.modular.config import ModularConfig
from metarl.multitask.modular.hindsight import ByHindsight
from metarl.multitask.modular.network import ModularNetwork
from metarl.multitask.modular.trainer import ModularTrainer
from metarl.multitask.shared import policy_shells
from metarl.multitask.update import descend
from metarl.nn.functional import parameters_of
from metarl.registry import make_family
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.policies import load_policy
from metarl.runs.several import of_family

import parts  # noqa: F401, isort: skip

TRAINED = (
    "parts/towards@robot=straight",
    "parts/towards@robot=turned",
    "parts/mirrored@robot=straight",
)
TINY = ModularConfig(
    num_worlds=4, minibatch=40, epochs=2, iterations=4, hindsight=1.0, alike=0, encoders="named",
    encoded=3, command=2, things=5, core=7, posture=4, decoder=6,
)  # fmt: skip


def make(**settings: Any) -> ModularTrainer:
    config = dataclasses.replace(TINY, **settings)
    return ModularTrainer([make_family(name) for name in TRAINED], config, num_threads=1)


def gathered(trainer: ModularTrainer) -> list[Any]:
    samples = [each.samples for each in trainer._gather()]
    trainer.learner.prepare(samples)
    return samples


def test_cores_command_what_comes_of_it():
    wide = {"encoded": 4, "command": 4, "things": 8, "core": 16, "posture": 8, "decoder": 16}
    trainer = make(
        num_worlds=32, minibatch=160, epochs=4, iterations=20, learning_rate=5e-3, **wide
    )
    for _ in range(20):
        last = trainer.iterate()
    assert last["success"] > 0.8
    samples, net = gathered(trainer), trainer.actor
    with torch.no_grad():
        said, _ = net.commands([x["obs"] for x in samples], range(3))
        came = [net.hindsight(k, x) for k, x in enumerate(samples)]
    for x, y in zip(said, came):
        assert (x - y).square().mean() < 0.3 * (y - y.mean(0)).square().mean()


def test_decoders_learn_what_led_to_what_whatever_was_wanted():
    trainer = make(learning_rate=5e-3)
    samples = gathered(trainer)
    for each in samples:
        each["wanted"] = torch.zeros_like(each["wanted"])
        each["as_wanted"] = torch.zeros_like(each["as_wanted"])

    def off() -> float:
        with torch.no_grad():
            net = trainer.actor
            _, standing = net.commands([x["obs"] for x in samples], range(3))
            came = [net.hindsight(k, x) for k, x in enumerate(samples)]
            means = net.decode(came, standing, range(3))
            return float(sum((m - x["acted"]).square().mean() for m, x in zip(means, samples)))

    before = off()
    for _ in range(60):
        descend(
            trainer.learner, samples, trainer.actor, trainer.optimizers["policy"],
            trainer.aggregator, max_grad_norm=1.0, generator=trainer.generator, apart=False,
        )  # fmt: skip
    assert off() < 0.5 * before


def test_one_task_alone_has_the_loss_that_it_has_among_all():
    trainer = make()
    samples = gathered(trainer)
    together = trainer.learner.losses(samples)
    for k, each in enumerate(samples):
        assert torch.allclose(trainer.learner.loss(k, each), together[k], atol=1e-6)


def test_only_who_acts_as_the_expert_draws_cores():
    trainer = make()
    samples = gathered(trainer)
    core = trainer.actor.core["mirrored"]["command"].weight
    grads = []
    for share in (0.0, 1.0):
        some = {**samples[2], "as_wanted": torch.full_like(samples[2]["as_wanted"], share)}
        grads.append(torch.autograd.grad(trainer.learner.loss(2, some), core)[0])
    assert not torch.equal(*grads)
    far = {
        **samples[2],
        "later": samples[2]["later"] + 3.0,
        "as_wanted": samples[2]["as_wanted"] * 0,
    }
    assert torch.equal(torch.autograd.grad(trainer.learner.loss(2, far), core)[0], grads[0])


def test_units_are_fixed_once():
    trainer = make()
    samples = gathered(trainer)
    unit = trainer.actor.hindsight.unit.clone()
    assert (unit > 0.0).all()
    moved = torch.cat([trainer.actor.hindsight.change(k, x) for k, x in enumerate(samples)])
    size = moved.square().mean(0).sqrt()
    assert torch.allclose(unit, torch.where(size > 1e-6, size, torch.ones_like(size)))
    trainer.learner.prepare([{**x, "later": 2.0 * x["later"]} for x in samples])
    assert torch.equal(unit, trainer.actor.hindsight.unit)


@pytest.mark.parametrize("settings", [{}, {"aggregation": "pcgrad", "horizon": 3}, {"alike": 1}])
def test_resumed_equals_never_stopped(settings: dict[str, Any]):
    whole, stopped, resumed = (make(**settings) for _ in range(3))
    for _ in range(2):
        stopped.iterate()
    resumed.restore(Checkpoint(*stopped.checkpoint()))
    for trainer, times in ((whole, 4), (resumed, 2)):
        for _ in range(times):
            last = trainer.iterate()
        trainer.seconds = 0.0
    assert np.isfinite(last["loss"])
    one, other = whole.checkpoint()[0], resumed.checkpoint()[0]
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def test_plain_policies_do_without_the_code():
    trainer = make()
    trainer.iterate()
    for k, worlds in enumerate(trainer.worlds):
        obs = torch.from_numpy(worlds.reset())
        plain = load_policy(of_family(Checkpoint(*trainer.checkpoint()), worlds.family))
        assert not [name for name in parameters_of(plain) if "hindsight" in name]
        assert torch.equal(plain(obs)[0], trainer.policies(k, obs)[0])


def test_what_plays_no_part_is_refused():
    with pytest.raises(ConfigError, match="alike=3, but some robot has 2 actions"):
        make(alike=3)
    with pytest.raises(ConfigError, match="horizon is 5"):
        ModularConfig(horizon=5)
    with pytest.raises(ConfigError, match=r"hindsight is 1\.0"):
        ModularConfig(learner="ppo", hindsight=1.0)


def test_no_tensor_of_an_update_is_on_another_device():
    trainer = make()
    actor = ModularNetwork(trainer.actor.pairs, TINY, torch.Generator(), log_std=-1.0).to("meta")
    policies = policy_shells(actor, trainer.tasks, "meta", hidden=actor.widths)
    learner = ByHindsight(policies, TINY, torch.Generator())
    with FakeTensorMode(allow_non_fake_inputs=True):
        some = []
        for spec in trainer.tasks.specs:
            seen = {n: torch.zeros(5, spec.obs_dim, device="meta") for n in ("obs", "later")}
            done = {n: torch.zeros(5, spec.action_dim, device="meta") for n in ("wanted", "acted")}
            some.append({**seen, **done, "as_wanted": torch.zeros(5, device="meta")})
        optimizer = torch.optim.Adam(actor.parameters())
        aggregator = Aggregator("mean", 3, rate=0.1, device="meta")
        how = {"max_grad_norm": 1.0, "generator": torch.Generator()}
        stray = [{**each, "later": torch.ones(each["later"].shape)} for each in some]
        for apart in (True, False):
            stepped = descend(learner, some, actor, optimizer, aggregator, apart=apart, **how)
            assert stepped.losses.device.type == "meta"
            with pytest.raises(RuntimeError, match="device"):
                descend(learner, stray, actor, optimizer, aggregator, apart=apart, **how)
