"""Meta-learning: gradients against other ways to compute them, and the trainer's promises."""

import dataclasses

import numpy as np
import pytest
import torch
from problem import A, K, M, assert_finite_differences, make_problem, on_meta
from torch._subclasses.fake_tensor import FakeTensorMode
from toy import Reach

from metarl.errors import ConfigError
from metarl.learn.losses import gaussian_entropy
from metarl.learn.rollout import collect
from metarl.meta.baseline import features, fit_values, make_batch
from metarl.meta.maml import learn2learn_backend
from metarl.meta.maml import outer as outer_module
from metarl.meta.maml.config import MamlConfig
from metarl.meta.maml.inner import (
    Batch,
    Guesses,
    adapted,
    initial_rates,
    policy_gradient,
    rate_at,
)
from metarl.meta.maml.maml import MamlTrainer
from metarl.meta.maml.outer import Outer, outer_gradients, outer_loss
from metarl.nn.functional import apply, expand, parameters_of
from metarl.nn.policy import GaussianPolicy
from metarl.sim.worlds import Worlds
from metarl.types import repeat

TINY = MamlConfig(
    num_tasks=2, episodes=2, inner_updates=2, outer_epochs=2, iterations=4, hidden=(8,)
)


class Short(Reach):
    horizon = 8


# Gradients ------------------------------------------------------------------------------


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize(
    ("learner", "num_updates"), [("maml", 1), ("maml", 2), ("anil", 1), ("anil", 2), ("sgd", 1)]
)
def test_meta_gradient_equals_learn2learns(learner, num_updates, first_order):
    pytest.importorskip("learn2learn")
    policy, params, rates, batches = make_problem(num_updates)
    if learner == "anil":
        rates = {name: rate for name, rate in rates.items() if name.startswith("head.")}
    if learner == "sgd":
        g = torch.Generator().manual_seed(1)
        for rate in rates.values():  # no two alike
            rate.mul_(torch.rand(rate.shape, generator=g)).requires_grad_()
    scale = torch.tensor([0.1, 1.0, 3.0])[:K]
    problem = policy, params, rates, [b._replace(scale=scale) for b in batches]
    outer = Outer(entropy=0.01, first_order=first_order, multi_step=True, weigh_tasks=True)
    loss, ours, of_rates = outer_gradients(*problem, outer)
    their_loss, theirs, their_rates = learn2learn_backend.outer_gradients(*problem, outer)
    torch.testing.assert_close(loss, their_loss, rtol=0, atol=1e-12)
    assert of_rates.keys() == their_rates.keys() == (rates.keys() if learner == "sgd" else set())
    for mine, other in ((ours, theirs), (of_rates, their_rates)):
        for name in mine:
            torch.testing.assert_close(mine[name], other[name], rtol=0, atol=1e-12, msg=name)
    assert max(g.abs().max() for g in ours.values()) > 1e-2


def test_meta_gradient_equals_learn2learns_in_single_precision():
    pytest.importorskip("learn2learn")
    problem = make_problem(2, torch.float32)
    loss, ours, _ = outer_gradients(*problem, Outer())
    their_loss, theirs, _ = learn2learn_backend.outer_gradients(*problem, Outer())
    torch.testing.assert_close(loss, their_loss, rtol=0, atol=1e-5)
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-5, msg=name)


def test_learn2learn_refuses_rates_that_it_does_not_have():
    pytest.importorskip("learn2learn")
    policy, params, rates, batches = make_problem(2)
    rates["context"][0] = 0.3
    with pytest.raises(ConfigError, match="one inner rate"):
        learn2learn_backend.outer_gradients(policy, params, rates, batches, Outer())
    for rate in rates.values():
        rate.requires_grad_()
    with pytest.raises(ConfigError, match="Meta-SGD has one rate an element"):
        learn2learn_backend.outer_gradients(policy, params, rates, batches, Outer())


@pytest.mark.parametrize("size", [1, 2])
def test_tasks_may_be_differentiated_in_groups(size, monkeypatch):
    policy, params, rates, batches = make_problem(2)
    for rate in rates.values():
        rate.requires_grad_()
    g = torch.Generator().manual_seed(2)
    value, offset = (torch.randn(K, 4, 2, generator=g, dtype=torch.float64) for _ in range(2))
    gain = torch.randn(K, 4, generator=g, dtype=torch.float64)
    guesses = Guesses(value, offset, gain, torch.ones(2), torch.full((K, 1), 0.5))
    scale = torch.tensor([0.1, 1.0, 3.0], dtype=torch.float64)
    batches = [b._replace(scale=scale, guesses=guesses, merit=b.advantage**2) for b in batches]
    outer = Outer(entropy=0.01, multi_step=True, weigh_tasks=True, inner_clip=0.5)
    whole = outer_gradients(policy, params, rates, batches, outer)
    seen = []
    monkeypatch.setattr(outer_module, "SAMPLES_AT_ONCE", size * M)
    monkeypatch.setattr(
        outer_module,
        "outer_loss",
        lambda *args: seen.append(len(args[3][0].obs)) or outer_loss(*args),
    )
    parts = outer_gradients(policy, params, rates, batches, outer)
    assert seen == {1: [1, 1, 1], 2: [2, 1]}[size]
    torch.testing.assert_close(parts[0], whole[0])
    for a, b in zip(parts[1:], whole[1:]):
        for name in a:
            torch.testing.assert_close(a[name], b[name], msg=name)


