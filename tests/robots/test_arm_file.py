"""An arm from a file: what works, and what is wrong with it, in one line."""

import logging
import re

import numpy as np
import pytest
from arms import FINGER, GRIPPER, SERVO, write_arm

from metarl import cli
from metarl.errors import ConfigError
from metarl.names import full_name, split_name
from metarl.registry import make_family
from metarl.robots.arm_file import ArmFile
from metarl.sim.worlds import Worlds

HOME = "0:0:0:0"
KEY = '<keyframe><key name="home" qpos="{}"/></keyframe>'
LEFT = FINGER.format(name="left", y=0.005, way=1)


def build(tmp_path, *, name="arm.xml", control="hand", site="", home="", **parts):
    options = {"control": control, "site": site, "home": home}
    path = write_arm(tmp_path / name, **parts)
    return make_family("kitchen/season", robot=path, **{k: v for k, v in options.items() if v})


def ways(family):
    """How far random play moves each joint of the arm, (J,)."""
    worlds, rng = Worlds(family, 2, seed=0), np.random.default_rng(0)
    worlds.reset()
    scene = worlds._groups[0].scene
    start = family.robot.posture(scene).copy()
    for _ in range(20):
        worlds.step(rng.uniform(-1.0, 1.0, (2, worlds.spec.action_dim)))
    return np.abs(family.robot.posture(scene) - start).max(axis=0)


# What works -----------------------------------------------------------------------------


@pytest.mark.parametrize("control", ["hand", "joint"])
def test_joints_without_names_and_limits_move(tmp_path, control):
    family = build(tmp_path, control=control, x='range="-.4 .4"', z='range="-.4 .2"', turn="")
    assert family.robot.joints == ("arm/joint1", "arm/y", "arm/joint2", "arm/joint3")
    assert (ways(family) > 0.01).all()


def test_the_room_around_the_arm_stays_outside(tmp_path):
    file = ArmFile(write_arm(tmp_path / "arm.xml"))
    assert file.site == "flange"  # the only one
    assert (file.model.ngeom, file.model.nlight, file.fingers) == (4, 0, ())


def test_paths_with_a_comma_or_the_users_folder(tmp_path, monkeypatch):
    family = build(tmp_path, name="a,b/c,d.xml", home=HOME)
    assert make_family(family.id).robot.home.tolist() == [0.0] * 4
    assert split_name(family.id)[1]["robot"] == str(tmp_path / "a,b/c,d.xml")
    monkeypatch.setenv("HOME", str(tmp_path / "a,b"))
    assert make_family("kitchen/season@robot=~/c,d.xml").robot.name == "c,d"
    with pytest.raises(ConfigError, match="rename a path that holds a comma and an ="):
        make_family("kitchen/season", robot=write_arm(tmp_path / "a,b=c.xml"))
    assert full_name("toy/x", {"a": "b"}) == "toy/x@a=b"


# Where home comes from -------------------------------------------------------------------


def test_the_keyframe_is_home_if_the_hand_can_work_there(tmp_path):
    family = build(tmp_path, sections=KEY.format("-.05 .02 -.1 0"))
    assert family.robot.home.tolist() == [-0.05, 0.02, -0.1, 0.0]


def test_another_keyframe_is_passed_over_and_said(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        family = build(tmp_path, sections=KEY.format("-.4 .5 0 0"))
    assert "the keyframe 'home' is not used: at home, the hand of" in caplog.text
    assert "was found instead" in caplog.text
    assert np.abs(family.robot.home[:2] - [-0.05, 0.0]).max() < 2e-3


def test_home_is_found_and_the_same_each_time(tmp_path):
    first = build(tmp_path, turn='name="turn" range="2 6"').robot
    again = build(tmp_path, name="b.xml", turn='name="turn" range="2 6"').robot
    np.testing.assert_array_equal(first.home, again.home)
    assert 2.0 < first.home[3] < 6.0
    assert np.abs(first.home[:3] - [-0.05, 0.0, 0.05]).max() < 0.01 + abs(0.0534)


def test_an_arm_that_cannot_point_down_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"no posture of .*arm\.xml brings 'flange' to"):
        build(tmp_path, x='name="x" range=".3 .4"')


