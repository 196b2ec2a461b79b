"""A seven-joint arm with the kinematics of the Franka Panda."""

from __future__ import annotations

import numpy as np

from metarl.registry import register_robot
from metarl.robots.robot import Robot
from metarl_kitchen.robots.fingers import FINGERS, hand_mjcf

# (name, pos, quat, limits [rad], capsule from-to, radius [m], mass [kg], colour)
_LINKS = (
    ("link1", "0 0 .333", "1 0 0 0", (-2.8973, 2.8973), "0 0 -.19 0 0 0", 0.06, 3.0, "shell"),
    ("link2", "0 0 0", "1 -1 0 0", (-1.7628, 1.7628), "0 0 -.06 0 0 .06", 0.06, 3.0, "shell"),
    ("link3", "0 -.316 0", "1 1 0 0", (-2.8973, 2.8973), "0 0 -.19 0 0 -.05", 0.055, 2.5, "shell"),
    ("link4", ".0825 0 0", "1 1 0 0", (-3.0718, -0.0698), "0 0 -.05 0 0 .05", 0.055, 2.5, "shell"),
    (
        "link5",
        "-.0825 .384 0",
        "1 -1 0 0",
        (-2.8973, 2.8973),
        "0 0 -.24 0 .03 -.1",
        0.05,
        2.5,
        "shell",
    ),
    ("link6", "0 0 0", "1 1 0 0", (-0.0175, 3.7525), "0 0 -.05 0 0 .05", 0.045, 1.5, "shell"),
    ("link7", ".088 0 0", "1 1 0 0", (-2.8973, 2.8973), "0 0 .02 0 0 .08", 0.04, 0.8, "joint"),
)


@register_robot("panda")
class Panda(Robot):
    """Seven turning joints, the elbow free to move while the hand stays."""

    source = (
        "joint layout and limits of the Franka Panda as its maker publishes them"
        " (https://frankaemika.github.io/docs/control_parameters.html); capsules stand in for"
        " the links' shapes, masses are rounded"
    )
    joints = tuple(f"joint{i}" for i in range(1, 8))
    home = np.array([0.0, -0.45, 0.0, -2.35, 0.0, 1.90, 0.785])
    gripper = FINGERS
    kp = np.array([2000.0, 2000.0, 1500.0, 1500.0, 600.0, 400.0, 200.0])
    step = np.full(7, 0.12)

    def body(self, held: str = "") -> str:
        """Seven links on a fixed base; in hand space a soft spring pulls the elbow home."""
        spring = 6 if self.control == "hand" else 0
        opened, closed = "", ""
        for i, (name, pos, quat, limits, capsule, radius, mass, colour) in enumerate(_LINKS):
            opened += (
                f'<body name="{name}" pos="{pos}" quat="{quat}" gravcomp="1">'
                f'<joint name="joint{i + 1}" axis="0 0 1" range="{limits[0]} {limits[1]}"'
                f' damping="4" armature=".1" stiffness="{spring}" springref="{self.home[i]}"/>'
                f'<geom type="capsule" fromto="{capsule}" size="{radius}" mass="{mass}"'
                f' material="{colour}" class="link"/>'
            )
            closed += "</body>"
        return f"""
    <body name="base" gravcomp="1">
      <geom type="capsule" fromto="0 0 .03 0 0 .14" size=".07" mass="3" material="shell" class="link"/>
      {opened}
      {hand_mjcf(held, 'pos="0 0 .107" quat=".9238795 0 0 -.3826834"')}
      {closed}
    </body>"""
