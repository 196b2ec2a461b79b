"""Gaussian processes for many tasks at once: what they say is what textbooks say."""

from __future__ import annotations

import math

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from metarl.transfer.gaussian_process import fit, matern


def drawn(tasks=3, num=30, dims=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(tasks, num, dims, generator=generator, dtype=torch.double)
    values = torch.sin(2.0 * points[..., 0]) + 0.5 * points[..., 1]
    values = (values - values.mean(1, keepdim=True)) / values.std(1, keepdim=True)
    return points, values


def test_the_kernel_falls_with_distance_as_matern_says():
    a, b = (
        torch.zeros(1, 1, 2).double(),
        torch.tensor([[[0.0, 0.0], [3.0, 0.0], [0.0, 8.0]]]).double(),
    )
    lengths = torch.tensor([[3.0, 8.0]]).double()
    root = math.sqrt(5.0)
    far = (1.0 + root + 5.0 / 3.0) * math.exp(-root)  # at one length
    torch.testing.assert_close(matern(a, b, lengths)[0, 0], torch.tensor([1.0, far, far]).double())


def test_it_says_what_a_textbook_says():
    points, values = drawn(tasks=1)
    process = fit(points, values)
    at = drawn(tasks=1, num=7, seed=1)[0]
    mean, std = process.predict(at)
    covariance = process.factor[0] @ process.factor[0].T
    across = matern(at, points, process.lengths)[0]
    inverse = torch.linalg.inv(covariance)
    torch.testing.assert_close(mean[0], across @ inverse @ values[0])
    variance = 1.0 - (across @ inverse @ across.T).diagonal()
    torch.testing.assert_close(std[0], variance.sqrt())


def test_it_finds_which_numbers_matter():
    points, values = drawn(num=60)
    lengths = fit(points, values).lengths
    assert (lengths[:, 0] < 0.5 * lengths[:, 2:].amin(1)).all()
    mean, _ = fit(points, values).predict(points)
    assert (mean - values).abs().mean() < 0.1


def test_no_task_sees_another():
    points, values = drawn()
    together, alone = fit(points, values), fit(points[1:2], values[1:2])
    torch.testing.assert_close(together.lengths[1], alone.lengths[0])
    torch.testing.assert_close(together.weights[1], alone.weights[0])


def test_draws_are_spread_as_it_says():
    points, values = drawn(tasks=2)
    process = fit(points, values)
    at = drawn(tasks=2, num=5, seed=2)[0]
    mean, std = process.predict(at)
    draws = process.sample(at, 4000, torch.Generator().manual_seed(0))
    assert draws.shape == (2, 4000, 5)
    torch.testing.assert_close(draws.mean(1), mean, atol=0.05, rtol=0.0)
    torch.testing.assert_close(draws.std(1), std, atol=0.05, rtol=0.0)


@pytest.mark.parametrize("same", [True, False])
def test_guesses_that_lie_on_each_other_break_nothing(same):
    points, values = drawn()
    points[:, 1:] = points[:, :1] if same else points[:, 1:] * 1e-9
    process = fit(points, values)
    assert torch.isfinite(process.weights).all()
    assert torch.isfinite(process.sample(points, 3, torch.Generator())).all()


def test_every_tensor_lives_where_the_points_do():
    """A stray CPU tensor raises under FakeTensorMode."""
    with FakeTensorMode():
        points = torch.empty(3, 9, 2, device="meta", dtype=torch.double)
        values = torch.empty(3, 9, device="meta", dtype=torch.double)
        process = fit(points, values)
        mean, std = process.predict(points)
        draws = process.sample(points, 4, torch.Generator())
        assert {x.device.type for x in (*process, mean, std, draws)} == {"meta"}
