"""Policy gradients by hand, and the angle between those of two interfaces."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toy import Reach

from metarl.advise.episodes import Stage
from metarl.advise.gradients import Common, cosine, give_common, policy_gradient
from metarl.meta.baseline import make_batch
from metarl.nn.policy import GaussianPolicy
from metarl.nn.surgery import FIRST


def policy(obs_dim=6, actions=2, seed=0):
    made = GaussianPolicy(obs_dim, actions, 2, torch.Generator().manual_seed(seed), hidden=(8,))
    with torch.no_grad():
        made.head.weight.mul_(50.0)
    return made


def test_it_is_reinforce_by_hand():
    stage, acting = Stage(Reach(), 4, seed=0, task_visible=True), policy()
    episodes = stage.run(acting).trajectories
    batch = make_batch(episodes, 0.95, 0.95)
    found = policy_gradient(acting, episodes, gamma=0.95, lam=0.95)
    with torch.no_grad():
        mean, log_std = acting(batch.obs)
        features = acting.forward_features(batch.obs)
        pull = (batch.action - mean) * torch.exp(-2 * log_std) * batch.advantage[..., None]
    head = (pull * batch.mask[..., None]).sum((0, 1)) / batch.mask.sum()
    weight = torch.einsum("kma,kmf->af", pull * batch.mask[..., None], features) / batch.mask.sum()
    torch.testing.assert_close(found["head.bias"], head)
    torch.testing.assert_close(found["head.weight"], weight)
    assert set(found) == {
        n for n, _ in acting.named_parameters() if n not in ("context", "log_std")
    }
    assert all(p.grad is None for p in acting.parameters())


def test_a_frozen_policy_is_asked_and_left_as_it_was():
    stage, acting = Stage(Reach(), 4, seed=0, task_visible=True), policy()
    acting.freeze_trunk()
    found = policy_gradient(acting, stage.run(acting).trajectories, gamma=0.95, lam=0.95)
    assert found[FIRST].abs().max() > 0
    assert not acting.trunk.layers[0].weight.requires_grad
    assert acting.head.weight.requires_grad


def test_a_step_uphill_raises_the_return():
    stage, acting = Stage(Reach(), 64, seed=0, task_visible=True), policy()
    with torch.no_grad():
        acting.head.weight.mul_(0.02)  # as fresh policies are
    before = stage.run(acting).trajectories
    for _ in range(5):
        now = stage.run(acting).trajectories
        uphill = policy_gradient(acting, now, gamma=0.95, lam=0.95)
        with torch.no_grad():
            for name, p in acting.named_parameters():
                if name in uphill:
                    p += 0.3 * uphill[name]
    after = stage.run(acting).trajectories
    assert after.returns.mean() > before.returns.mean() + 2.0


def common(here, there, rows_here=(0,), rows_there=(0,), factor=None, **more):
    factor = torch.ones(len(here)) if factor is None else torch.tensor(factor)
    places = (torch.tensor(list(x), dtype=torch.int64) for x in (rows_here, rows_there))
    return Common(torch.tensor(here), torch.tensor(there), factor, *places, **more)


def test_the_cosine_counts_what_is_common():
    places = common([0, 1], [2, 0])
    one = {FIRST: torch.tensor([[1.0, 2.0, 9.0]]), "head.weight": torch.tensor([[3.0]])}
    other = {FIRST: torch.tensor([[2.0, 7.0, 1.0]]), "head.weight": torch.tensor([[3.0]])}
    assert cosine(one, other, places) == pytest.approx(1.0)
    turned = {**other, "head.weight": torch.tensor([[-3.0]])}
    assert cosine(one, turned, places) == pytest.approx((1 + 4 - 9) / 14)
    without = common([0, 1], [2, 0], (), ())
    assert cosine(one, turned, without) == pytest.approx(1.0)
    assert cosine(one, {n: 0 * g for n, g in other.items()}, places) is None


def test_observations_that_are_a_multiple_elsewhere_are_counted_as_such():
    """A weight there is a tenth of the same one here, so a gradient there is ten times as long."""
    one, other = {FIRST: torch.tensor([[1.0, 2.0]])}, {FIRST: torch.tensor([[10.0, 2.0]])}
    assert cosine(one, other, common([0, 1], [0, 1], factor=[10.0, 1.0])) == pytest.approx(1.0)
    in_statistics = common([0, 1], [0, 1], factor=[10.0, 1.0], in_weights=False)
    assert cosine(one, one, in_statistics) == pytest.approx(1.0)


def test_what_is_common_is_given():
    here, there = policy(6), policy(5, actions=3, seed=1)
    before = there.trunk.layers[0].weight.detach().clone()
    head = there.head.weight.detach().clone()
    give_common(there, here, common([0, 3], [4, 1], (1,), (2,), factor=[2.0, 1.0]))
    now, given = there.trunk.layers[0].weight.detach(), here.trunk.layers[0].weight.detach()
    torch.testing.assert_close(now[:, 4], given[:, 0] / 2.0)
    torch.testing.assert_close(now[:, 1], given[:, 3])
    torch.testing.assert_close(now[:, [0, 2, 3]], before[:, [0, 2, 3]])
    torch.testing.assert_close(there.head.weight.detach()[2], here.head.weight.detach()[1])
    torch.testing.assert_close(there.head.weight.detach()[:2], head[:2])
    torch.testing.assert_close(there.trunk.layers[0].bias, here.trunk.layers[0].bias)


def test_episodes_begin_alike_whoever_acts():
    stage = Stage(Reach(), 5, seed=3, task_visible=True)
    one, other, expert = stage.run(policy()), stage.run(policy(seed=4)), stage.run_expert()
    first = one.trajectories.obs[0]
    assert (first == other.trajectories.obs[0]).all()
    assert (first == expert.trajectories.obs[0]).all()
    assert (stage.run(policy()).trajectories.action == one.trajectories.action).all()
    assert expert.trajectories.returns.mean() > one.trajectories.returns.mean()
    acted = expert.trajectories.action.numpy()[expert.live]
    np.testing.assert_allclose(acted, expert.expert_actions(), atol=1e-6)
    greedy = stage.run(policy(), greedy=True).trajectories
    assert (greedy.action == greedy.mean).all()
    assert stage.num_steps == 5 * 40 * 5
    assert one.returns_to_go(1.0)[:5] == pytest.approx(one.trajectories.returns, rel=1e-4)