# What is wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"turn": 'name="b" type="ball"'}, "joint 'b' in .* is of type ball; .* hinge or slide"),
        ({"x": 'name="x"'}, r"slide joint 'x' in .* has no limits; give it a range \[m\]"),
        ({"turn": 'name="turn" range="nan 1"'}, r"arm\.xml:\d+: .*range.*nan"),
        ({"y": 'name="y" range="-1 1" damping="nan"'}, r"arm\.xml:\d+: .*damping.*nan"),
        ({"link": '<geom size=".02" mass="nan"/>'}, r"arm\.xml:\d+: .*mass.*nan"),
        ({"mark": 'name="flange" euler="nan 0 0"'}, r"arm\.xml:\d+: .*euler.*nan"),
        ({"sections": '<keyframe><key name="home" qpos="0 nan 0 0"/></keyframe>'}, "qpos.*nan"),
        ({"mark": ""}, "has 0 named sites; site=NAME must say .* add <site name="),
        ({"hand": '<site name="tip"/>'}, "has 2 named sites; site=NAME .*: flange, tip"),
        ({"site": "gone"}, "no site 'gone' for the hand; valid: flange"),
        ({"home": "0:0:0"}, "home has 3 numbers; .* has joints x, y, z, turn"),
        ({"home": "0:0:0:nan"}, "home is '0:0:0:nan'; expected the joints' positions"),
        ({"home": "0:0:0:inf"}, "home is '0:0:0:inf'"),
        ({"home": "0:0:0:9"}, "home of joint 'turn' in .* is 9; expected a number from -3 to 3"),
        ({"home": "0:.48:0:0"}, r"the hand of .* is at \[.*\] m; expected a place from"),
        ({"sections": "<actuator><motor joint='gone'/></actuator>"}, "does not compile: .*gone"),
        ({"sections": "<asset><mesh file='gone.stl'/></asset>"}, r"arm\.xml:\d+: .*gone\.stl"),
        ({"sections": "<include file='../gone.xml'/>"}, "outside|gone.xml"),
        ({"hand": LEFT}, r"0 actuators move the joints beyond the arm \(left\)"),
        (
            {"hand": LEFT, "sections": f"<actuator>{SERVO.format(name='left')}</actuator>"},
            r"one finger moves \(left\); a gripper has two",
        ),
        (
            GRIPPER | {"sections": "<actuator><motor joint='left'/></actuator>"},
            "actuator 'actuator1' of the gripper has no ctrlrange",
        ),
    ],
)
def test_what_is_wrong_with_an_arm_is_said(tmp_path, parts, message):
    with pytest.raises(ConfigError, match=message) as error:
        build(tmp_path, **parts)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("arm.XML", "<mujoco/>", r"arm.XML is not an MJCF file \(.xml\); rename it"),
        ("arm.urdf", "<robot/>", r"is not an MJCF file .*to_file.*add a <site>"),
        ("arm.xml", None, "there is no MJCF file"),
        ("arm.xml", "<mujoco", r"a robot.s file: .*arm\.xml:1: "),
        ("arm.xml", "<mujoco/>", "has 0 named sites"),
        (
            "arm.xml",
            "<mujoco><worldbody><body name='a'><site name='s'/></body><body name='b'/></worldbody>"
            "</mujoco>",
            "must have one body in its world, the arm's base; it has: 'a', 'b'",
        ),
        (
            "arm.xml",
            "<mujoco><worldbody><body name='a'><site name='s'/></body></worldbody></mujoco>",
            "no joint of .* moves site 's'",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=message):
        make_family("kitchen/season", robot=str(tmp_path / name))


def test_a_folder_is_no_arm(tmp_path):
    (tmp_path / "arm.xml").mkdir()
    with pytest.raises(ConfigError, match="is no regular file; expected an MJCF file"):
        make_family("kitchen/season", robot=str(tmp_path / "arm.xml"))


def test_a_site_on_a_finger_is_refused(tmp_path):
    hand = GRIPPER["hand"].replace(
        'size=".01 .005 .02" mass=".05"/>', 'size=".01 .005 .02" mass=".05"/><site name="tip"/>', 1
    )
    with pytest.raises(ConfigError, match=r"lies neither between .* the site must be on the hand"):
        build(tmp_path, site="tip", **GRIPPER | {"hand": hand})


def test_the_command_line_says_it_in_one_line(tmp_path, capsys):
    path = write_arm(tmp_path / "arm.xml", turn='name="b" type="ball"')
    assert cli.main(["watch", f"kitchen/season@robot={path}", "--policy", "random"]) == 2
    assert re.fullmatch(r"metarl: joint 'b' in .*\n", capsys.readouterr().err)
