"""Families on mujoco-warp: the first steps agree with MuJoCo's within single precision."""

import mujoco
import numpy as np
import pytest

pytest.importorskip("mujoco_warp")

from metarl.physics import WARP
from metarl.registry import make_family
from metarl.sim.warp.differs import differences
from metarl.sim.worlds import Worlds

N, STEPS = 3, 5
CONTROL = 1e-4  # of observations, which are of the order of 1, after some control steps
# The ant's feet meet the floor steeply; test_what_the_ant_does_otherwise says what then differs.
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


def test_what_the_ant_does_otherwise_is_said():
    """In the air it agrees. On the floor a steep capsule's friction pyramid is turned."""
    there, here = both("classic/ant-goal")
    ours, theirs = there.place(0)[0], here.place(0)[0]
    model = there.models["ant"] if "ant" in there.models else next(iter(there.models.values()))
    assert "capsule" in differences(model)[0]
    there.reset(), here.reset()
    for height, agrees in ((0.75, True), (0.5, False)):
        for scene in (ours, theirs):
            scene.qpos[:] = model.qpos0
            scene.qpos[:, 2] = height
            scene.qvel[:] = 1.0
            scene.qacc = None
            scene.step(1)
        near = abs(ours.qvel - theirs.qvel).max() < 1e-4
        assert near == agrees, height


def test_an_elliptic_cone_does_not_differ():
    model = make_family("kitchen/season").models()
    del model
    xml = """<mujoco><option cone="{}"/><worldbody><geom type="plane" size="1 1 1"/>
    <body><freejoint/><geom type="capsule" size=".1 .1" mass="1"/></body></worldbody></mujoco>"""
    pyramid, ellipse = (
        mujoco.MjModel.from_xml_string(xml.format(cone)) for cone in ("pyramidal", "elliptic")
    )
    assert differences(pyramid)
    assert not differences(ellipse)
