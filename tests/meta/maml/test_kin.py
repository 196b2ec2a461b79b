"""MAML's kin: trust region, ProMP, Reptile, Meta-SGD, ANIL."""

import copy
import json

import numpy as np
import pytest
import torch
from alike import same
from problem import A, K, M, assert_finite_differences, make_problem, on_meta, with_actors
from torch._subclasses.fake_tensor import FakeTensorMode
from toy import Reach

from metarl.adapt.evaluate import evaluate_adaptation, start_adaptation
from metarl.adapt.protocol import Protocol
from metarl.errors import ConfigError, FamilyError, TrainingError
from metarl.learn.losses import gaussian_kl
from metarl.learn.train import train
from metarl.meta.maml.inner import adapted, policy_gradient
from metarl.meta.maml.outer import Outer, outer_gradients, outer_loss, remember
from metarl.meta.maml.promp import PrompConfig, drifts, tightened
from metarl.meta.maml.reptile import ReptileConfig, away_from_adapted
from metarl.meta.maml.trust_region import (
    TrustRegionConfig,
    conjugate_gradients,
    curvature_of,
    judge,
    trust_region_step,
)
from metarl.methods import get_training
from metarl.nn.functional import expand
from metarl.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from metarl.runs.metrics import read_metrics

KIN = ("maml-trpo", "promp", "reptile", "meta-sgd", "anil")
QUICK = Protocol(num_tasks=2, episodes=2, updates=2, eval_episodes=1)
SMALL = {"num_tasks": 2, "episodes": 2, "iterations": 4, "hidden": (8,)}


class Short(Reach):
    horizon = 8


class Worthless(Short):
    """No action is better than another."""

    def terms(self, worlds, task, action):
        return {"near": np.zeros(worlds.num_worlds)}


class Nan(Short):
    """Rewards are not numbers."""

    def terms(self, worlds, task, action):
        return {"near": np.full(worlds.num_worlds, np.nan)}


def start(method, family=None, **changes):
    found = get_training(method)
    config = found.config(**{**found.settings, **SMALL, **changes})
    trainer = found.trainer(family or Short(), config, num_threads=1)
    trainer.method = method
    return trainer


def checkpoint_of(trainer):
    tensors, meta = trainer.checkpoint()
    return Checkpoint(tensors, json.loads(json.dumps(meta)))


# All of them ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", KIN)
def test_resumed_equals_never_stopped(method, tmp_path):
    straight, stopped, resumed = (start(method) for _ in range(3))
    for _ in range(4):
        straight.iterate()
    for _ in range(2):
        stopped.iterate()
    save_checkpoint(tmp_path / "half.safetensors", *stopped.checkpoint())
    resumed.restore(load_checkpoint(tmp_path / "half.safetensors"))
    for _ in range(2):
        resumed.iterate()
    a, b = straight.state_dict(), resumed.state_dict()
    assert a.pop("progress")[:2] == b.pop("progress")[:2]
    assert same(a, b)
    assert not same(a["policy"], start(method).state_dict()["policy"])


@pytest.mark.parametrize("method", KIN)
def test_not_a_number_rewards_refuse_the_update(method):
    trainer = start(method, Nan())
    before = copy.deepcopy(trainer.state_dict())
    with pytest.raises(FamilyError, match=r"terms\(\) of .*Nan gave nan as 'near' in worlds"):
        trainer.iterate()
    for part in ("policy", "rates", "optimizer"):
        assert same(before[part], trainer.state_dict()[part])


@pytest.mark.parametrize("method", KIN)
def test_trains_and_adapts_by_name(method, tmp_path):
    path = train("toy/reach", method, seed=1, iterations=2, out=tmp_path, num_tasks=2, episodes=2)
    found = evaluate_adaptation(Reach(), method, load_checkpoint(path), QUICK)
    assert found.success.shape == (3, 2)
    assert found.steps == 2 * 4 * Reach.horizon


# Divergences ----------------------------------------------------------------------------


def test_the_divergence_is_torchs():
    g = torch.Generator().manual_seed(0)
    mean, log_std, to_mean, to_log_std = torch.randn(4, 7, A, generator=g, dtype=torch.float64)
    first = torch.distributions.Normal(mean, log_std.exp())
    second = torch.distributions.Normal(to_mean, to_log_std.exp())
    expected = torch.distributions.kl_divergence(first, second).sum(-1)
    torch.testing.assert_close(gaussian_kl(mean, log_std, to_mean, to_log_std), expected)


