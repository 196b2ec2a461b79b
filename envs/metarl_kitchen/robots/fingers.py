"""The two-finger gripper that our own arms share."""

from __future__ import annotations

from metarl.robots.gripper import Gripper

OPEN_M = 0.04  # opening of each finger [m]
# From the flange to the point between the fingertips [m].
REACH_M = 0.1034

_SERVO = (
    '<position name="{side}" joint="{side}_finger" kp="400" kv="60" ctrlrange="0 {open}"'
    ' forcerange="-40 40"/>\n'
)
FINGERS = Gripper(
    targets=((0.0, OPEN_M),) * 2,
    joints=("left_finger", "right_finger"),
    postures=((0.0, 0.0), (OPEN_M, OPEN_M)),
    half_opening_m=OPEN_M,
    pads=("left_pad", "right_pad"),
    palm=("palm",),
    mjcf="".join(_SERVO.format(side=side, open=OPEN_M) for side in ("left", "right")),
)


def hand_mjcf(held: str, place: str) -> str:
    """Write the hand, to stand in an arm's last body.

    Args:
        held: MJCF that is fixed between the fingers.
        place: Attributes that place it in that body, z out of the flange.
    """
    return f"""
      <body name="hand" {place} gravcomp="1">
        <geom name="palm" type="box" size=".025 .09 .025" pos="0 0 .03" mass=".6" material="joint" class="hand"/>
        <site name="grip" pos="0 0 {REACH_M}" group="4"/>
        {_finger("left", 1)}{_finger("right", -1)}
        {_held(held, f'pos="0 0 {REACH_M}"')}
      </body>"""


def held_mjcf(held: str, place: str) -> str:
    """Write what a gripper holds that is not ours, to stand in its last body that does not grip.

    Args:
        held: MJCF that is fixed between the fingers.
        place: Attributes that place it in that body, z out of the hand, y across the fingers.
    """
    return f"""
      <body name="hand" {place} gravcomp="1">
        <site name="grip" group="4"/>
        {_held(held, "")}
      </body>"""


def _held(held: str, place: str) -> str:
    nothing = '<inertial pos="0 0 0" mass=".001" diaginertia="1e-6 1e-6 1e-6"/>'
    return f'<body name="held" {place} gravcomp="1">{held or nothing}</body>'


def _finger(side: str, sign: int) -> str:
    return f"""
        <body name="{side}_finger" pos="0 0 .0584" gravcomp="1">
          <joint name="{side}_finger" type="slide" axis="0 {sign} 0" range="0 {OPEN_M}" damping="20" armature=".1"/>
          <geom name="{side}_pad" type="box" size=".011 .006 .026" pos="0 {sign * 0.006} .026" mass=".05" material="finger" class="hand" friction=".4 .01 .001" condim="4"/>
        </body>"""
