"""Who stands still, or sweeps the counter clean, earns next to nothing.

`stir`, `pour`, `cover`, `serve`, `flip` and the dishes have such tests of their own, with pushes
that fit what stands there.
"""

import numpy as np
import pytest

from metarl.registry import make_family
from metarl.sim.worlds import Worlds

NUM = 32


def still(t, dim):
    return np.zeros(dim)


def sweep(t, dim):
    """Low over the counter from side to side, fingers closed."""
    action = np.zeros(dim)
    action[[0, 1, 2, -1]] = 0.3 * (-1) ** (t // 25), (-1) ** (t // 12), -1.0, 1.0
    return action


def play(name, act=None):
    worlds = Worlds(make_family(name), NUM, seed=11)
    worlds.reset()
    returns = np.zeros(NUM)
    for t in range(worlds.family.horizon):
        action = np.tile(act(t, worlds.spec.action_dim), (NUM, 1)) if act else worlds.expert()
        step = worlds.step(action)
        returns += step.reward
    return returns.mean(), step.success.mean()


@pytest.mark.parametrize("name", ["season", "heat", "add", "skills"])
def test_idlers_and_sweepers_earn_little(name):
    best, solved = play(f"kitchen/{name}")
    assert solved >= 0.9
    for act in (still, sweep):
        earned, solved = play(f"kitchen/{name}", act)
        assert solved <= 0.05, act.__name__
        assert earned < 0.1 * best, act.__name__


def test_a_point_that_stays_earns_less_than_one_that_goes():
    worlds = Worlds(make_family("classic/point-navigation"), NUM, seed=0)
    last = {}
    for goes in (False, True):
        worlds.reset()
        scene, _ = worlds.place(0)
        while not worlds.done.any():
            away = worlds.task.goal_m - scene.qpos
            last[goes] = worlds.step(goes * np.clip(away / 0.1, -1.0, 1.0)).reward
    assert last[True].mean() > 0.5 * last[False].mean()  # of minus the distance
