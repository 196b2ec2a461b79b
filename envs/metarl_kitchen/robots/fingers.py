"""The two-finger gripper that our own arms share."""

from __future__ import annotations

from metarl.robots.robot import Gripper

OPEN_M = 0.04  # opening of each finger [m]
# From the flange to the point between the fingertips [m].
REACH_M = 0.1034

_SERVO = (
    '<position name="{side}" joint="{side}_finger" kp="400" kv="60" ctrlrange="0 {open}"'
    ' forcerange="-40 40"/>\n'
)
FINGERS = Gripper(
    mjcf="".join(_SERVO.format(side=side, open=OPEN_M) for side in ("left", "right")),
    num_actuators=2,
    opened=OPEN_M,
    closed=0.0,
    joints=("left_finger", "right_finger"),
    joint_opened=OPEN_M,
    joint_closed=0.0,
)


def hand_mjcf(held: str, place: str) -> str:
    """Write the hand, to stand in an arm's last body.

    Args:
        held: MJCF that is fixed between the fingers.
        place: Attributes that place it in that body, z out of the flange.
    """
    nothing = '<inertial pos="0 0 0" mass=".001" diaginertia="1e-6 1e-6 1e-6"/>'
    return f"""
      <body name="hand" {place} gravcomp="1">
        <geom name="palm" type="box" size=".025 .09 .025" pos="0 0 .03" mass=".6" material="joint" class="hand"/>
        <site name="grip" pos="0 0 {REACH_M}" group="4"/>
        {_finger("left", 1)}{_finger("right", -1)}
        <body name="held" pos="0 0 {REACH_M}" gravcomp="1">{held or nothing}</body>
      </body>"""


def _finger(side: str, sign: int) -> str:
    return f"""
        <body name="{side}_finger" pos="0 0 .0584" gravcomp="1">
          <joint name="{side}_finger" type="slide" axis="0 {sign} 0" range="0 {OPEN_M}" damping="20" armature=".1"/>
          <geom name="{side}_pad" type="box" size=".011 .006 .026" pos="0 {sign * 0.006} .026" mass=".05" material="finger" class="hand" friction=".4 .01 .001" condim="4"/>
        </body>"""
