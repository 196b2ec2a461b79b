"""Who stands still, or sweeps the counter clean, earns next to nothing.

`stir`, `pour`, `cover`, `serve`, `flip` and the dishes have such tests of their own, with pushes
that fit what stands there.
"""

import numpy as np
import pytest

from metarl.adapt.adaptation import act_with
from metarl.registry import make_family
from metarl.runs.policies import load_policy_for, read_checkpoint
from metarl.runs.shipped import reference
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


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("point-navigation", 0.75),
        ("cheetah-direction", 0.75),
        ("cheetah-velocity", 0.75),
        ("ant-goal", 0.6),  # every step of the walk there costs what is left of it
    ],
)
def test_idling_and_flailing_fall_far_short_of_the_reference(name, share):
    family = make_family(f"classic/{name}")
    worlds = Worlds(family, NUM, seed=11, task_visible=True)
    policy = load_policy_for(read_checkpoint(reference(family.id)), worlds)
    shape, rng = (NUM, worlds.spec.action_dim), np.random.default_rng(0)
    acts = {
        "reference": act_with(policy, dict(policy.named_parameters())),
        "still": lambda obs: np.zeros(shape),
        "random": lambda obs: rng.uniform(-1.0, 1.0, shape),
    }
    last = {}
    for who, act in acts.items():
        obs, earned = worlds.reset(), np.zeros(NUM)
        alive = np.ones(NUM, bool)
        while alive.any():
            step = worlds.step(act(obs))
            earned += alive * step.reward
            alive &= ~worlds.done
            obs = worlds.reset(worlds.done) if alive.any() and worlds.done.any() else step.obs
        last[who] = earned.mean()
    best = last.pop("reference")
    for who, earned in last.items():
        assert best - earned > share * max(abs(best), abs(earned)), who
