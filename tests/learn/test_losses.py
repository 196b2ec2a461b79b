"""Losses and advantages against hand arithmetic."""

import math

import numpy as np
import pytest
import torch

from metarl.errors import ShapeError
from metarl.learn.losses import (
    clipped_surrogate,
    gae,
    gaussian_entropy,
    gaussian_log_prob,
    surrogate,
)


def test_log_prob_of_a_standard_normal_and_a_scaled_one():
    mean, log_std = torch.zeros(2), torch.tensor([0.0, math.log(2.0)])
    action = torch.tensor([1.0, 2.0])
    # -1/2 - log(2 pi)/2 for the first; -1/2 - log 2 - log(2 pi)/2 for the second
    expected = -1.0 - math.log(2.0) - math.log(2.0 * math.pi)
    assert gaussian_log_prob(mean, log_std, action).item() == pytest.approx(expected, rel=1e-6)


def test_log_prob_and_entropy_agree_with_torch():
    g = torch.Generator().manual_seed(0)
    mean, action = torch.randn(5, 3, generator=g), torch.randn(5, 3, generator=g)
    log_std = torch.randn(3, generator=g)
    normal = torch.distributions.Normal(mean, log_std.exp())
    torch.testing.assert_close(
        gaussian_log_prob(mean, log_std, action), normal.log_prob(action).sum(-1)
    )
    torch.testing.assert_close(gaussian_entropy(log_std), normal.entropy()[0].sum())


@pytest.mark.parametrize("convert", [np.array, torch.tensor])
def test_gae_by_hand(convert):
    rewards = convert([[1.0], [2.0], [3.0]])
    values = convert([[0.5], [1.0], [1.5], [2.0]])
    ends = convert([[0.0], [0.0], [0.0]])
    # deltas: 1+.5*1-.5=1; 2+.5*1.5-1=1.75; 3+.5*2-1.5=2.5; factor .5*.4=.2
    last, middle = 2.5, 1.75 + 0.2 * 2.5
    expected = [1.0 + 0.2 * middle, middle, last]
    np.testing.assert_allclose(np.asarray(gae(rewards, values, ends, 0.5, 0.4))[:, 0], expected)


def test_nothing_flows_back_over_an_end():
    rewards, values = np.array([[1.0], [2.0], [100.0]]), np.full((4, 1), 10.0)
    ends = np.array([[False], [True], [False]])
    advantage = gae(rewards, values, ends, 1.0, 1.0)[:, 0]
    np.testing.assert_allclose(advantage[:2], [1 + 2 - 10, 2 - 10])


def test_zero_values_and_lambda_one_give_discounted_returns():
    rewards = np.ones((4, 2))
    returns = gae(rewards, np.zeros((5, 2)), np.zeros((4, 2)), 0.5, 1.0)
    np.testing.assert_allclose(returns[0], 1 + 0.5 + 0.25 + 0.125)


def test_gae_names_the_shapes_that_do_not_fit():
    with pytest.raises(ShapeError, match=r"\(3, 2\), \(3, 2\) and \(3, 2\)"):
        gae(np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 2)), 0.9, 0.9)


def test_surrogate_by_hand_ignores_what_is_masked():
    log_prob = torch.log(torch.tensor([2.0, 0.5, 7.0]))
    old = torch.zeros(3)
    advantage, mask = torch.tensor([1.0, 4.0, 9.0]), torch.tensor([1.0, 1.0, 0.0])
    assert surrogate(log_prob, old, advantage, mask).item() == pytest.approx(-2.0)
    # ratio 2 counts as 1.2; ratio 0.5 with a positive advantage stays
    clipped = clipped_surrogate(log_prob, old, advantage, mask, 0.2)
    assert clipped.item() == pytest.approx(-(1.2 + 2.0) / 2)
    # with negative advantages the pessimistic choice is the other one
    clipped = clipped_surrogate(log_prob, old, -advantage, mask, 0.2)
    assert clipped.item() == pytest.approx((2.0 + 0.8 * 4.0) / 2)


def test_surrogate_has_the_curvature_of_the_ratio():
    """d/dx exp(x - x0) a = a and so is the second derivative; that of x * a would be 0."""
    x = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    loss = surrogate(x, x, torch.tensor([2.0]), torch.ones(1))
    (first,) = torch.autograd.grad(loss, x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    assert first.item() == pytest.approx(-2.0)
    assert second.item() == pytest.approx(-2.0)