@pytest.mark.parametrize("inner_clip", [None, 0.05])
@pytest.mark.parametrize("num_updates", [1, 2])
def test_meta_gradient_equals_finite_differences(num_updates, inner_clip):
    policy, params, rates, batches = make_problem(num_updates)
    for rate in rates.values():
        rate.requires_grad_()
    # a clip that never binds: its kink has no derivative
    outer = Outer(clip=100.0, entropy=0.01, multi_step=True, inner_clip=inner_clip)
    _, of_params, of_rates = outer_gradients(policy, params, rates, batches, outer)

    def loss():
        return outer_loss(policy, params, rates, batches, outer)

    assert_finite_differences(loss, params, of_params)
    assert_finite_differences(loss, rates, of_rates)


def test_tasks_weigh_by_what_is_left_to_gain():
    policy, params, rates, batches = make_problem(1)
    even = [b._replace(scale=torch.ones(K, dtype=b.obs.dtype)) for b in batches]
    scale = torch.zeros(K, dtype=batches[0].obs.dtype)
    scale[1] = 5.0  # the only task in which something is left
    one = [b._replace(scale=scale) for b in batches]
    weighed, alike = Outer(weigh_tasks=True), Outer()
    plain = outer_loss(policy, params, rates, even, alike)
    torch.testing.assert_close(outer_loss(policy, params, rates, even, weighed), plain)
    torch.testing.assert_close(outer_loss(policy, params, rates, one, alike), plain)
    alone = [Batch(*(x[1:2] for x in b[:5])) for b in batches]
    only = outer_loss(policy, params, rates, alone, alike)
    torch.testing.assert_close(outer_loss(policy, params, rates, one, weighed), only)


