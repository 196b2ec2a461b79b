"""A gantry over the counter: three slides, a yaw and a tilt."""

from __future__ import annotations

import numpy as np

from metarl.registry import register_robot
from metarl.robots.robot import Robot
from metarl_kitchen.robots.fingers import FINGERS, hand_mjcf

_BRIDGE_M = 0.80  # height of the beams
_WRIST_M = 0.36  # height of the tilting axis above the counter at home


@register_robot("gantry")
class Gantry(Robot):
    """Three slides, a yaw and a tilt: five joints, as on a kitchen's ceiling."""

    source = "our own design: a Cartesian gantry as in pick-and-place machines"
    joints = ("slide_x", "slide_y", "slide_z", "turn", "nod")
    home = np.zeros(5)
    gripper = FINGERS
    kp = np.array([4000.0, 4000.0, 4000.0, 150.0, 100.0])
    step = np.array([0.03, 0.03, 0.03, 0.15, 0.15])

    @property
    def yaw_joint(self) -> str:
        """The fourth joint; the tilt comes behind it."""
        return "turn"

    def body(self, held: str = "") -> str:
        """A beam that travels over two rails, a car on it, a mast, a wrist, the hand."""
        height = _WRIST_M
        joint = '<joint name="{}" type="{}" axis="{}" range="{}" damping="{}" armature="{}"/>'
        return f"""
    <body name="base" gravcomp="1">
      <geom type="box" size=".50 .02 .02" pos=".45 .62 {_BRIDGE_M}" mass="4" material="joint" class="link"/>
      <geom type="box" size=".50 .02 .02" pos=".45 -.62 {_BRIDGE_M}" mass="4" material="joint" class="link"/>
      <geom type="box" size=".02 .02 {_BRIDGE_M / 2}" pos="-.03 .62 {_BRIDGE_M / 2}" mass="1" material="joint" class="link"/>
      <geom type="box" size=".02 .02 {_BRIDGE_M / 2}" pos="-.03 -.62 {_BRIDGE_M / 2}" mass="1" material="joint" class="link"/>
      <body name="beam" pos=".5 0 {_BRIDGE_M}" gravcomp="1">
        {joint.format("slide_x", "slide", "1 0 0", "-.4 .4", 30, 0.5)}
        <geom type="box" size=".025 .62 .025" mass="4" material="shell" class="link"/>
        <body name="car" gravcomp="1">
          {joint.format("slide_y", "slide", "0 1 0", "-.55 .55", 30, 0.5)}
          <geom type="box" size=".06 .05 .045" mass="2" material="joint" class="link"/>
          <body name="mast" gravcomp="1">
            {joint.format("slide_z", "slide", "0 0 1", "-.30 .30", 30, 0.5)}
            <geom type="box" size=".018 .018 .24" pos="0 0 {-0.2}" mass="1.5" material="shell" class="link"/>
            <body name="wrist" pos="0 0 {height - _BRIDGE_M}" quat="0 1 0 0" gravcomp="1">
              {joint.format("turn", "hinge", "0 0 1", "-3.1 3.1", 4, 0.1)}
              <geom type="cylinder" size=".03 .035" pos="0 0 -.03" mass=".5" material="joint" class="link"/>
              <body name="tilter" gravcomp="1">
                {joint.format("nod", "hinge", "0 1 0", "-1.6 1.6", 4, 0.1)}
                <geom type="capsule" fromto="0 -.03 0 0 .03 0" size=".028" mass=".4" material="shell" class="link"/>
                {hand_mjcf(held, 'pos="0 0 .04"')}
              </body>
            </body>
          </body>
        </body>
      </body>
    </body>"""
