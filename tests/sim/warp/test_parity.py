"""Families on mujoco-warp: the first steps agree with MuJoCo's within single precision."""

import mujoco
import numpy as np
import pytest

pytest.importorskip("mujoco_warp")

from metarl.physics import WARP
from metarl.registry import make_family
from metarl.sim.batches import on_warp
from metarl.sim.scene import Scene
from metarl.sim.warp.differs import differences
from metarl.sim.worlds import Worlds

N, STEPS = 3, 5
CONTROL = 1e-4  # of observations, which are of the order of 1, after some control steps
FAMILIES = (
    "kitchen/season",
    "kitchen/heat",
    "kitchen/add",
    "kitchen/dishes",
    "classic/cheetah-velocity",
)


def both(name, **kwargs):
    family = make_family(name)
    kwargs = {"seed": 1, "split": "test", "num_threads": 1, **kwargs}
    return Worlds(family, N, **kwargs), Worlds(family, N, physics=WARP, **kwargs)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_first_steps_agree(name):
    there, here = both(name)
    assert np.allclose(there.reset(), here.reset(), atol=1e-5)
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        action = rng.uniform(-1, 1, (N, there.spec.action_dim)).astype(np.float32)
        a, b = there.step(action), here.step(action)
        assert np.allclose(a.obs, b.obs, atol=CONTROL)
        assert np.allclose(a.reward, b.reward, atol=CONTROL)
        assert np.allclose(a.score, b.score, atol=CONTROL)
        assert not b.diverged.any()
    assert not np.array_equal(a.obs, b.obs)  # another physics has run


STANDING = """<mujoco><option timestep=".005" cone="{}"/><worldbody>
<geom type="plane" size="1 1 1" friction="1 .5 .5"/><body pos="0 0 .19" euler="0 10 30">
<freejoint/><geom type="capsule" size=".1 .1" mass="1" friction="1 .5 .5"/></body>
</worldbody></mujoco>"""


@pytest.mark.parametrize(("cone", "agrees"), [("pyramidal", False), ("elliptic", True)])
def test_what_a_steep_capsule_does_otherwise_is_said(cone, agrees):
    """It slides over the floor by a friction pyramid that is turned about its axis."""
    model = mujoco.MjModel.from_xml_string(STANDING.format(cone))
    there, here = Scene(model, 1, 1), Scene(model, 1, 1, make_batch=on_warp)
    for scene in (there, here):
        scene.qvel[:, :2] = 1.0, 0.3
        scene.step(4)
    assert np.allclose(there.qvel, here.qvel, atol=1e-4) == agrees
    assert bool(differences(model)) != agrees


def test_the_ant_is_told():
    (model,) = Worlds(make_family("classic/ant-goal"), 1).models.values()
    assert "capsule that stands steeply on a plane" in differences(model)[0]
