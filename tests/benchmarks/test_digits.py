"""Shipped checkpoints adapt to the digits that are kept."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ROWS = json.loads((BENCHMARKS / "results" / "digits.json").read_text())["rows"]
QUICK = {
    ("season-pearl", "pearl"), ("season-maml", "maml"), ("add-dagger", "strategy-optimization"),
    ("skills-dagger", "residual-search"), ("cheetah-velocity-pearl", "pearl"),
    ("point-navigation-ppo", "scratch"),
}  # fmt: skip


@pytest.mark.parametrize(
    "kept",
    [row for row in ROWS if (row["checkpoint"], row["method"]) in QUICK],
    ids=lambda row: f"{row['checkpoint']}-{row['method']}",
)
def test_the_digits_are_those_of_before(kept, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from digits import measure

    found = measure(*(kept[name] for name in ("family", "checkpoint", "method", "settings")))
    assert found["steps"] == kept["steps"]
    for name in ("success", "score", "returns"):
        np.testing.assert_allclose(found[name], kept[name], rtol=1e-6, atol=1e-6)
    del sys.modules["digits"]


def test_what_is_kept_covers_every_kind_of_method():
    assert len(ROWS) == 10
    assert len({row["checkpoint"] for row in ROWS}) >= 6
