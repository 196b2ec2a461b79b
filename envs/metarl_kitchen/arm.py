"""A seven-joint arm with a two-finger gripper, commanded in hand space.

Source: joint layout and limits of the Franka Research 3 / Panda as its maker publishes
them (https://frankaemika.github.io/docs/control_parameters.html); capsules stand in for
the links' shapes, and masses are rounded.
"""

from __future__ import annotations

import numpy as np

from metarl.sim.scene import Scene

HOME_QPOS = np.array([0.0, -0.45, 0.0, -2.35, 0.0, 1.90, 0.785])  # [rad]
OPEN_M = 0.04  # opening of each finger [m]

# Hand-space targets: metres or radians that a full action adds in one control step.
STEP_M = 0.03
STEP_RAD = 0.15
LEASH_M = 0.06  # how far a target may run ahead of the hand
WORKSPACE = np.array([[0.28, -0.36, 0.01], [0.70, 0.36, 0.40]])  # low, high [m]
CENTRE_M = np.array([0.50, 0.0, 0.15])
YAW_RAD = (-1.5, 1.5)
TILT_RAD = (-0.3, 1.4)

# Columns of userdata that the arm uses; a family's own come behind.
YAW, TILT, NUM_USERDATA = 0, 1, 2

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


def arm_mjcf(held: str = "") -> str:
    """Write the arm's body, to stand in a worldbody.

    Args:
        held: MJCF that is fixed to the hand (a tool); its origin lies between the
            fingertips, z pointing out of the hand.
    """
    opened, closed = "", ""
    for i, (name, pos, quat, limits, capsule, radius, mass, colour) in enumerate(_LINKS):
        home = HOME_QPOS[i]
        opened += (
            f'<body name="{name}" pos="{pos}" quat="{quat}" gravcomp="1">'
            f'<joint name="joint{i + 1}" axis="0 0 1" range="{limits[0]} {limits[1]}"'
            f' damping="4" armature=".1" stiffness="6" springref="{home}"/>'
            f'<geom type="capsule" fromto="{capsule}" size="{radius}" mass="{mass}"'
            f' material="{colour}" class="link"/>'
        )
        closed += "</body>"
    return f"""
    <body name="base" gravcomp="1">
      <geom type="capsule" fromto="0 0 .03 0 0 .14" size=".07" mass="3" material="shell" class="link"/>
      {opened}
      <body name="hand" pos="0 0 .107" quat=".9238795 0 0 -.3826834" gravcomp="1">
        <geom type="box" size=".025 .09 .025" pos="0 0 .03" mass=".6" material="joint" class="hand"/>
        <site name="grip" pos="0 0 .1034" group="4"/>
        {_finger("left", 1)}{_finger("right", -1)}
        <body name="held" pos="0 0 .1034" gravcomp="1">{held or '<inertial pos="0 0 0" mass=".001" diaginertia="1e-6 1e-6 1e-6"/>'}</body>
      </body>
      {closed}
    </body>"""


def _finger(side: str, sign: int) -> str:
    return f"""
        <body name="{side}_finger" pos="0 0 .0584" gravcomp="1">
          <joint name="{side}_finger" type="slide" axis="0 {sign} 0" range="0 {OPEN_M}" damping="20" armature=".1"/>
          <geom type="box" size=".011 .006 .026" pos="0 {sign * 0.006} .026" mass=".05" material="finger" class="hand" friction=".4 .01 .001" condim="4"/>
        </body>"""


ACTUATORS = f"""
    <position name="x" site="grip" refsite="origin" gear="1 0 0 0 0 0" kp="3000" kv="300" ctrlrange="-1 1" forcerange="-200 200"/>
    <position name="y" site="grip" refsite="origin" gear="0 1 0 0 0 0" kp="3000" kv="300" ctrlrange="-1 1" forcerange="-200 200"/>
    <position name="z" site="grip" refsite="origin" gear="0 0 1 0 0 0" kp="3000" kv="300" ctrlrange="-1 1" forcerange="-200 200"/>
    <position name="rx" site="grip" refsite="down" gear="0 0 0 1 0 0" kp="100" kv="10" ctrlrange="-3.2 3.2"/>
    <position name="ry" site="grip" refsite="down" gear="0 0 0 0 1 0" kp="100" kv="10" ctrlrange="-3.2 3.2"/>
    <position name="rz" site="grip" refsite="down" gear="0 0 0 0 0 1" kp="100" kv="10" ctrlrange="-3.2 3.2"/>
    <position name="left" joint="left_finger" kp="400" kv="60" ctrlrange="0 {OPEN_M}" forcerange="-40 40"/>
    <position name="right" joint="right_finger" kp="400" kv="60" ctrlrange="0 {OPEN_M}" forcerange="-40 40"/>
"""
NUM_ACTIONS = 6  # dx, dy, dz, yaw, tilt, grip


