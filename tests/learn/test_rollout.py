"""The rollout loop: grouping, masks, reproducibility."""

import numpy as np
import pytest
import torch
from toy import Reach

from metarl.errors import ShapeError
from metarl.learn.losses import gaussian_log_prob
from metarl.learn.rollout import Memoryless, collect, play
from metarl.nn.functional import apply, expand, is_batched, parameters_of
from metarl.nn.policy import GaussianPolicy
from metarl.sim.worlds import Worlds

K, B = 3, 2


class Fragile(Reach):
    """Fails in worlds whose goal lies right of the middle, after a few steps."""

    horizon = 12

    def failure(self, worlds, task):
        return (task.goal_m[:, 0] > 0) & (worlds.batch.bind("time") > 0.22)


class Doomed(Fragile):
    """Fails everywhere."""

    def failure(self, worlds, task):
        return worlds.batch.bind("time") > 0.22


def make(family, seed=0):
    worlds = Worlds(family, K * B, seed=seed, num_threads=1)
    g = torch.Generator().manual_seed(seed)
    spec = worlds.spec
    policy = GaussianPolicy(spec.obs_dim, spec.action_dim, spec.task_dim, g)
    return worlds, policy, g


def run(family, **options):
    worlds, policy, g = make(family)
    return (
        worlds,
        policy,
        collect(worlds, policy, parameters_of(policy), num_tasks=K, generator=g, **options),
    )


def test_shapes_and_consistency():
    worlds, policy, out = run(Reach())
    assert out.obs.shape == (40, K * B, worlds.spec.obs_dim)
    assert out.action.shape == out.mean.shape == (40, K * B, 2)
    assert out.mask.all()
    assert out.ends[-1].all()
    assert not out.ends[:-1].any()
    assert out.num_steps == 40 * K * B
    np.testing.assert_allclose(out.returns, out.reward.sum(0), rtol=1e-5)
    assert out.terms["near"] == pytest.approx(out.reward.mean().item(), rel=1e-5)
    with torch.no_grad():
        mean, log_std = policy(out.obs)
        torch.testing.assert_close(mean, out.mean)
        torch.testing.assert_close(gaussian_log_prob(mean, log_std, out.action), out.log_prob)


def test_the_same_seed_gives_the_same_episodes_and_another_reset_differs():
    first, second = run(Reach())[2], run(Reach())[2]
    assert torch.equal(first.obs, second.obs)
    assert torch.equal(first.action, second.action)
    worlds, policy, g = make(Reach())
    options = {"num_tasks": K, "generator": g}
    a = collect(worlds, policy, parameters_of(policy), **options)
    b = collect(worlds, policy, parameters_of(policy), **options)
    assert not torch.equal(a.obs[0], b.obs[0])


def test_deterministic_acts_with_the_mean():
    out = run(Reach(), deterministic=True)[2]
    assert torch.equal(out.action, out.mean)


def test_each_task_acts_with_its_own_parameters():
    worlds, policy, g = make(Reach())
    params = {n: p.detach().clone() for n, p in expand(parameters_of(policy), K).items()}
    params["head.bias"][:] = torch.tensor([[0.5, 0.0], [0.0, -0.5], [0.0, 0.0]])
    params["head.weight"].zero_()
    out = collect(worlds, policy, params, num_tasks=K, generator=g, deterministic=True)
    np.testing.assert_allclose(out.mean[0, :, 0], [0.5, 0.5, 0, 0, 0, 0])
    np.testing.assert_allclose(out.mean[0, :, 1], [0, 0, -0.5, -0.5, 0, 0])
    grouped = out.by_task(out.mean)
    assert grouped.shape == (K, 40 * B, 2)
    assert (grouped[0, :, 0] == 0.5).all()


def test_what_follows_a_failure_does_not_count():
    worlds, _, out = run(Fragile())
    failing = worlds.task.goal_m[:, 0] > 0
    assert failing.any()
    assert not failing.all()
    length = out.mask.sum(0).numpy()
    assert (length[~failing] == 12).all()
    assert (length[failing] < 6).all()
    assert (out.ends.sum(0) == 1).all()
    assert (out.reward[out.mask == 0] == 0).all()
    assert (out.ends.argmax(0).numpy() + 1 == length).all()