def test_a_leash_on_the_exploring_policies_enters_the_gradient():
    policy, params, rates, batches = with_actors(make_problem(2))
    outer = Outer(clip=100.0, drift=(0.7, 0.3))
    _, gradients, _ = outer_gradients(policy, params, rates, batches, outer)
    _, free, _ = outer_gradients(policy, params, rates, batches, Outer(clip=100.0))
    assert max((gradients[n] - free[n]).abs().max() for n in free) > 0.01
    assert_finite_differences(
        lambda: outer_loss(policy, params, rates, batches, outer), params, gradients
    )


# Trust region ---------------------------------------------------------------------------


def acted_by_itself(num_updates=1):
    """A problem whose last batch was collected by the policies as they are adapted now."""
    policy, params, rates, batches = make_problem(num_updates)
    now = expand(params, K)
    for u, batch in enumerate(batches[:-1]):
        now = adapted(now, batch, rates, policy_gradient(policy), u)
    return policy, params, rates, [*batches[:-1], remember(policy, now, batches[-1])]


def test_conjugate_gradients_solve_linear_equations():
    g = torch.Generator().manual_seed(0)
    root = torch.randn(6, 6, generator=g, dtype=torch.float64)
    matrix, b = root @ root.T + torch.eye(6), torch.randn(6, generator=g, dtype=torch.float64)
    found = conjugate_gradients(lambda v: matrix @ v, b, 6)
    torch.testing.assert_close(found, torch.linalg.solve(matrix, b))
    rough = conjugate_gradients(lambda v: matrix @ v, b, 2)
    assert (matrix @ rough - b).norm() > 1e-3
    assert same(conjugate_gradients(lambda v: matrix @ v, torch.zeros(6), 6), torch.zeros(6))


@pytest.mark.parametrize("num_updates", [1, 2])
def test_curvature_is_that_of_the_divergence_after_adaptation(num_updates):
    problem = acted_by_itself(num_updates)
    leaves = list(problem[1].values())
    kl = judge(*problem, Outer(clip=None)).kl
    assert abs(kl) < 1e-12
    g = torch.Generator().manual_seed(1)
    step = [torch.randn(p.shape, generator=g, dtype=torch.float64) for p in leaves]
    flat = torch.cat([x.reshape(-1) for x in step])
    quadratic = 0.5 * flat @ curvature_of(kl, leaves, 0.0)(flat)
    values = []
    for scale in (1e-3, -1e-3):
        with torch.no_grad():
            for p, x in zip(leaves, step):
                p += scale * x
        values.append(judge(*problem, Outer(clip=None)).kl.item() / 1e-6)
        with torch.no_grad():
            for p, x in zip(leaves, step):
                p -= scale * x
    assert quadratic.item() == pytest.approx(sum(values) / 2, rel=1e-3)


def test_a_step_improves_the_surrogate_within_the_trust_region():
    problem = acted_by_itself()
    config = TrustRegionConfig(max_kl=1e-3, cg_steps=30, inner_clip=None)
    before = judge(*problem, config.outer)
    step = trust_region_step(*problem, config.outer, config)
    assert step.accepted
    after = judge(problem[0], step.params, *problem[2:], config.outer)
    assert after.loss < before.loss - 1e-3
    assert 0.5e-3 * step.length**2 < after.kl <= 1e-3
    assert step.kl == pytest.approx(after.kl.item())


def test_the_step_is_along_the_natural_gradient():
    problem = acted_by_itself()
    params = problem[1]
    leaves = list(params.values())
    config = TrustRegionConfig(max_kl=1e-6, damping=1e-2, cg_steps=200, inner_clip=None)
    loss, kl = judge(*problem, config.outer)
    product = curvature_of(kl, leaves, config.damping)
    gradient = torch.cat(
        [g.reshape(-1) for g in torch.autograd.grad(loss, leaves, retain_graph=True)]
    )
    matrix = torch.stack([product(e) for e in torch.eye(len(gradient), dtype=gradient.dtype)])
    natural = torch.linalg.solve(matrix, gradient)
    step = trust_region_step(*problem, config.outer, config)
    taken = torch.cat([(step.params[n] - p).reshape(-1) for n, p in params.items()]).detach()
    cosine = -taken @ natural / (taken.norm() * natural.norm())
    assert cosine > 1 - 1e-6
    assert natural @ gradient > 0


