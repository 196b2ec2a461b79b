"""The kitchen as MJCF text: light, counter, stove, and the things that stand on it."""

from __future__ import annotations

import numpy as np

from metarl.robots.robot import Robot

TIME_STEP_S = 0.01
KNOB_M = 0.05  # height at which the fingers hold a knob's ridge
OFF_YAW_RAD = -1.2  # the hand's yaw that fits a knob when the stove is off
FULL_RAD = 2.5  # a knob's whole turn


def kitchen_mjcf(
    robot: Robot,
    things: str,
    *,
    held: str = "",
    num_userdata: int,
    extra: str = "",
    time_step_s: float = TIME_STEP_S,
    listed: bool = False,
) -> str:
    """Write a whole scene: the room, the robot, and a family's own things.

    Args:
        robot: The robot; what it cannot write as text its `finish` adds.
        things: Bodies of the family.
        held: What is fixed to the hand.
        num_userdata: Columns of state beyond physics.
        extra: More sections, as MJCF.
        time_step_s: Length of a physics step [s].
        listed: Only the pairs of geoms that `extra` lists may touch; by default whatever meets.
    """
    hand, fixed, thing = (_touch(listed, *bits) for bits in ((2, 0), (1, 2), (1, 3)))
    return f"""<mujoco model="kitchen">
  <compiler angle="radian"/>
  <option timestep="{time_step_s}" integrator="implicitfast" cone="elliptic" impratio="3"/>
  <size nuserdata="{num_userdata}" memory="2M"/>
  <visual>
    <global offwidth="1280" offheight="960" fovy="45"/>
    <headlight ambient=".32 .31 .30" diffuse=".28 .28 .28" specular=".1 .1 .1"/>
    <quality shadowsize="2048" offsamples="4"/>
    <map znear=".02" zfar="20" shadowclip="1.2"/>
  </visual>
  <asset>
    <texture name="sky" type="skybox" builtin="gradient" rgb1=".93 .89 .82" rgb2=".70 .66 .60" width="256" height="256"/>
    <texture name="tiles" type="2d" builtin="checker" rgb1=".90 .93 .92" rgb2=".82 .88 .87" mark="edge" markrgb=".97 .97 .96" width="256" height="256"/>
    <texture name="wood" type="2d" builtin="gradient" rgb1=".80 .60 .38" rgb2=".68 .47 .28" width="128" height="128"/>
    <material name="tiles" texture="tiles" texrepeat="14 7" reflectance=".04"/>
    <material name="wood" texture="wood" specular=".2"/>
    <material name="counter" rgba=".36 .34 .33 1" specular=".5" shininess=".6" reflectance=".06"/>
    <material name="hob" rgba=".10 .10 .12 1" specular=".8" shininess=".9" reflectance=".12"/>
    <material name="steel" rgba=".74 .76 .79 1" specular=".9" shininess=".8"/>
    <material name="iron" rgba=".20 .20 .22 1" specular=".6" shininess=".5"/>
    <material name="enamel" rgba=".78 .22 .17 1" specular=".7" shininess=".8"/>
    <material name="glow" rgba=".95 .35 .10 1" emission=".5"/>
    <material name="shell" rgba=".93 .93 .92 1" specular=".5" shininess=".6"/>
    <material name="joint" rgba=".25 .26 .29 1" specular=".4"/>
    <material name="finger" rgba=".15 .15 .16 1"/>
    <material name="glass" rgba=".92 .96 .98 .75" specular=".9" shininess=".9"/>
  </asset>
  <default>
    <default class="link"><geom contype="0" conaffinity="0"/></default>
    <default class="show"><geom contype="0" conaffinity="0" mass="0"/></default>
    <default class="hand"><geom {hand} solref=".02 1" /></default>
    <default class="fixed"><geom {fixed} solref=".02 1" friction=".4 .005 .0001"/></default>
    <default class="thing"><geom {thing} solref=".02 1"  condim="4"/></default>
  </default>
  <worldbody>
    <light name="lamp" pos=".5 -.5 1.9" dir="0 .28 -1" diffuse=".62 .60 .55" castshadow="true"/>
    <light name="window" pos="1.6 1.2 1.5" dir="-1 -.8 -.9" diffuse=".22 .24 .28" castshadow="false"/>
    <camera name="film" pos="1.28 -.66 .72" xyaxes="0.6178 0.7863 -0.0000 -0.3752 0.2948 0.8788"/>
    <camera name="top" pos=".5 0 1.05" xyaxes="0 -1 0 1 0 0"/>
    <camera name="front" pos="1.12 .03 .52" xyaxes="0 1 0 -0.5958 0 0.8031" fovy="46"/>
    <site name="origin" group="4"/>
    <site name="down" quat="0 1 0 0" group="4"/>
    <geom name="counter" type="box" size=".55 .9 .03" pos=".35 0 -.03" material="counter" class="fixed"/>
    <geom name="front" type="box" size=".54 .89 .35" pos=".34 0 -.41" rgba=".86 .82 .74 1" class="show"/>
    <geom name="wall" type="box" size=".02 1.6 .9" pos="-.32 0 .5" material="tiles" class="show"/>
    <geom name="floor" type="plane" size="4 4 .1" pos="0 0 -.76" rgba=".62 .52 .42 1" class="show"/>
    {robot.body(held)}
    {things}
  </worldbody>
  <actuator>{robot.actuators()}</actuator>
  <sensor><framelinvel name="hand_velocity" objtype="site" objname="grip"/></sensor>
  {extra}
</mujoco>"""