def test_guesses_pull_the_context_towards_those_that_went_well():
    value = torch.tensor([[[0.5, 9.0], [-0.5, 9.0]]])  # (K, B, C): the second column is seen
    guesses = Guesses(
        value=value, offset=value * torch.tensor([1.0, 0.0]), gain=torch.tensor([[1.0, -1.0]]),
        hidden=torch.tensor([1.0, 0.0]), std=torch.tensor([[0.5]]),
    )  # fmt: skip
    context = torch.zeros(1, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(guesses.loss(context).sum(), context)
    # -std * mean(gain * offset / std^2), and nothing where nothing was guessed
    torch.testing.assert_close(gradient, torch.tensor([[-1.0, 0.0]]))


def test_first_order_is_the_post_update_gradient_at_the_adapted_parameters():
    policy, params, rates, batches = make_problem(1)
    outer = Outer(first_order=True)
    _, gradients, _ = outer_gradients(policy, params, rates, batches, outer)
    after = adapted(expand(params, K), batches[0], rates, policy_gradient(policy), 0)
    leaves = {name: p.requires_grad_() for name, p in after.items()}
    loss = outer.loss(apply(policy, leaves, batches[1].obs), batches[1]).mean()
    direct = torch.autograd.grad(loss, list(leaves.values()))
    for name, gradient in zip(leaves, direct):
        torch.testing.assert_close(gradients[name], gradient.sum(0))
    _, second, _ = outer_gradients(policy, params, rates, batches, Outer())
    assert any((second[n] - gradients[n]).abs().max() > 1e-4 for n in gradients)


def test_inner_step_is_each_tasks_own_gradient_step():
    policy, params, rates, batches = make_problem(1)
    after = adapted(expand(params, K), batches[0], rates, policy_gradient(policy), 0)
    for k in range(K):
        own = Batch(*(x[k : k + 1] for x in batches[0][:5]))
        leaves = {n: p.detach()[None].clone().requires_grad_() for n, p in params.items()}
        loss = policy_gradient(policy)(leaves, own)[0]
        for (name, p), g in zip(leaves.items(), torch.autograd.grad(loss, list(leaves.values()))):
            torch.testing.assert_close(after[name][k], (p - 0.1 * g)[0])


def test_the_smooth_bound_shortens_long_gradients_and_leaves_short_ones():
    policy, params, rates, batches = make_problem(1)
    loss = policy_gradient(policy)
    free = adapted(expand(params, K), batches[0], rates, loss, 0)
    bound = adapted(expand(params, K), batches[0], rates, loss, 0, clip=0.05)
    for name, p in params.items():
        far, near = (p - free[name]) / 0.1, (p - bound[name]) / 0.1
        torch.testing.assert_close(near, 0.05 * torch.tanh(far / 0.05))
    assert max((p - free[n]).detach().abs().max() for n, p in params.items()) > 0.005


def test_the_last_rates_serve_later_updates():
    rates = {"w": torch.tensor([1.0, 2.0])}
    assert [rate_at(rates, u)["w"].item() for u in range(4)] == [1.0, 2.0, 2.0, 2.0]


def test_the_context_may_have_its_own_rate():
    rates = initial_rates({"context": torch.zeros(3), "w": torch.zeros(2, 2)}, 2, 0.1, 5.0)
    assert (rates["context"] == 5.0).all()
    assert (rates["w"] == 0.1).all()
    assert rates["w"].shape == (2, 2, 2)


def test_the_context_has_no_rate_where_a_policy_sees_the_task():
    rates = initial_rates({"context": torch.zeros(3)}, 2, 0.1, 5.0, (True, False, True))
    assert rates["context"].tolist() == [[5.0, 0.0, 5.0]] * 2


def test_outer_rates_fall_to_nothing_over_the_annealed_share():
    config = dataclasses.replace(TINY, iterations=4, anneal=0.5, outer_rate=0.1, rates_rate=0.2)
    trainer = MamlTrainer(Short(), config, num_threads=1)
    seen = []
    for _ in range(4):
        trainer.iterate()
        seen.append([group["lr"] for group in trainer.optimizer.param_groups])
    assert seen == [[0.1, 0.2], [0.1, 0.2], [0.1, 0.2], [0.05, 0.1]]
    constant = MamlTrainer(Short(), dataclasses.replace(config, anneal=0.0), num_threads=1)
    for _ in range(4):
        constant.iterate()
    assert constant.optimizer.param_groups[0]["lr"] == 0.1


def test_every_tensor_of_an_update_lives_on_the_parameters_device():
    """A stray CPU tensor raises under FakeTensorMode, in the backward pass too."""
    policy = make_problem(2, torch.float32)[0]
    outer = Outer(entropy=0.01, multi_step=True)
    with FakeTensorMode():
        problem = on_meta(policy)
        loss, of_params, of_rates = outer_gradients(*problem, outer)
        adapted(expand(problem[1], K), problem[3][0], problem[2], policy_gradient(problem[0]), 0)
        for tensor in (loss, *of_params.values(), *of_rates.values()):
            assert tensor.device.type == "meta"
        stray = problem[3][1]._replace(mask=torch.ones(K, M))
        with pytest.raises(RuntimeError, match="device"):
            outer_gradients(*problem[:3], [problem[3][0], stray], outer)


def test_advantages_are_made_on_the_episodes_device(episodes):
    with FakeTensorMode():
        moved = {
            f.name: torch.empty(value.shape, device="meta")
            for f in dataclasses.fields(episodes)
            if isinstance(value := getattr(episodes, f.name), torch.Tensor)
        }
        elsewhere = dataclasses.replace(episodes, **moved)
        assert fit_values(elsewhere, 0.99).device.type == "meta"


# Baseline -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def episodes():
    worlds = Worlds(Short(), 3 * 6, num_threads=1)
    worlds.assign(repeat(worlds.sample("train", np.array([0, 6, 12])), 6))
    g = torch.Generator().manual_seed(0)
    policy = GaussianPolicy(worlds.spec.obs_dim, 2, 2, g)
    return collect(worlds, policy, parameters_of(policy), num_tasks=3, generator=g)


def test_baseline_solves_each_tasks_own_least_squares(episodes):
    values = fit_values(episodes, 0.9)
    assert (values[-1] == 0).all()
    x = features(episodes.obs).numpy()
    returns = np.zeros((9, 18))
    for t in range(7, -1, -1):
        returns[t] = episodes.reward[t].double().numpy() + 0.9 * returns[t + 1]
    for k in range(3):
        phi = x[:, 6 * k : 6 * k + 6].reshape(48, -1)
        y = returns[:8, 6 * k : 6 * k + 6].reshape(48)
        w = np.linalg.solve(phi.T @ phi + 48e-5 * np.eye(phi.shape[1]), phi.T @ y)
        expected = (phi @ w).reshape(8, 6)
        np.testing.assert_allclose(values[:-1, 6 * k : 6 * k + 6], expected, rtol=1e-6)


def test_advantages_are_normalised_per_task(episodes):
    batch = make_batch(episodes, 0.99, 0.95)
    assert batch.obs.shape == (3, 48, episodes.obs.shape[-1])
    torch.testing.assert_close(batch.advantage.mean(1), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(batch.advantage.pow(2).mean(1), torch.ones(3))


def test_entropy_bonus_raises_the_log_std():
    policy, params, rates, batches = make_problem(1)
    zero = [b._replace(advantage=torch.zeros(K, M, dtype=torch.float64)) for b in batches]
    _, gradients, _ = outer_gradients(policy, params, rates, zero, Outer(entropy=0.5))
    torch.testing.assert_close(gradients["log_std"], torch.full((A,), -0.5, dtype=torch.float64))
    assert gaussian_entropy(policy.log_std).ndim == 0
