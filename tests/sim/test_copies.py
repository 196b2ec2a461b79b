"""Copies of worlds take along what their models hold, however it came there."""

import copy
import pickle

import numpy as np
import pytest

from metarl.registry import make_family
from metarl.sim.worlds import Worlds

COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda x: pickle.loads(pickle.dumps(x))}


def ahead(worlds: Worlds, num_steps: int, seed: int) -> list[bytes]:
    """What worlds give from here on, new tasks and episodes included."""
    rng, out = np.random.default_rng(seed), []
    for _ in range(num_steps):
        shape = (worlds.num_worlds, worlds.spec.action_dim)
        step = worlds.step(rng.uniform(-1.0, 1.0, shape).astype(np.float32))
        out += [step.obs.tobytes(), step.reward.tobytes(), worlds.done.tobytes()]
        if worlds.done.any():
            ids = np.flatnonzero(worlds.done)
            worlds.assign(worlds.sample("train", ids), ids)
            out.append(worlds.reset(ids).tobytes())
        out += [state.tobytes() for state in worlds.state_dict()["state"]]
    return out


def changed(worlds: Worlds) -> None:
    """Edit the models by hand, once compiled and once in single worlds."""
    for model in worlds.models.values():
        model.opt.gravity[2] = -5.0
        model.body_mass[-1] *= 1.5
    scene, row = worlds.place(0)
    scene.model_field("dof_damping")[row] += 0.5
    scene.derive_constants(np.array([row]))


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize(
    ("name", "num_worlds"),
    [("classic/cheetah-direction", 1), ("classic/cheetah-direction", 20), ("kitchen/add", 3),
     ("kitchen/skills", 12)],
)  # fmt: skip
def test_a_twin_goes_on_with_models_that_were_edited(name, num_worlds, how):
    worlds = Worlds(make_family(name), num_worlds, split="far", seed=1, num_threads=1)
    changed(worlds)
    worlds.reset()
    ahead(worlds, 30, 0)
    twin = COPIES[how](worlds)
    mine = ahead(worlds, 70, 1)
    assert ahead(twin, 70, 1) == mine
    usual = Worlds(make_family(name), num_worlds, split="far", seed=1, num_threads=1)
    usual.reset()
    assert ahead(usual, 30, 0)[:5] != mine[:5]


def test_a_twin_shares_nothing():
    worlds = Worlds(make_family("classic/cheetah-velocity"), 2, num_threads=1)
    worlds.reset()
    twin = copy.deepcopy(worlds)
    assert twin.family is not worlds.family
    assert twin.models["half_cheetah"] is not worlds.models["half_cheetah"]
    assert twin.place(0)[0].model is twin.models["half_cheetah"]
    before = worlds.state_dict()["state"][0]
    ahead(twin, 3, 0)
    assert np.array_equal(worlds.state_dict()["state"][0], before)