def _touch(listed: bool, kind: int, touches: int) -> str:
    return f'contype="{0 if listed else kind}" conaffinity="{0 if listed else touches}"'


def knob(spring: str = "", *, resists: str = 'damping=".03" frictionloss=".04"') -> str:
    """A stove's knob with a ridge to hold, on a plate.

    Args:
        spring: More attributes of its joint.
        resists: What keeps it where it is left, as attributes of its joint.
    """
    return f"""
  <geom name="panel" type="box" size=".05 .05 .006" pos="0 0 .006" material="steel" class="fixed"/>
  <body name="knob" euler="0 0 {-OFF_YAW_RAD}">
    <joint name="knob" axis="0 0 -1" range="0 {FULL_RAD}" {resists} armature=".002" {spring}/>
    <geom name="disc" type="cylinder" size=".032 .009" pos="0 0 .022" mass=".05" material="finger" class="thing"/>
    <geom name="ridge" type="box" size=".028 .007 .018" pos="0 0 .048" mass=".03" material="finger" class="thing" friction="1"/>
    <geom type="box" size=".010 .0025 .001" pos=".018 0 .0665" rgba=".95 .95 .9 1" class="show"/>
  </body>"""


def vessel(
    name: str,
    radius_m: float,
    height_m: float,
    material: str,
    *,
    handle: bool = False,
    sides: int = 12,
) -> str:
    """A round vessel that stands where its mocap place says: floor, wall, perhaps a handle.

    Args:
        name: Name of the body.
        radius_m: Inner radius.
        height_m: Height of the wall.
        material: Name of its material.
        handle: Whether it has a pan's handle.
        sides: Number of boxes that make the wall.
    """
    wall = ""
    half = radius_m * np.tan(np.pi / sides) + 0.003
    for k in range(sides):
        angle = 2 * np.pi * k / sides
        x, y = (radius_m + 0.004) * np.cos(angle), (radius_m + 0.004) * np.sin(angle)
        wall += (
            f'<geom type="box" size=".004 {half:.5f} {height_m / 2}" pos="{x:.5f} {y:.5f}'
            f' {height_m / 2}" euler="0 0 {angle:.5f}" material="{material}" class="fixed"/>'
        )
    grip = (
        f'<geom type="capsule" fromto="0 {-radius_m} {height_m * 0.8} 0 {-radius_m - 0.16}'
        f' {height_m + 0.02}" size=".012" material="finger" class="show"/>'
        if handle
        else ""
    )
    return f"""
    <body name="{name}" mocap="true">
      <geom type="cylinder" size="{radius_m + 0.004} .004" pos="0 0 .004" material="{material}" class="fixed"/>
      {wall}{grip}
    </body>"""
