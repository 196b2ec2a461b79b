"""Two episodes of one task, side by side, and another task."""

from __future__ import annotations

import pytest

from metarl.registry import make_family
from metarl.sim.worlds import Worlds
from metarl.viewer.recording import record


@pytest.fixture(scope="session")
def takes():
    """Of tasks 0 and 1: what the expert does, and what comes of doing nothing."""
    found = []
    for seed in (0, 1):
        worlds = Worlds(make_family("kitchen/heat"), 1, seed=seed, num_threads=1)
        acts = {"expert": lambda obs: worlds.expert(), "still": lambda obs: 0.0 * worlds.expert()}  # noqa: B023
        found.append([record(worlds, act, label) for label, act in acts.items()])
    return found
