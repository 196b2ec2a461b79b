"""A small meta-learning problem with every field filled, and the same on device meta."""

import torch
from torch import nn

from metarl.meta.maml.inner import Batch, initial_rates, log_prob_of
from metarl.meta.maml.outer import remember
from metarl.nn.functional import apply, expand, parameters_of
from metarl.nn.policy import GaussianPolicy

K, M, D, A = 3, 20, 5, 2


def make_problem(num_updates, dtype=torch.float64):
    g = torch.Generator().manual_seed(0)
    policy = GaussianPolicy(D, A, 2, g, hidden=(6,)).to(dtype)
    with torch.no_grad():
        policy.head.weight.mul_(50.0)  # the first head is nearly 0, which hides mistakes
    params = parameters_of(policy)
    batches = []
    for _ in range(num_updates + 1):
        obs = torch.randn(K, M, D, generator=g, dtype=dtype)
        with torch.no_grad():
            mean, log_std = apply(policy, params, obs)
            noise = torch.randn(mean.shape, generator=g, dtype=dtype)
            action = mean + log_std[:, None].exp() * noise
            # another policy than this acted, so that no ratio is 1
            old = log_prob_of((mean + 0.05, log_std), action)
        advantage = torch.randn(K, M, generator=g, dtype=dtype)
        mask = (torch.rand(K, M, generator=g) < 0.8).to(dtype)
        batches.append(Batch(obs, action, old, advantage, mask))
    rates = initial_rates(params, num_updates, 0.1)
    return policy, params, rates, batches


def with_actors(problem, shift=0.1):
    """Say which policy acted in each batch: the present one, or one that is `shift` away."""
    policy, params, rates, batches = problem
    elsewhere = {name: p.detach() + shift for name, p in expand(params, K).items()}
    return policy, params, rates, [remember(policy, elsewhere, b) for b in batches]


def on_meta(policy):
    """Make a problem on device meta, the policy's parameters too; call it under the mode."""
    for module in policy.modules():
        for name, p in list(module._parameters.items()):
            module._parameters[name] = torch.nn.Parameter(torch.empty(p.shape, device="meta"))
    params = parameters_of(policy)
    shapes = [(K, M, D), (K, M, A), (K, M), (K, M), (K, M)]
    batches = [Batch(*(torch.empty(s, device="meta") for s in shapes)) for _ in range(3)]
    rates = initial_rates(params, 2, 0.1)
    for rate in rates.values():
        rate.requires_grad_()
    return policy, params, rates, batches


def assert_finite_differences(loss, tensors, gradients, every=4):
    """Compare gradients with central differences of a loss, a few elements of each tensor."""
    for name, tensor in tensors.items():
        flat = tensor.detach().reshape(-1)  # shares memory: moved in place below
        for i in range(0, len(flat), max(1, len(flat) // every)):
            value, losses = flat[i].item(), []
            for sign in (1.0, -1.0):
                flat[i] = value + sign * 1e-5
                losses.append(loss().item())
            flat[i] = value
            numeric = (losses[0] - losses[1]) / 2e-5
            assert abs(gradients[name].reshape(-1)[i].item() - numeric) < 1e-6, (name, i)


def move_to_meta(network):
    """`Module.to` cannot, under FakeTensorMode."""
    for module in network.modules():
        for name, p in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(torch.empty(p.shape, device="meta")))
        for name, b in module.named_buffers(recurse=False):
            setattr(module, name, torch.empty(b.shape, device="meta"))