def rotation_vector(yaw: np.ndarray, tilt: np.ndarray) -> np.ndarray:
    """Compose a yaw about the hand's approach axis with a tilt about its own y axis.

    Args:
        yaw: [rad], shape (N,).
        tilt: [rad], shape (N,); positive turns the fingertips away from the base.
    Returns:
        Axis times angle relative to a hand that points straight down, (N, 3).
    """
    cy, sy, ct, st = np.cos(yaw / 2), np.sin(yaw / 2), np.cos(tilt / 2), np.sin(tilt / 2)
    axis = np.stack([-sy * st, cy * st, sy * ct], axis=1)
    norm = np.sqrt((axis * axis).sum(axis=1))
    angle = 2.0 * np.arctan2(norm, cy * ct)
    return axis * (angle / np.maximum(norm, 1e-9))[:, None]


def place_hand(
    worlds: Scene, ids: np.ndarray, place_m: np.ndarray, *, open_m: float = OPEN_M
) -> None:
    """Start worlds in the home posture with the hand's target at a place.

    Args:
        worlds: The scene.
        ids: Which worlds, (n,).
        place_m: First target of the hand [m], (n, 3), near the home posture's hand.
        open_m: First opening of each finger [m].
    """
    worlds.qpos[ids, :7] = HOME_QPOS
    worlds.qpos[ids, 7:9] = open_m
    worlds.ctrl[ids, :3] = place_m
    worlds.ctrl[ids, 3:6] = 0.0
    worlds.ctrl[ids, 6:8] = open_m
    worlds.userdata[ids, :NUM_USERDATA] = 0.0


def drive_hand(worlds: Scene, action: np.ndarray, *, floor_m: float = WORKSPACE[0, 2]) -> None:
    """Move the hand's targets by an action (dx, dy, dz, yaw, tilt, grip) in [-1, 1]."""
    ctrl, state = worlds.ctrl, worlds.userdata
    hand = worlds.site_pos("grip")
    target = ctrl[:, :3] + STEP_M * action[:, :3]
    target = np.clip(target, hand - LEASH_M, hand + LEASH_M)
    low = np.array([*WORKSPACE[0, :2], floor_m])
    ctrl[:, :3] = np.clip(target, low, WORKSPACE[1])
    state[:, YAW] = np.clip(state[:, YAW] + STEP_RAD * action[:, 3], *YAW_RAD)
    state[:, TILT] = np.clip(state[:, TILT] + STEP_RAD * action[:, 4], *TILT_RAD)
    ctrl[:, 3:6] = rotation_vector(state[:, YAW], state[:, TILT])
    ctrl[:, 6:8] = (0.5 * OPEN_M * (1.0 - action[:, 5]))[:, None]  # +1 closes


def observe_hand(worlds: Scene) -> np.ndarray:
    """The ``robot`` block: place, velocity, yaw, tilt, opening, scaled to about 1, (N, 9)."""
    hand = (worlds.site_pos("grip") - CENTRE_M) / 0.2
    velocity = worlds.sensor("hand_velocity")
    angles = worlds.userdata[:, :NUM_USERDATA]
    opening = worlds.qpos[:, 7:8] / OPEN_M * 2.0 - 1.0
    return np.concatenate([hand, velocity, angles, opening], axis=1)


def steer(worlds: Scene, goal_m: np.ndarray, gain: float = 1.0) -> np.ndarray:
    """Actions (dx, dy, dz) that bring the hand to a place, for scripted experts, (N, 3)."""
    return np.clip(gain * (goal_m - worlds.ctrl[:, :3]) / STEP_M, -1.0, 1.0)
