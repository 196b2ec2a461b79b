"""A six-joint arm with the kinematics of the Universal Robots UR5e."""

from __future__ import annotations

import numpy as np

from metarl.registry import register_robot
from metarl.robots.robot import Robot
from metarl_kitchen.robots.fingers import FINGERS, hand_mjcf

# Denavit-Hartenberg: (d [m], a [m], alpha / (pi / 2)), then what stands in for the link behind
# the joint: capsule from-to in its frame [m], radius [m], mass [kg].
_LINKS = (
    (0.1625, 0.0, 1, "0 0 0 0 0 .1625", 0.06, 3.76),
    (0.0, -0.425, 0, "0 0 .138 -.425 0 .138", 0.054, 8.06),
    (0.0, -0.3922, 0, "0 0 .007 -.3922 0 .007", 0.045, 2.85),
    (0.1333, 0.0, 1, "0 0 .02 0 0 .1333", 0.04, 1.37),
    (0.0997, 0.0, -1, "0 0 .02 0 0 .0997", 0.04, 1.30),
    (0.0996, 0.0, 0, "0 0 .03 0 0 .08", 0.038, 0.37),
)
_TURNED = {0: "1 0 0 0", 1: ".70710678 .70710678 0 0", -1: ".70710678 -.70710678 0 0"}


@register_robot("ur5e")
class Ur5e(Robot):
    """Six turning joints and no spare one."""

    source = (
        "DH parameters and masses of the UR5e as its maker publishes them"
        " (https://www.universal-robots.com/articles/ur/application-installation/"
        "dh-parameters-for-calculations-of-kinematics-and-dynamics/); capsules stand in for the"
        " links' shapes"
    )
    joints = ("shoulder_pan", "shoulder_lift", "elbow", "wrist_1", "wrist_2", "wrist_3")
    home = np.array([0.3007, -1.4269, -1.7915, -1.494, 1.5708, -1.2701])
    gripper = FINGERS
    kp = np.array([2500.0, 2500.0, 1800.0, 500.0, 350.0, 200.0])
    step = np.full(6, 0.12)

    def body(self, held: str = "") -> str:
        """Six links, each placed by the DH parameters of the joint before it."""
        opened, closed = "", ""
        place = 'pos="0 0 0"'
        for name, (d, a, alpha, capsule, radius, mass) in zip(self.joints, _LINKS):
            limit = 3.1416 if name == "elbow" else 6.2832
            opened += (
                f'<body name="{name}" {place} gravcomp="1">'
                f'<joint name="{name}" axis="0 0 1" range="-{limit} {limit}" damping="4" armature=".1"/>'
                f'<geom type="capsule" fromto="{capsule}" size="{radius}" mass="{mass}"'
                f' material="{"joint" if a == 0 else "shell"}" class="link"/>'
            )
            closed += "</body>"
            place = f'pos="{a} 0 {d}" quat="{_TURNED[alpha]}"'
        return f"""
    <body name="base" gravcomp="1">
      <geom type="cylinder" size=".075 .02" pos="0 0 .02" mass="4" material="joint" class="link"/>
      {opened}{hand_mjcf(held, place)}{closed}
    </body>"""
