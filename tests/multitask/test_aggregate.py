"""What becomes of several tasks' gradients."""

from __future__ import annotations

import copy
from typing import get_args

import pytest
import torch

from metarl.errors import CheckpointError, ConfigError, TrainingError
from metarl.multitask.aggregate import Aggregator, cosines
from metarl.multitask.config import OF_LOSSES, Aggregation, MultiTaskConfig
from metarl.runs.config import configure

ALL = get_args(Aggregation)
J = torch.tensor([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]])
LOSSES = torch.tensor([1.0, 2.0])


def make(name: str, num_tasks: int = 2) -> Aggregator:
    return Aggregator(name, num_tasks, rate=0.1, device="cpu")


def run(aggregator: Aggregator, jacobian: torch.Tensor = J, seed: int = 0):
    precise = jacobian.double()
    generator = torch.Generator().manual_seed(seed)
    losses = LOSSES[: len(jacobian)]
    return aggregator(losses, jacobian, precise @ precise.T, generator)


def test_figures_of_torchjd_and_hand_arithmetic():
    assert run(make("mean"))[0].tolist() == [1.0, 1.0, 1.0]
    assert run(make("sum"))[0].tolist() == [2.0, 2.0, 2.0]
    # As in TorchJD's own documentation.
    torch.testing.assert_close(
        run(make("upgrad"))[0], torch.tensor([0.2929, 1.9004, 1.9004]), atol=1e-3, rtol=0
    )
    a, b = J  # PCGrad: each without what it has against the other; both orders are the same for two
    by_hand = a - (a @ b) / (b @ b) * b + b - (a @ b) / (a @ a) * a
    torch.testing.assert_close(run(make("pcgrad"))[0], by_hand)


@pytest.mark.parametrize("name", [n for n in ALL if n not in (*OF_LOSSES, "graddrop")])
def test_small_gradients_are_no_zeros(name: str):
    """A direction does not depend on how large gradients are; some solvers take small ones for none."""
    small = run(make(name), 1e-6 * J)[0]
    torch.testing.assert_close(1e6 * small, run(make(name))[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_one_seed_one_result_and_the_global_state_is_as_before(name: str):
    three = torch.randn(3, 50, generator=torch.Generator().manual_seed(1))
    before = torch.get_rng_state()
    with torch.random.fork_rng():
        first = run(make(name, 2), three[:2])[0]
        torch.manual_seed(99)  # what others draw changes nothing
        again = run(make(name, 2), three[:2])[0]
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), before)


def test_graddrop_draws_from_the_given_generator():
    wide = torch.randn(2, 50, generator=torch.Generator().manual_seed(1))
    first, other = (run(make("graddrop"), wide, seed=s)[0] for s in (0, 1))
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", OF_LOSSES)
def test_weights_of_losses_learn_and_go_on_from_a_state(name: str):
    aggregator, other = make(name), make(name)

    def step(one: Aggregator) -> torch.Tensor:
        weights = run(one)[1]
        if one.looks_back:
            one.look_back(LOSSES * torch.tensor([0.5, 0.9]))
        return weights

    first = step(aggregator)
    assert not torch.equal(step(aggregator), first)
    other.load(copy.deepcopy(aggregator.state()))
    assert torch.equal(step(other), step(aggregator))
    assert torch.equal(step(other), step(aggregator))  # its optimizer went on, too
    with pytest.raises(CheckpointError, match="another aggregation"):
        make(name, 3).load(aggregator.state())


def test_what_no_solver_solves_is_refused():
    with pytest.raises(TrainingError, match="aggregation imtl-g finds no common gradient"):
        run(make("imtl-g"), J * torch.nan)


def test_names_are_told():
    with pytest.raises(ConfigError, match=r"did you mean 'pcgrad'.*aligned-mtl.*upgrad"):
        configure(MultiTaskConfig, {"aggregation": "pc-grad"})
    with pytest.raises(ConfigError, match=r"aggregation.*'famo'.*learner=dagger"):
        configure(MultiTaskConfig, {"aggregation": "famo"})


def test_cosines():
    found = cosines(torch.tensor([[4.0, -2.0, 0.0], [-2.0, 4.0, 0.0], [0.0, 0.0, 0.0]]))
    assert found.tolist() == [[1.0, -0.5, 0.0], [-0.5, 1.0, 0.0], [0.0, 0.0, 0.0]]
