"""The gripper that an arm's file brings: found, measured, driven by `grip`."""

import numpy as np
import pytest
from arms import FINGERS, GRIPPER, LINK, SERVO, SERVOS, write_arm

from metarl.errors import ConfigError
from metarl.registry import make_family, robot_class
from metarl.robots.arm_file import ArmFile
from metarl.robots.gripper import Gripper
from metarl.robots.own_gripper import find_gripper
from metarl.sim.worlds import Worlds

TENDON = (
    '<tendon><fixed name="both"><joint joint="left" coef=".5"/><joint joint="right" coef=".5"/>'
    '</fixed></tendon><actuator><general tendon="both" ctrlrange="0 255" biastype="affine"'
    ' gainprm=".3137" biasprm="0 -2000 -80"/></actuator>'
    '<equality><joint joint1="left" joint2="right"/></equality>'
)
MIRRORED = GRIPPER["hand"].replace('axis="0 -1 0" range="0 .04"', 'axis="0 1 0" range="-.04 0"')
OTHER_SERVO = SERVO.format(name="right").replace('"0 .04"', '"-.04 0"')
VARIANTS = {
    "two servos": (GRIPPER["hand"], SERVOS, ((0.0, 0.04), (0.0, 0.04))),
    "mirrored": (
        MIRRORED,
        f"<actuator>{SERVO.format(name='left')}{OTHER_SERVO}</actuator>",
        ((0.0, 0.04), (0.0, -0.04)),
    ),
    "a tendon": (GRIPPER["hand"], TENDON, ((0.0, 255.0),)),
    "turned": (f"<body name='hand' euler='0 0 .7'>{LINK}{FINGERS}</body>", SERVOS, None),
}


def arm(tmp_path, hand, sections):
    return write_arm(tmp_path / "arm.xml", hand=hand, sections=sections)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_gripper_is_found_and_measured(tmp_path, variant):
    hand, sections, targets = VARIANTS[variant]
    own = find_gripper(ArmFile(arm(tmp_path, hand, sections)))
    assert own.gripper.targets == (targets or ((0.0, 0.04), (0.0, 0.04)))
    assert sorted(own.gripper.joints) == ["left", "right"]
    assert abs(own.gripper.half_opening_m - 0.04) < 2e-3
    angle = 0.7 if variant == "turned" else 0.0
    assert abs(own.closing @ [-np.sin(angle), np.cos(angle), 0.0]) > 0.999
    # the fingers end 0.12 from the wrist, the site is at 0.05: 7 mm inside
    np.testing.assert_allclose(own.place_m, [0.0, 0.0, 0.12 - 0.05 - 0.007], atol=1e-3)
    assert set(own.gripper.pads) == {"left", "right"}


def test_without_joints_beyond_there_is_none(tmp_path):
    assert find_gripper(ArmFile(write_arm(tmp_path / "arm.xml"))) is None


def test_fingers_that_hardly_move_apart_are_refused(tmp_path):
    path = arm(tmp_path, GRIPPER["hand"], SERVOS.replace("0 .04", "0 .004"))
    with pytest.raises(ConfigError, match=r"apart by only .* mm; expected at least 10 mm"):
        find_gripper(ArmFile(path))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("control", ["hand", "joint"])
def test_the_grip_action_opens_and_closes_it(tmp_path, variant, control):
    path = arm(tmp_path, *VARIANTS[variant][:2])
    family = make_family("kitchen/add", robot=path, control=control)
    assert "arm/left" in family.robot.gripper.pads
    worlds = Worlds(family, 2, seed=0)
    worlds.reset()
    scene, action = worlds._groups[0].scene, np.zeros((2, worlds.spec.action_dim))
    assert np.abs(family.robot.opening(scene) - 1.0).max() < 0.05
    for grip, opening in ((1.0, 0.0), (-1.0, 1.0), (0.0, 0.5)):
        action[:, -1] = grip
        for _ in range(15):
            worlds.step(action)
        np.testing.assert_allclose(family.robot.opening(scene), opening, atol=0.08)


def test_it_starts_between_what_was_measured():
    gripper = Gripper(
        targets=((0.0, 1.0),), joints=("a", "b"), half_opening_m=0.1, pads=("a",),
        postures=((0.0, 4.0), (1.0, 6.0), (4.0, 7.0)),
    )  # fmt: skip
    assert [gripper.posture(x) for x in (0.0, 0.25, 0.5, 0.75, 1.0)] == [
        (0.0, 4.0), (0.5, 5.0), (1.0, 6.0), (2.5, 6.5), (4.0, 7.0)
    ]  # fmt: skip
    assert (gripper.closed, gripper.opened) == (0.0, 4.0)


PANDA = """<mujoco>
  <compiler angle="radian"/>
  <asset><material name="shell"/><material name="joint"/><material name="finger"/></asset>
  <default>
    <default class="link"><geom contype="0" conaffinity="0"/></default>
    <default class="hand"><geom/></default>
  </default>
  <worldbody>{body}</worldbody>
  <actuator>{actuators}</actuator>
</mujoco>"""


@pytest.mark.parametrize(("skill", "control"), [("add", "hand"), ("season", "joint")])
def test_seven_joints_and_two_fingers_from_a_file_cook(tmp_path, skill, control):
    ours = robot_class("panda")("joint")
    path = tmp_path / "panda.xml"
    path.write_text(PANDA.format(body=ours.body(), actuators=ours.gripper.mjcf))
    family = make_family(f"kitchen/{skill}", robot=str(path), site="grip", control=control)
    assert len(family.robot.joints) == 7
    assert np.abs(family.robot.home - ours.home).max() < 0.5  # not twisted
    worlds = Worlds(family, 6, seed=0, split="test")
    worlds.reset()
    for _ in range(family.horizon):
        step = worlds.step(worlds.expert())
    assert step.success.mean() > 0.8
