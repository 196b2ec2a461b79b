"""Names of metrics are explained, and what was measured after each update is one row."""

from __future__ import annotations

import pytest

from metarl.report.names import condensed, meaning


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("success_0", "share of episodes that ended well, 0 to 1, before any update"),
        ("success_1", "after 1 update"),
        ("return_3", "after 3 updates"),
        ("success after each update", "the first before any"),
        ("term/spill", "reward term spill"),
        ("success/kitchen-heat", "success of kitchen-heat"),
        ("cosine/a ~ b", "how far the gradients of a ~ b agree"),
        ("cosine/least", "of the two tasks that agree least"),
        ("steps_per_s", "[1/s]"),
        ("something of mine", ""),
    ],
)
def test_names_are_explained(name, said):
    assert said in meaning(name)
    assert bool(meaning(name)) == bool(said)


def test_updates_are_one_row():
    result = {"success_after": 0.5, "success_0": 0.1, "success_1": 0.5, "loss": 2.0}
    assert condensed(result) == {
        "success_after": 0.5,
        "success after each update": [0.1, 0.5],
        "loss": 2.0,
    }
