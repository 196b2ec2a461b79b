"""Tables of a benchmark: what their cells say."""

from types import SimpleNamespace

import pytest

from metarl.benchmark.output import _seeds


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ((0, 1, 2), "0 1 2"),
        ((None,), "given"),
        ((None, None, None), "3 given"),
        ((0, None), "0 given"),
        ((), ""),
    ],
)
def test_seeds_that_are_no_seeds_are_counted(seeds, said):
    assert _seeds(SimpleNamespace(seeds=seeds)) == said
