"""Shipped checkpoints adapt to the digits that are kept."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
KNOWN = json.loads((BENCHMARKS / "results" / "digits.json").read_text())["processors"]
ROWS = next(iter(KNOWN.values()))
QUICK = {
    ("season-pearl", "pearl"), ("season-maml", "maml"), ("add-dagger", "strategy-optimization"),
    ("skills-dagger", "residual-search"), ("cheetah-velocity-pearl", "pearl"),
    ("point-navigation-ppo", "scratch"),
}  # fmt: skip


@pytest.mark.parametrize(
    "case",
    [k for k, row in enumerate(ROWS) if (row["checkpoint"], row["method"]) in QUICK],
    ids=lambda k: f"{ROWS[k]['checkpoint']}-{ROWS[k]['method']}",
)
def test_the_digits_are_those_of_before(case, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from digits import measure
    from shared.machine import processor

    kept = KNOWN.get(processor(), ROWS)[case]
    found = measure(*(kept[name] for name in ("family", "checkpoint", "method", "settings")))
    del sys.modules["digits"]
    assert found["steps"] == kept["steps"]
    if processor() in KNOWN and "of" not in kept:  # else kept of another make
        for name in ("success", "score", "returns"):
            np.testing.assert_allclose(found[name], kept[name], rtol=1e-6, atol=1e-6)
        return
    # another make of processor rounds otherwise: before any update little, then as other noise does
    first, before = found["returns"][0], kept["returns"][0]
    np.testing.assert_allclose(first, before, rtol=0.05, atol=0.5)


def test_what_is_kept_covers_every_kind_of_method():
    assert len(KNOWN) >= 2
    for rows in KNOWN.values():
        assert len(rows) == 10
        assert len({row["checkpoint"] for row in rows}) >= 6