def test_a_step_that_cannot_help_is_refused_and_said():
    trainer = start("maml-trpo", Worthless())
    before = copy.deepcopy(trainer.state_dict()["policy"])
    metrics = trainer.iterate()
    assert (metrics["accepted"], metrics["step_length"], metrics["kl"]) == (0.0, 0.0, 0.0)
    assert same(before, trainer.state_dict()["policy"])
    assert start("maml-trpo").iterate()["accepted"] == 1.0


def test_a_surrogate_that_is_not_finite_is_refused():
    policy, params, rates, batches = acted_by_itself()
    batches[-1] = batches[-1]._replace(advantage=batches[-1].advantage * torch.nan)
    config = TrustRegionConfig()
    before = copy.deepcopy(params)
    with pytest.raises(TrainingError, match="outer loss"):
        trust_region_step(policy, params, rates, batches, config.outer, config)
    assert same(before, params)


def test_a_gradient_that_is_not_finite_is_refused():
    policy, params, rates, batches = acted_by_itself()
    rates["log_std"][:] = torch.inf
    batches = [b._replace(advantage=b.advantage * 0.0) for b in batches]
    config = TrustRegionConfig()
    with pytest.raises(TrainingError, match="not finite"):
        trust_region_step(policy, params, rates, batches, config.outer, config)


# ProMP ----------------------------------------------------------------------------------


def test_no_drift_before_the_first_step_and_some_after():
    problem = acted_by_itself(2)
    policy, params, rates, batches = problem
    now = [expand(params, K)]
    for u, batch in enumerate(batches[:-1]):
        now.append(adapted(now[-1], batch, rates, policy_gradient(policy), u))
    batches = [remember(policy, p, b) for p, b in zip(now, batches)]
    assert max(map(abs, drifts(policy, params, rates, batches, Outer()))) < 1e-12
    moved = {n: (p + 0.1).detach().requires_grad_() for n, p in params.items()}
    found = drifts(policy, moved, rates, batches, Outer())
    assert len(found) == 2
    assert min(found) > 1e-3


def test_weights_follow_the_divergence():
    config = PrompConfig(max_drift=0.1, drift=1.0)
    assert tightened((1.0, 1.0, 1.0), (0.2, 0.1, 0.05), config) == (2.0, 1.0, 0.5)
    assert tightened((900.0, 0.0012), (0.2, 0.05), config) == (1000.0, 0.001)


def test_the_leash_is_kept_with_a_run():
    trainer = start("promp", inner_updates=2, max_drift=1e-9)
    assert trainer.outer.drift == (5e-4, 5e-4)
    metrics = trainer.iterate()
    assert trainer.outer.drift == (1e-3, 1e-3)
    assert metrics["drift_weight"] == 1e-3
    assert metrics["drift"] > 1e-9
    again = start("promp", inner_updates=2, max_drift=1e-9)
    again.restore(checkpoint_of(trainer))
    assert again.outer == trainer.outer


def test_a_heavy_leash_holds():
    free, held = (start("promp", drift=w, outer_rate=0.03, outer_epochs=5) for w in (1e-6, 100.0))
    assert held.iterate()["drift"] < 0.5 * free.iterate()["drift"]


# Reptile --------------------------------------------------------------------------------


def test_reptile_goes_where_the_tasks_went():
    policy, params, rates, batches = make_problem(2)
    now = expand(params, K)
    for u, batch in enumerate(batches):
        now = adapted(now, batch, rates, policy_gradient(policy), min(u, 1))
    loss, gradients, of_rates = away_from_adapted(policy, params, rates, batches, Outer())
    assert torch.isfinite(loss)
    assert of_rates == {}
    for name, p in params.items():
        torch.testing.assert_close(p - gradients[name], now[name].mean(0))
        assert not torch.equal(now[name][0], now[name][1])


def test_an_outer_rate_is_a_share_of_the_way():
    whole, half = (start("reptile", outer_rate=r, anneal=0.0) for r in (1.0, 0.5))
    first = copy.deepcopy(dict(whole.params))
    whole.iterate()
    half.iterate()
    for name, p in whole.params.items():
        torch.testing.assert_close(half.params[name], (first[name] + p) / 2)
    assert not torch.equal(first["head.weight"], whole.params["head.weight"])


# Meta-SGD and ANIL ----------------------------------------------------------------------


