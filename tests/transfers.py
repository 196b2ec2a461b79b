"""Transfers whose gain rises with one signal."""

from __future__ import annotations

import numpy as np

from metarl.advise.fitting import Example
from metarl.advise.prediction import Arm

FINE = Arm("fine-tune", "fresh")


def examples(n_targets=6, noise=0.05, seed=0, arm=FINE, slope=0.5):
    """Gain rises with zero_update alone."""
    rng = np.random.default_rng(seed)
    found = []
    for t in range(n_targets):
        for s in range(5):
            signals = {
                "zero_update": rng.uniform(-1, 1),
                "greedy": rng.normal(),
                "shared_actions": 1.0,
            }
            gain = 0.1 + slope * signals["zero_update"] + noise * rng.normal()
            found.append(Example(f"s{s}", f"t{t}", arm, signals, gain))
    return found
