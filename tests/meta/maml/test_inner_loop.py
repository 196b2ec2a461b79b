"""Adaptation of a trained policy: inner loops and fine-tuning, and that MAML learns to adapt."""

import copy

import numpy as np
import torch
from alike import same
from toy import Reach

from metarl.meta.baseline import make_batch
from metarl.meta.maml.config import MamlConfig
from metarl.meta.maml.explore import ContextNoise, explore
from metarl.meta.maml.inner import adapt, initial_rates, policy_gradient
from metarl.meta.maml.inner_loop import adapt_policy
from metarl.meta.maml.maml import MamlTrainer
from metarl.meta.maml.outer import Outer
from metarl.nn.functional import expand, parameters_of
from metarl.nn.policy import GaussianPolicy
from metarl.sim.worlds import Worlds
from metarl.transfer.config import FineTuning
from metarl.transfer.reward import fine_tune
from metarl.transfer.strategy import get_strategy
from metarl.transfer.student import Student

TINY = MamlConfig(
    num_tasks=2, episodes=2, inner_updates=2, outer_epochs=2, iterations=4, hidden=(8,)
)


class Short(Reach):
    horizon = 8


def worlds_and_policy():
    worlds = Worlds(Short(), 2 * 3, num_threads=1, split="test")
    g = torch.Generator().manual_seed(0)
    policy = GaussianPolicy(worlds.spec.obs_dim, 2, 2, g, hidden=(8,))
    return worlds, policy, {"num_tasks": 2, "generator": g}


def test_a_guess_is_kept_for_an_episode_and_only_of_what_is_hidden():
    worlds, policy, _ = worlds_and_policy()
    hidden = tuple(i == 0 for i in range(worlds.spec.task_dim))
    found = explore(
        worlds, policy, expand(parameters_of(policy), 2), num_tasks=2, update=1, gamma=0.9,
        lam=0.9, generator=torch.Generator().manual_seed(0), noise=ContextNoise(0.5, 0.5, hidden),
    )  # fmt: skip
    block = found.episodes.obs[..., -worlds.spec.task_dim :]
    assert (block[..., 1:] == 0).all()
    assert (block == block[0]).all()
    assert len(set(block[0, :, 0].tolist())) == worlds.num_worlds
    guesses = found.batch.guesses
    assert guesses is not None
    torch.testing.assert_close(guesses.std, torch.full((2, 1), 0.25))
    assert guesses.loss(policy.context.expand(2, -1)).shape == (2,)


def test_adaptation_is_the_inner_loop_of_training():
    worlds, policy, options = worlds_and_policy()
    params = parameters_of(policy)
    rates = initial_rates(params, 1, 0.5)
    steps = list(
        adapt_policy(worlds, policy, params, rates, updates=3, gamma=0.99, lam=0.95, **options)
    )
    assert len(steps) == 3
    now, loss = expand(params, 2), policy_gradient(policy)
    for update, step in enumerate(steps):
        now = adapt(now, make_batch(step.trajectories, 0.99, 0.95), rates, loss, update=update)
        for name in now:
            torch.testing.assert_close(step.params[name], now[name])


def student(policy, name, how):
    g = torch.Generator().manual_seed(0)
    return Student(policy, get_strategy(name), rate=how.rate, generator=g, num_tasks=2)


def test_fine_tuning_with_a_frozen_trunk_moves_head_and_log_std_alone():
    worlds, policy, options = worlds_and_policy()
    del options["num_tasks"]
    params, how = parameters_of(policy), FineTuning(epochs=2)
    before = copy.deepcopy(policy.state_dict())
    *_, last = fine_tune(worlds, student(policy, "frozen-trunk", how), how, updates=2, **options)
    moved = {n for n in params if not torch.equal(last.params[n], expand(params, 2)[n])}
    assert moved == {"head.weight", "head.bias", "log_std"}
    assert same(before, policy.state_dict())
    assert not torch.equal(last.params["head.bias"][0], last.params["head.bias"][1])


def test_one_batched_adam_is_one_adam_a_task():
    worlds, policy, options = worlds_and_policy()
    del options["num_tasks"]
    how = FineTuning(epochs=3)
    (step,) = fine_tune(worlds, student(policy, "fine-tune", how), how, updates=1, **options)
    batch = make_batch(step.trajectories, how.gamma, how.lam)
    outer = Outer(clip=how.clip)
    for k in range(2):
        alone = copy.deepcopy(policy)
        own = batch.of_task(k)
        adam = torch.optim.Adam(alone.parameters(), lr=how.rate)
        for _ in range(how.epochs):
            adam.zero_grad()
            outer.loss(alone(own.obs), own).backward()
            adam.step()
        for name, p in alone.named_parameters():
            torch.testing.assert_close(step.params[name][k], p.detach(), rtol=1e-4, atol=1e-6)


def test_it_really_learns_to_adapt():
    config = MamlConfig(
        num_tasks=20, inner_updates=2, inner_rate=0.1, outer_rate=3e-3, iterations=20, gamma=0.99
    )
    trainer = MamlTrainer(Reach(), config)
    rows = [trainer.iterate() for _ in range(config.iterations)]
    assert rows[0]["success_after"] < 0.3
    assert np.mean([r["success_before"] for r in rows[-3:]]) < 0.2
    assert np.mean([r["success_after"] for r in rows[-3:]]) > 0.5
