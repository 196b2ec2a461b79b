"""Networks: seeds, head swaps, freezing, partial loads, functional use."""

from __future__ import annotations

import copy

import pytest
import torch
from problem import move_to_meta
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call, grad, stack_module_state, vmap

from metarl.errors import ConfigError, UnknownNameError
from metarl.nn import Mlp, Network, SmallCnn, initialise, load_partial
from metarl.nn.policy import GaussianPolicy
from metarl.nn.surgery import FIRST, carry_columns, carry_rows, carry_statistics


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mlp_network(seed: int = 0, device: str | None = None) -> Network:
    generator = seeded(seed)
    return Network(Mlp(5, (8, 6), "tanh", generator=generator, device=device), 3, generator)


def cnn_network(seed: int = 0, device: str | None = None) -> Network:
    generator = seeded(seed)
    return Network(SmallCnn(width=8, generator=generator, device=device), 3, generator)


NETWORKS = {
    "mlp": (mlp_network, (7, 5)),
    "cnn": (cnn_network, (7, 3, 16, 16)),
}


@pytest.fixture(params=NETWORKS)
def build(request):
    return NETWORKS[request.param]


def state(module: nn.Module) -> dict[str, bytes]:
    return {key: value.numpy().tobytes() for key, value in module.state_dict().items()}


def test_forward_is_head_of_features(build):
    network, shape = build[0](), build[1]
    x = torch.rand(shape, generator=seeded(1))
    features = network.forward_features(x)
    assert features.shape == (7, network.num_features)
    assert torch.equal(network(x), network.forward_head(features))
    assert network(x).shape == (7, 3)


def test_seed_decides_the_weights_and_global_state_does_not(build):
    before = torch.random.get_rng_state()
    first, again, other = build[0](0), build[0](0), build[0](1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert state(first) == state(again)
    assert state(first) != state(other)


def test_reinitialise_equals_building(build):
    network = build[0](0)
    network.reinitialise(seeded(4))
    assert state(network) == state(build[0](4))


def test_mlp_rows_are_orthogonal_with_gain_sqrt_two():
    weight = Mlp(16, (8,), "relu", generator=seeded()).layers[0].weight
    torch.testing.assert_close(weight @ weight.T, 2.0 * torch.eye(8))


def test_mlp_ends_in_the_activation():
    trunk = Mlp(4, (32,), "relu", generator=seeded())
    assert trunk(torch.randn(9, 4, generator=seeded(1))).min() == 0.0


def test_reset_classifier_leaves_the_trunk_alone(build):
    network, shape = build[0](), build[1]
    trunk, head = state(network.trunk), network.head.weight.clone()
    network.reset_classifier(3, seeded(1))
    assert state(network.trunk) == trunk
    assert not torch.equal(network.head.weight, head)
    network.reset_classifier(2, seeded(1))
    assert network(torch.rand(shape)).shape == (7, 2)


def test_frozen_trunk_gets_no_gradient(build):
    network, shape = build[0](), build[1]
    x = torch.rand(shape, generator=seeded(1))
    network(x).sum().backward()
    network.freeze_trunk()
    network(x).sum().backward()
    assert all(p.grad is None for p in network.trunk.parameters())
    assert all(p.grad is not None for p in network.head.parameters())
    network.unfreeze_trunk()
    network(x).sum().backward()
    assert all(p.grad is not None for p in network.trunk.parameters())


class NormTrunk(nn.Module):
    num_features = 4

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x):
        return self.norm(x)


def test_frozen_batch_norm_keeps_its_statistics():
    network = Network(NormTrunk(), 1, seeded())
    x = torch.randn(32, 4, generator=seeded(1)) + 3.0
    thawed = copy.deepcopy(network)
    network.freeze_trunk()
    before = state(network.trunk)
    for each in (network, thawed):
        each.train()
        each(x)
    assert state(network.trunk) == before
    assert state(thawed.trunk) != before


def test_functional_call_and_vmap_over_networks(build):
    networks = [build[0](seed) for seed in range(3)]
    x = torch.rand(build[1], generator=seeded(9))
    params, buffers = stack_module_state(networks)

    def loss(params, buffers, x):
        return functional_call(networks[0], (params, buffers), (x,)).square().mean()

    together = vmap(grad(loss), in_dims=(0, 0, None))(params, buffers, x)
    for index, network in enumerate(networks):
        network(x).square().mean().backward()
        for key, value in network.named_parameters():
            torch.testing.assert_close(together[key][index], value.grad, rtol=1e-4, atol=1e-6)


def test_meta_device_holds_every_parameter(build):
    network = build[0](0, "meta")
    assert {p.device.type for p in network.parameters()} == {"meta"}
    network.reset_classifier(2, seeded())
    network.reinitialise(seeded())
    out = network(torch.empty(build[1], device="meta"))
    assert (out.device.type, tuple(out.shape)) == ("meta", (7, 2))


def test_partial_load_lists_every_key():
    source, target = mlp_network(0), mlp_network(1)
    target.reset_classifier(2, seeded(1))
    tensors = dict(source.state_dict())
    tensors["stray"] = tensors.pop("trunk.layers.0.bias")
    report = load_partial(target, tensors)
    assert report.missing == ("trunk.layers.0.bias",)
    assert report.unexpected == ("stray",)
    assert report.mismatched == (("head.weight", (3, 6), (2, 6)), ("head.bias", (3,), (2,)))
    assert len(report.loaded) == len(target.state_dict()) - 3
    for key in report.loaded:
        assert torch.equal(target.state_dict()[key], source.state_dict()[key])
    lines = str(report).splitlines()
    assert len(lines) == len(report.loaded) + 4
    assert "mismatched head.weight: given (3, 6), network has (2, 6)" in lines


