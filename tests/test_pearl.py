"""PEARL: what is believed about a task, and that acting on it changes nothing else."""

from __future__ import annotations

import numpy as np
import torch
from alike import same
from toy import Reach

from metarl.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from metarl.meta.pearl import PearlTrainer
from metarl.meta.pearl_adaptation import by_inference
from metarl.meta.pearl_config import PearlConfig
from metarl.nn.encoder import FactorEncoder
from metarl.sim.worlds import Worlds

TINY = PearlConfig(
    num_tasks=3, episodes=2, updates=2, encoder_steps=3, iterations=4, hidden=(8,),
    encoder_hidden=(8,),
)  # fmt: skip


class Short(Reach):
    horizon = 8


def context(num: int) -> tuple[torch.Tensor, torch.Tensor, FactorEncoder]:
    g = torch.Generator().manual_seed(0)
    encoder = FactorEncoder(5, 2, g, hidden=(8,))
    return torch.randn(1, num, 5, generator=g), torch.ones(1, num), encoder


def adaptation():
    trainer = PearlTrainer(Short(), TINY, num_threads=1)
    trainer.iterate()
    worlds = Worlds(Short(), 3 * 2, num_threads=1, split="test")
    generator = torch.Generator().manual_seed(0)
    return by_inference(
        Checkpoint(*trainer.checkpoint()), worlds, num_tasks=3, updates=2, generator=generator
    )


def test_a_belief_does_not_depend_on_the_order_of_what_was_seen():
    x, mask, encoder = context(12)
    shuffled = x[:, torch.randperm(12, generator=torch.Generator().manual_seed(1))]
    one, other = (encoder.prior(1).times(encoder(seen, mask)).moments() for seen in (x, shuffled))
    torch.testing.assert_close(one.mean, other.mean)
    torch.testing.assert_close(one.covariance, other.covariance)


def test_more_context_narrows_a_belief_and_what_is_masked_says_nothing():
    x, mask, encoder = context(12)
    beliefs = [encoder.prior(1).times(encoder(x[:, :n], mask[:, :n])) for n in (0, 3, 12)]
    sizes = [float(torch.linalg.det(b.moments().covariance).detach()) for b in beliefs]
    assert sizes[0] > sizes[1] > sizes[2]
    hidden = torch.cat([mask[:, :3], torch.zeros(1, 9)], 1)
    torch.testing.assert_close(encoder(x, hidden).pull, encoder(x[:, :3], mask[:, :3]).pull)


def test_only_the_belief_adapts_and_judging_changes_nothing():
    adapting = adaptation()
    networks = [
        p.detach().clone() for n in (adapting.policy, adapting.encoder) for p in n.parameters()
    ]
    before = adapting.state()
    assert (before["mean"] == 0).all()
    adapting.update()
    adapting.update()
    assert adapting.num_steps == 2 * 6 * Short.horizon
    after = adapting.state()
    assert not torch.equal(before["mean"], after["mean"])
    judge = Worlds(Short(), 3 * 4, num_threads=1, split="test")
    adapting.judge(judge)
    assert same(after, adapting.state())
    now = [p for n in (adapting.policy, adapting.encoder) for p in n.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(networks, now, strict=True))


def test_acting_in_a_state_is_what_was_judged():
    adapting = adaptation()
    adapting.update()
    worlds = Worlds(Short(), 3, num_threads=1, split="test")
    judged = adapting.judge(worlds)
    act = adapting.act_in(worlds, 1, adapting.state())
    plain = judged.obs[0].numpy().copy()
    plain[:, worlds.spec.slice("task")] = 0.0  # what the worlds show: nothing of the task
    np.testing.assert_allclose(act(plain)[1], judged.mean[0, 1].numpy(), atol=1e-5)


def test_resumed_equals_never_stopped(tmp_path):
    straight, stopped = (PearlTrainer(Short(), TINY, num_threads=1) for _ in range(2))
    for _ in range(4):
        straight.iterate()
    for _ in range(2):
        stopped.iterate()
    save_checkpoint(tmp_path / "half.safetensors", *stopped.checkpoint())
    resumed = PearlTrainer(Short(), TINY, num_threads=1)
    resumed.restore(load_checkpoint(tmp_path / "half.safetensors"))
    for _ in range(2):
        resumed.iterate()
    a, b = straight.state_dict(), resumed.state_dict()
    assert a.pop("progress")[:2] == b.pop("progress")[:2]
    assert same(a, b)
