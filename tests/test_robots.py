"""Every arm points its hand down at home and holds it where its targets say."""

import mujoco
import numpy as np
import pytest
from metarl_kitchen.robots import gantry, panda, ur5e

from metarl.sim.robot import CONTROLS

ROBOTS = [panda.Panda(), ur5e.Ur5e(), gantry.Gantry()]
SCENE = """<mujoco>
  <compiler angle="radian"/>
  <option timestep=".01" integrator="implicitfast"/>
  <asset><material name="joint"/><material name="finger"/><material name="shell"/></asset>
  <default>
    <default class="link"><geom contype="0" conaffinity="0"/></default>
    <default class="hand"><geom contype="0" conaffinity="0"/></default>
  </default>
  <worldbody>
    <site name="origin"/><site name="down" quat="0 1 0 0"/>{body}
  </worldbody>
  <actuator>{actuators}</actuator>
</mujoco>"""


def start(robot, control):
    text = SCENE.format(body=robot.body(), actuators=robot.actuators(control))
    model = mujoco.MjModel.from_xml_string(text)
    data = mujoco.MjData(model)
    for name, position in zip(robot.joints, robot.home):
        data.joint(name).qpos[0] = position
    mujoco.mj_forward(model, data)
    return model, data


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("robot", ROBOTS, ids=lambda r: r.name)
def test_hand_points_down_and_forward_at_home(robot, control):
    _, data = start(robot, control)
    np.testing.assert_allclose(
        data.site("grip").xmat.reshape(3, 3), np.diag([1.0, -1.0, -1.0]), atol=2e-3
    )
    assert robot.workspace[0, 0] < data.site("grip").xpos[0] < robot.workspace[1, 0]


@pytest.mark.parametrize("robot", ROBOTS, ids=lambda r: r.name)
def test_hand_space_holds_the_target(robot):
    model, data = start(robot, "hand")
    target = np.array([0.5, 0.1, 0.2])
    data.ctrl[:3] = target
    mujoco.mj_step(model, data, 300)
    np.testing.assert_allclose(data.site("grip").xpos, target, atol=5e-3)