def test_bad_architectures_are_refused():
    with pytest.raises(UnknownNameError, match="did you mean 'tanh'"):
        Mlp(4, (8,), "tanhh", generator=seeded())
    with pytest.raises(ConfigError, match="width"):
        Mlp(4, (0,), "tanh", generator=seeded())
    with pytest.raises(ConfigError, match="multiple of 4"):
        SmallCnn(width=6, generator=seeded())
    with pytest.raises(ConfigError, match="num_features"):
        Network(nn.Flatten(), 1, seeded())
    with pytest.raises(ConfigError, match="reinitialise"):
        initialise(nn.GRU(2, 2), seeded())


def test_a_policy_keeps_what_it_learned_of_shared_blocks():
    old, new = GaussianPolicy(9, 2, 2, seeded()), GaussianPolicy(10, 2, 2, seeded(1))
    state = old.state_dict()
    new.load_state_dict({**state, FIRST: carry_columns(state[FIRST], [(0, 0, 3, 1.0)], 10)})
    x = torch.randn(6, 10, generator=seeded(2))
    known = torch.cat([x[:, :3], torch.zeros(6, 6)], dim=1)
    torch.testing.assert_close(new(x)[0], old(known)[0])
    assert torch.equal(carry_columns(state[FIRST], [(0, 0, 9, 1.0)], 9), state[FIRST])


def test_columns_are_carried_in_the_target_units():
    weight, x = torch.randn(4, 5, generator=seeded()), torch.randn(3, 6, generator=seeded(1))
    pieces = [(0, 2, 2, 1.0), (4, 0, 1, 10.0)]
    seen = torch.zeros(3, 5)
    seen[:, 2:4], seen[:, 0] = x[:, 0:2], 10.0 * x[:, 4]
    torch.testing.assert_close(x @ carry_columns(weight, pieces, 6).T, seen @ weight.T)
    mean, std = torch.arange(5.0), torch.arange(1.0, 6.0)
    new_mean, new_std = carry_statistics(mean, std, pieces, 6)
    z = (x - new_mean) / new_std
    torch.testing.assert_close(z[:, 4], (10.0 * x[:, 4] - mean[0]) / std[0])
    torch.testing.assert_close(z[:, :2], (x[:, :2] - mean[2:4]) / std[2:4])
    assert torch.equal(z[:, [2, 3, 5]], x[:, [2, 3, 5]])


def test_rows_that_nobody_carries_stay_as_they_were_drawn():
    fresh, rows = torch.randn(3, 4, generator=seeded()), torch.randn(5, 4, generator=seeded(1))
    carried = carry_rows(fresh, rows, [(1, 3, 2, 1.0)])
    assert torch.equal(carried[1:], rows[3:])
    assert torch.equal(carried[0], fresh[0])


def test_a_policy_is_what_its_config_says():
    def policy(**network):
        return GaussianPolicy(5, 2, 1, seeded(), **network)

    x = 3.0 * torch.randn(7, 5, generator=seeded(1))
    plain, squashed = policy(), policy(squash=True)
    assert torch.equal(squashed(x)[0], plain(x)[0].tanh())
    assert policy(activation="relu").forward_features(x).min() == 0.0
    with pytest.raises(UnknownNameError, match="did you mean 'relu'"):
        policy(activation="rely")
    assert torch.equal(policy(normalised=True)(x)[0], plain(x)[0])  # before statistics are loaded


def test_statistics_of_observations_stand_still_and_scratch_forgets_them():
    policy = GaussianPolicy(5, 2, 1, seeded(), normalised=True)
    drawn = state(policy)
    with torch.no_grad():
        policy.normaliser.mean.fill_(2.0)
        policy.normaliser.std.fill_(0.5)
        policy.normaliser.bound.fill_(1.0)
        policy.context.fill_(0.25)
    x = torch.randn(7, 5, generator=seeded(1))
    shifted = x + torch.tensor([0.0, 0.0, 0.0, 0.0, 0.25])  # the context is in the task's units
    expected = policy.trunk(((shifted - 2.0) / 0.5).clamp(-1.0, 1.0))
    torch.testing.assert_close(policy.forward_features(x), expected)
    before = state(policy.normaliser)
    policy.train()
    policy(x)[0].sum().backward()
    assert state(policy.normaliser) == before
    assert not list(policy.normaliser.parameters())
    policy.context.data.zero_()
    policy.reinitialise(seeded())
    assert state(policy) == drawn


def test_a_normalised_policy_has_no_stray_tensor():
    """A stray CPU tensor raises under FakeTensorMode, in the backward pass too."""
    policy = GaussianPolicy(5, 2, 1, seeded(), squash=True, normalised=True)
    with FakeTensorMode():
        move_to_meta(policy)
        mean, log_std = policy(torch.empty(7, 5, device="meta"))
        (mean.sum() + log_std.sum()).backward()
        assert all(p.grad.device.type == "meta" for p in policy.parameters())
