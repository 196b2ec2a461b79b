"""Strategies: what starts where, what is new, what learns, and how fast."""

from __future__ import annotations

import pytest
import torch

from metarl.errors import ConfigError, UnknownNameError
from metarl.nn import Mlp, Network
from metarl.transfer.strategy import get_strategy, parameter_groups, prepare, strategies_by_name

STRATEGIES = strategies_by_name()

RATE = 0.01


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def source() -> Network:
    generator = seeded()
    return Network(Mlp(4, (8, 8), generator=generator), 3, generator)


@pytest.fixture(params=STRATEGIES)
def strategy(request):
    return STRATEGIES[request.param]


def state(module: torch.nn.Module) -> dict[str, bytes]:
    return {key: value.numpy().tobytes() for key, value in module.state_dict().items()}


def update(network: Network, strategy, seed: int = 1) -> None:
    optimiser = torch.optim.Adam(parameter_groups(network, strategy, RATE))
    network(torch.randn(16, 4, generator=seeded(seed))).square().mean().backward()
    optimiser.step()


def test_there_is_a_scratch_baseline():
    assert STRATEGIES["scratch"].start == "scratch"
    assert all(name == strategy.name for name, strategy in STRATEGIES.items())


def test_source_is_never_changed(source, strategy):
    before = state(source)
    update(prepare(source, strategy, out_features=2, generator=seeded(1)), strategy)
    assert state(source) == before
    assert all(param.grad is None for param in source.parameters())


def test_start_and_head_are_as_declared(source, strategy):
    student = prepare(source, strategy, generator=seeded(1))
    kept = state(student.trunk) == state(source.trunk)
    assert kept == (strategy.start == "pretrained")
    assert (state(student.head) != state(source.head)) == strategy.new_head


def test_a_head_that_does_not_fit_is_always_new(source, strategy):
    student = prepare(source, strategy, out_features=5, generator=seeded(1))
    assert student(torch.zeros(2, 4)).shape == (2, 5)


def test_same_generator_same_student(source, strategy):
    first, again = (prepare(source, strategy, generator=seeded(7)) for _ in range(2))
    assert state(first) == state(again)


def test_scratch_owes_nothing_to_the_source(source):
    other = Network(Mlp(4, (8, 8), generator=seeded(50)), 3, seeded(51))
    scratch = get_strategy("scratch")
    students = [prepare(each, scratch, generator=seeded(7)) for each in (source, other)]
    assert state(students[0]) == state(students[1])


def test_only_what_may_learn_learns(source, strategy):
    student = prepare(source, strategy, out_features=2, generator=seeded(1))
    trunk, head = state(student.trunk), state(student.head)
    update(student, strategy)
    assert (state(student.trunk) != trunk) == strategy.train_trunk
    assert state(student.head) != head
    gradients = [param.grad is not None for param in student.trunk.parameters()]
    assert all(gradients) if strategy.train_trunk else not any(gradients)


def test_a_frozen_source_thaws(source):
    source.freeze_trunk()
    fine_tune = get_strategy("fine-tune")
    student = prepare(source, fine_tune, generator=seeded(1))
    before = state(student.trunk)
    update(student, fine_tune)
    assert state(student.trunk) != before


def test_rate_is_scaled(source, strategy):
    student = prepare(source, strategy, generator=seeded(1))
    groups = parameter_groups(student, strategy, RATE)
    assert {group["lr"] for group in groups} == {RATE * strategy.rate_scale}
    listed = {id(param) for group in groups for param in group["params"]}
    assert listed == {id(param) for param in student.parameters() if param.requires_grad}


def test_small_rate_moves_less(source):
    moved = {}
    for name in ("fine-tune", "small-rate"):
        student = prepare(source, get_strategy(name), generator=seeded(1))
        update(student, get_strategy(name))
        pairs = zip(student.parameters(), source.parameters(), strict=True)
        moved[name] = max(float((a - b).detach().abs().max()) for a, b in pairs)
    assert moved["small-rate"] == pytest.approx(0.1 * moved["fine-tune"], rel=1e-2)


def test_bad_names_and_rates_are_refused(source):
    with pytest.raises(UnknownNameError, match="did you mean 'frozen-trunk'"):
        get_strategy("frozen_trunk")
    for rate in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="learning rate"):
            parameter_groups(source, get_strategy("fine-tune"), rate)
    source.requires_grad_(False)
    with pytest.raises(ConfigError, match="no parameter to train"):
        parameter_groups(source, get_strategy("fine-tune"), RATE)