def test_meta_sgd_learns_a_rate_for_each_element():
    trainer = start("meta-sgd")
    before = {name: rate.detach().clone() for name, rate in trainer.rates.items()}
    trainer.iterate()
    assert trainer.rates["head.weight"].shape == (1, 2, 8)
    moved = (trainer.rates["head.weight"] - before["head.weight"]).detach()
    assert (moved != 0).all()
    assert len(moved.unique()) > 1


def test_the_head_alone_adapts_and_all_learn():
    trainer = start("anil")
    assert set(trainer.rates) == {"head.weight", "head.bias"}
    before = copy.deepcopy(dict(trainer.params))
    trainer.iterate()
    for name, p in trainer.params.items():
        assert not torch.equal(p, before[name]), name
    adaptation = start_adaptation(Short(), "anil", checkpoint_of(trainer), QUICK, num_threads=1)
    first = adaptation.state()
    adaptation.update()
    changed = {name for name, p in adaptation.state().items() if not torch.equal(p, first[name])}
    assert changed == {"head.weight", "head.bias"}


@pytest.mark.parametrize("method", ["maml", "meta-sgd", "anil"])
def test_learn2learns_learners_train_and_adapt_alike(method, tmp_path):
    pytest.importorskip("learn2learn")
    plain = {"num_tasks": 2, "episodes": 2, "hidden": [8], "inner_rate": 0.01, "inner_clip": None}
    if method != "meta-sgd":
        plain |= {"learn_rates": False, "context_rate": None}
    if method == "maml":  # by first order ours keeps the gradient that was followed
        plain |= {"first_order": False}
    losses = []
    for backend in ("torch", "learn2learn"):
        out = tmp_path / backend
        path = train("toy/reach", method, seed=2, iterations=2, out=out, backend=backend, **plain)
        losses.append([row["loss"] for row in read_metrics(out)])
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert min(map(abs, losses[0])) > 1e-3
    found = load_checkpoint(path)
    assert found.meta["config"]["backend"] == "learn2learn"
    assert evaluate_adaptation(Reach(), method, found, QUICK).success.shape == (3, 2)


# Configs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "change", "message"),
    [
        (TrustRegionConfig, {"outer_rate": 0.1}, "outer_rate is 0.1; .*trust region"),
        (TrustRegionConfig, {"learn_rates": True}, "learn_rates"),
        (TrustRegionConfig, {"max_kl": 0.0}, "max_kl is 0.0; expected a finite number > 0"),
        (TrustRegionConfig, {"shrink": 1.0}, r"shrink is 1.0; expected a number in \(0, 1\)"),
        (TrustRegionConfig, {"backend": "learn2learn"}, "backend"),
        (PrompConfig, {"max_drift": float("nan")}, "max_drift"),
        (PrompConfig, {"backend": "learn2learn"}, "backend"),
        (ReptileConfig, {"clip": 0.3}, "clip is 0.3; expected 0.2, its default: Reptile"),
        (ReptileConfig, {"outer_rate": 1.5}, r"a number in \(0, 1\]"),
        (ReptileConfig, {"learn_rates": True}, "learn_rates"),
    ],
)
def test_a_config_says_what_is_wrong(config, change, message):
    with pytest.raises(ConfigError, match=message):
        config(**change)


# Devices --------------------------------------------------------------------------------


def test_every_tensor_of_an_outer_step_lives_on_the_parameters_device():
    """A stray CPU tensor raises under FakeTensorMode, in the backward pass too."""
    policy = make_problem(2, torch.float32)[0]
    with FakeTensorMode():
        policy, params, rates, batches = on_meta(policy)
        batches = [remember(policy, expand(params, K), b) for b in batches]
        leaves = list(params.values())
        loss, kl = judge(policy, params, rates, batches, Outer(clip=None))
        size = sum(p.numel() for p in leaves)
        product = curvature_of(kl, leaves, 0.1)(torch.empty(size, device="meta"))
        leashed = Outer(drift=(0.1, 0.1))
        _, gradients, of_rates = outer_gradients(policy, params, rates, batches, leashed)
        _, away, _ = away_from_adapted(policy, params, rates, batches, Outer())
        for x in (loss, product, *gradients.values(), *of_rates.values(), *away.values()):
            assert x.device.type == "meta"
        stray = [b._replace(mean=torch.ones(K, M, A)) for b in batches]
        with pytest.raises(RuntimeError, match="device"):
            outer_gradients(policy, params, rates, stray, leashed)
