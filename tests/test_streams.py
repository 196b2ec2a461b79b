"""Streams: random numbers that do not depend on the company."""

import numpy as np
import pytest

from metarl.errors import ConfigError, ShapeError
from metarl.streams import Streams


@pytest.mark.parametrize("draw", ["uniform", "normal"])
@pytest.mark.parametrize("size", [None, 3])
def test_a_stream_does_not_depend_on_the_others(draw, size):
    many, few = Streams.from_seed(1, 100), Streams.from_seed(1, 3, start=40)
    for _ in range(3):
        a, b = getattr(many, draw)(size=size), getattr(few, draw)(size=size)
        assert np.array_equal(a[40:43], b)


def test_streams_split_select_and_put():
    streams = Streams.from_seed(2, 6)
    ids = np.array([1, 4])
    own = streams[ids]
    first = own.uniform()
    assert np.array_equal(streams.counters, np.zeros(6))
    streams.put(ids, own)
    assert streams.counters.tolist() == [0, 1, 0, 0, 1, 0]
    assert np.array_equal(first, Streams.from_seed(2, 6).uniform()[ids])
    child = streams.split()
    assert len(np.unique(np.concatenate([child.keys, streams.keys]))) == 12


def test_streams_are_uniform_and_uncorrelated():
    streams = Streams.from_seed(0, 2000)
    u = streams.uniform(size=20)
    assert abs(u.mean() - 0.5) < 0.005
    assert abs(u.std() - 12**-0.5) < 0.005
    rho = np.corrcoef(u[:-1].ravel(), u[1:].ravel())[0, 1]
    assert abs(rho) < 0.02
    z = streams.normal(2.0, size=20)
    assert abs(z.mean()) < 0.05
    assert abs(z.std() - 2.0) < 0.05
    assert np.bincount(streams.integers(5)).min() > 300
    assert len(np.unique(Streams.from_seed(0, 10_000).keys)) == 10_000
    assert not set(Streams.from_seed(0, 100).keys) & set(Streams.from_seed(1, 100).keys)


@pytest.mark.parametrize("held_out", [0, 1, 999, 1000, 1001, 2**31, 2**32 - 1])
def test_held_out_tasks_share_no_stream_with_training_whatever_the_seeds(held_out):
    apart = set(Streams.from_seed(held_out, 3000, held_out=True).keys)
    for seed in (0, 1, 999, 1000, 1001, 2**31, 2**32 - 1):
        assert not apart & set(Streams.from_seed(seed, 3000).keys)


def test_streams_refuse_bad_input():
    for seed in (-1, 1.5, True, None, "0", np.nan):
        with pytest.raises(ConfigError, match="expected a non-negative integer"):
            Streams.from_seed(seed, 2)
    for seed in (2**32, 2**64, np.int64(5)):
        assert len(set(Streams.from_seed(seed, 2).keys)) == 2
    with pytest.raises(ShapeError, match="one shape"):
        Streams(np.zeros(3), np.zeros(2))


def test_a_size_is_a_number_of_numbers():
    with pytest.raises(ShapeError, match=r"size is 0\.2"):
        Streams.from_seed(0, 4).normal(0.1, size=0.2)
    with pytest.raises(ShapeError, match=r"size is -1"):
        Streams.from_seed(0, 4).uniform(size=-1)


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, n: rng.uniform(-1.0, 1.0, n),
        lambda rng, n: rng.uniform(-1.0, 1.0, (n, 2)),
        lambda rng, n: rng.normal(0.0, 1.0, n),
        lambda rng, n: rng.normal(0.0, 1.0),
        lambda rng, n: rng.integers(0, 5),
        lambda rng, n: rng.integers(0, 5, n),
    ],
)
def test_numpys_habit_is_refused_with_the_way_out(draw):
    streams = Streams.from_seed(0, 4)
    with pytest.raises(ShapeError, match=r"each row draws by itself, so .* size=k gives \(n, k\)"):
        draw(streams, 4)
    assert not streams.counters.any()  # nothing was drawn
