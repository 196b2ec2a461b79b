"""PEARL: how its encoder and its policy are trained."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from alike import same
from guesses import TINY, Short, generator
from torch._subclasses.fake_tensor import FakeTensorMode

from metarl.adapt.adaptation import as_offset
from metarl.errors import ConfigError, FamilyError, TrainingError
from metarl.learn.loop import train
from metarl.meta.maml.inner import Batch
from metarl.meta.pearl.config import PearlConfig
from metarl.meta.pearl.context import (
    Context,
    Lesson,
)
from metarl.meta.pearl.learning import encoder_loss, policy_loss
from metarl.meta.pearl.trainer import PearlTrainer
from metarl.nn.encoder import FactorEncoder
from metarl.nn.policy import GaussianPolicy
from metarl.runs.checkpoint import load_checkpoint, save_checkpoint
from metarl.sim.worlds import Worlds
from metarl.types import varies


class Nan(Short):
    """Rewards are not numbers."""

    def terms(self, worlds, task, action):
        return {"near": np.full(worlds.num_worlds, np.nan)}


class Fragile(Short):
    """Episodes end early, and not together."""

    def failure(self, worlds, task):
        return np.abs(worlds.qpos).max(axis=1) > 0.08


@dataclass(frozen=True)
class SeenTask:
    goal_m: np.ndarray = varies("m", (-0.2, -0.2), (0.2, 0.2), hidden=False)


class Seen(Short):
    """Nothing is hidden."""

    task_type = SeenTask

    def sample(self, rng, n, split):
        return SeenTask(rng.uniform(-0.2, 0.2, size=2))


@pytest.mark.parametrize("family", [Short, Fragile])
def test_resumed_equals_never_stopped(family, tmp_path):
    straight = PearlTrainer(family(), TINY, num_threads=1)
    train(straight, tmp_path / "straight", save_every_s=0.0)
    stopped = PearlTrainer(family(), TINY, num_threads=1)
    for _ in range(2):
        stopped.iterate()
    save_checkpoint(tmp_path / "half.safetensors", *stopped.checkpoint())
    resumed = PearlTrainer(family(), TINY, num_threads=1)
    resumed.restore(load_checkpoint(tmp_path / "half.safetensors"))
    for _ in range(2):
        resumed.iterate()
    a, b = straight.state_dict(), resumed.state_dict()
    assert a.pop("progress")[:2] == b.pop("progress")[:2]
    assert len(a["lessons"]) == 2
    assert same(a, b)


def test_a_policy_from_nothing_learns_and_a_pretrained_one_stays():
    source = GaussianPolicy(6, 2, 2, generator(5), hidden=(8,))
    with torch.no_grad():
        source.context.fill_(9.0)
    rate = dataclasses.replace(TINY, policy_rate=1e-3)
    for initial, config, moves in (
        (None, TINY, True),
        (source.state_dict(), TINY, False),
        (source.state_dict(), rate, True),
    ):
        trainer = PearlTrainer(Short(), config, initial=initial, num_threads=1)
        before = copy.deepcopy(trainer.state_dict())
        trainer.iterate()
        after = trainer.state_dict()
        changed = {n for n in before["policy"] if not same(before["policy"][n], after["policy"][n])}
        assert changed == (set(before["policy"]) - {"context"} if moves else set())
        assert not same(before["encoder"]["head.weight"], after["encoder"]["head.weight"])
        assert (after["policy"]["context"] == 0).all()
    assert torch.equal(before["policy"]["head.weight"], source.head.weight)


def test_rewards_that_are_not_numbers_refuse_the_update():
    trainer = PearlTrainer(Nan(), TINY, num_threads=1)
    before = copy.deepcopy(trainer.state_dict())
    with pytest.raises(FamilyError, match=r"terms\(\) of .*Nan gave nan as 'near' in worlds"):
        trainer.iterate()
    after = trainer.state_dict()
    for part in ("policy", "encoder", "optimizers", "lessons"):
        assert same(before[part], after[part])


@pytest.mark.parametrize("name", ["encoder", "policy"])
def test_a_loss_that_is_not_finite_undoes_the_whole_update(name, monkeypatch):
    trainer = PearlTrainer(Short(), TINY, num_threads=1)
    trainer.iterate()
    before = copy.deepcopy(trainer.state_dict())
    pupil, steps = trainer.pupils[name], []
    step = pupil.step

    def broken(loss, share):
        steps.append(loss)
        step(loss if len(steps) < 2 else loss * torch.nan, share)

    monkeypatch.setattr(pupil, "step", broken)
    with pytest.raises(TrainingError, match=f"{name}_rate"):
        trainer.iterate()
    assert len(steps) == 2
    after = trainer.state_dict()
    for part in ("policy", "encoder", "optimizers", "lessons"):
        assert same(before[part], after[part])


def test_a_family_that_hides_nothing_is_refused():
    with pytest.raises(ConfigError, match="nothing to infer"):
        PearlTrainer(Seen(), TINY, num_threads=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"replay": 0}, "replay is 0; expected an integer >= 1"),
        ({"policy_rate": -1.0}, "policy_rate is -1.0"),
        ({"resolution": 0.0}, "resolution is 0.0"),
        ({"encoder_hidden": (0,)}, "encoder_hidden"),
        ({"gamma": 1.5}, r"gamma is 1.5; expected a number in \[0, 1\]"),
        ({"task_visible": True}, "task_visible"),
    ],
)
def test_a_config_says_what_is_wrong(change, message):
    with pytest.raises(ConfigError, match=message):
        PearlConfig(**change)


def on_meta(module):
    for part in module.modules():
        for held in (part._parameters, part._buffers):
            for name, tensor in list(held.items()):
                empty = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
                held[name] = torch.nn.Parameter(empty) if held is part._parameters else empty
    return module


def test_every_tensor_of_an_update_lives_on_the_networks_device():
    """A stray CPU tensor raises under FakeTensorMode, in the backward pass too."""
    encoder = FactorEncoder(5, 2, generator(), hidden=(8,))
    policy = GaussianPolicy(6, 2, 2, generator(), hidden=(8,))
    spec = Worlds(Short(), 1, num_threads=1).spec

    def empty(*shape):
        return torch.empty(shape, device="meta")

    with FakeTensorMode():
        on_meta(encoder), on_meta(policy)
        lesson = Lesson(empty(3, 2, 4, 2, 5), empty(3, 2, 4, 2), empty(3, 2))
        loss = encoder_loss(encoder, lesson, TINY)
        loss.total.backward()
        assert encoder.head.weight.grad.device.type == "meta"
        batch = Batch(empty(3, 9, 6), empty(3, 9, 2), empty(3, 9), empty(3, 9), empty(3, 9))
        policy_loss(policy, batch, TINY).backward()
        assert policy.head.weight.grad.device.type == "meta"
        belief = encoder.prior(3).times(Context(lesson.x[:, 0], lesson.mask[:, 0]).infer(encoder))
        guesses = belief.moments(0.1).sample(2, generator())
        assert as_offset(guesses, spec).device.type == "meta"
        with pytest.raises(RuntimeError, match="device"):
            encoder_loss(encoder, lesson._replace(mask=torch.ones(3, 2, 4, 2)), TINY)