def test_it_stops_early_once_every_episode_has_ended():
    out = run(Doomed())[2]
    assert len(out.obs) == len(out.mask) == 5
    assert out.num_steps == 5 * K * B


def test_worlds_that_no_task_count_divides_are_refused():
    worlds, policy, g = make(Reach())
    with pytest.raises(ShapeError, match="6 worlds cannot be shared by 4 tasks"):
        collect(worlds, policy, parameters_of(policy), num_tasks=4, generator=g)


def test_batched_and_shared_parameters_agree_with_the_module():
    _, policy, g = make(Reach())
    x = torch.randn(K, 5, policy.obs_dim, generator=g)
    own = parameters_of(policy)
    assert not is_batched(policy, own)
    assert is_batched(policy, expand(own, K))
    for params in (own, expand(own, K)):
        mean, log_std = apply(policy, params, x)
        torch.testing.assert_close(mean, policy(x)[0])
        assert log_std.shape == (K, 2)


class Watching(Memoryless):
    """Keeps what it is shown and told."""

    def __init__(self, *args):
        super().__init__(*args)
        self.shown, self.told = [], []

    def act(self, obs):
        self.shown.append(obs.clone())
        return super().act(obs)

    def see(self, action, step, alive):
        self.told.append((action.clone(), step, alive.copy()))


@pytest.mark.parametrize("family", [Reach(), Fragile(), Doomed()])
def test_what_acts_is_told_what_came_of_each_step(family):
    worlds, policy, g = make(family)
    actor = Watching(policy, parameters_of(policy), K)
    out = play(worlds, actor, num_tasks=K, generator=g)
    assert len(actor.shown) == len(actor.told) == len(out.obs)
    for t, (action, step, alive) in enumerate(actor.told):
        assert torch.equal(actor.shown[t], out.obs[t])
        assert torch.equal(action, out.action[t])
        np.testing.assert_array_equal(alive, out.mask[t].numpy() > 0)
        np.testing.assert_array_equal(np.where(alive, step.reward, 0), out.reward[t].numpy())
        ended = (step.terminated | step.truncated) & alive
        np.testing.assert_array_equal(ended, out.ends[t].numpy() > 0)
        if t + 1 < len(out.obs):  # an ended world goes on from elsewhere, but its end was told
            goes_on = torch.equal(torch.from_numpy(step.obs), out.obs[t + 1])
            assert goes_on != (step.terminated | step.truncated).any()


def test_a_policy_without_memory_is_one_thing_that_acts():
    worlds, policy, g = make(Fragile())
    offset = torch.rand(K * B, worlds.spec.task_dim, generator=torch.Generator().manual_seed(1))
    played = play(
        worlds, Memoryless(policy, parameters_of(policy), K),
        num_tasks=K, generator=g, offset=offset,
    )  # fmt: skip
    collected = run(Fragile(), offset=offset)[2]
    for name in ("obs", "action", "mean", "log_prob", "reward", "ends", "mask"):
        assert torch.equal(getattr(played, name), getattr(collected, name))
    block = played.obs[..., -worlds.spec.task_dim :]
    assert torch.equal(block, offset.expand_as(block))


def test_a_residual_is_added_to_what_the_policy_would_do():
    residual = torch.randn(40, K * B, 2, generator=torch.Generator().manual_seed(1))
    _, policy, out = run(Reach(), residual=residual, deterministic=True)
    mean = policy(out.obs)[0].detach() + residual
    torch.testing.assert_close(out.mean, mean)
    torch.testing.assert_close(out.action, mean)
    plain, none = (run(Reach(), residual=r)[2] for r in (None, torch.zeros_like(residual)))
    assert torch.equal(plain.action, none.action)
    assert not torch.equal(plain.action, out.action)
