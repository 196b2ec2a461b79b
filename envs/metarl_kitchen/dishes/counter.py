"""The counter on which dishes are cooked, as MJCF, and where things stand on it.

What touches food is physics. What does not (shaker, jug, lid) rides with the hand while its
step of the recipe lasts, as behind a tool changer, and stands on its rack otherwise.
"""

from __future__ import annotations

import numpy as np

from metarl.robots.gripper import Gripper
from metarl_kitchen.dishes.contacts import contacts_mjcf
from metarl_kitchen.dishes.recipes import SHAPES
from metarl_kitchen.furniture import knob

PAN_FROM_KNOB_M = np.array([0.0, 0.20])
PAN_RADIUS_M = 0.095
FLOOR_M, RIM_M = 0.030, 0.056  # height of the pan's floor, which the hob carries, and of its rim
WALL_M = 0.97 * PAN_RADIUS_M  # from the middle to the pan's flat sides, as food feels them
PLATE_RADIUS_M, PLATE_FLOOR_M = 0.075, 0.008  # half its edge
BOARD_M = np.array([0.57, -0.22])
BOARD_TOP_M = 0.02
FOOD_HALF_M = 0.0165

# Places in the frame of the hand, x forward, z out of it [m].
MOUTH_M = np.array([-0.05, 0.0, 0.0])  # of the shaker
LIP_M = np.array([-0.115, 0.0, -0.045])  # of the jug
LID_DROP_M = 0.024  # from the fingertips down to the lid's edge

TOOLS = {"season": "shaker", "pour": "jug", "cover": "lid"}
AWAY_M = np.array([0.0, 0.0, -0.2])  # below the counter, out of sight
RACK_M = {
    "shaker": np.array([0.68, 0.02, 0.05]),
    "jug": np.array([0.72, 0.14, 0.052]),
    "lid": np.array([0.73, 0.31, LID_DROP_M]),
}
DOWN_QUAT = np.array([0.0, 1.0, 0.0, 0.0])  # a hand that points straight down, x forward
RACK_QUAT = {
    "shaker": np.array([0.70710678, 0.0, 0.70710678, 0.0]),
    "jug": DOWN_QUAT,
    "lid": DOWN_QUAT,
}

_TOOLS = {
    "shaker": f"""
<body name="shaker" mocap="true" pos="{" ".join(map(str, RACK_M["shaker"]))}" quat=".7071 0 .7071 0">
  <geom type="cylinder" fromto=".035 0 0 -.035 0 0" size=".019" material="glass" class="show"/>
  <geom type="cylinder" fromto=".015 0 0 -.030 0 0" size=".0165" rgba=".98 .98 .97 1" class="show"/>
  <geom type="cylinder" fromto="-.035 0 0 -.05 0 0" size=".0195" material="steel" class="show"/>
</body>""",
    "jug": f"""
<body name="jug" mocap="true" pos="{" ".join(map(str, RACK_M["jug"]))}" quat="0 1 0 0">
  <geom type="cylinder" size=".042 .05" pos="-.07 0 0" rgba=".30 .45 .62 1" class="show"/>
  <geom type="cylinder" size=".036 .002" pos="-.07 0 -.0505" rgba=".80 .62 .35 1" class="show"/>
  <geom type="box" size=".012 .014 .004" pos="-.111 0 -.046" euler="0 .5 0" rgba=".30 .45 .62 1" class="show"/>
  <geom type="capsule" fromto="-.03 0 -.03 0 0 -.02" size=".007" rgba=".25 .38 .52 1" class="show"/>
  <geom type="capsule" fromto="0 0 -.02 0 0 .02" size=".007" rgba=".25 .38 .52 1" class="show"/>
  <geom type="capsule" fromto="0 0 .02 -.03 0 .03" size=".007" rgba=".25 .38 .52 1" class="show"/>
</body>""",
    "lid": f"""
<body name="lid" mocap="true" pos="{" ".join(map(str, RACK_M["lid"]))}" quat="0 1 0 0">
  <geom type="cylinder" size="{PAN_RADIUS_M + 0.006} .003" pos="0 0 .021" material="steel" class="show"/>
  <geom type="cylinder" size=".055 .003" pos="0 0 .015" material="steel" class="show"/>
  <geom type="cylinder" size=".012 .010" material="finger" class="show"/>
</body>""",
}
_LIQUID = f"""
<body name="broth" mocap="true" pos="0 0 -.2">
  <geom type="cylinder" size="{PAN_RADIUS_M - 0.001} .002" rgba=".80 .48 .20 .8" class="show"/>
</body>
<body name="stream" mocap="true" pos="0 0 -.2">
  <geom type="capsule" size=".004 .055" rgba=".80 .55 .28 .9" class="show"/>
</body>"""

_STOVE = f"""
<body name="stove" mocap="true">
  <geom name="hob" type="box" size=".14 .13 {FLOOR_M / 2}" pos="0 .20 {FLOOR_M / 2}" material="hob" class="fixed"/>
  <geom name="burner" type="cylinder" size=".11 .0005" pos="0 .20 {FLOOR_M}" rgba=".35 .12 .08 1" class="show"/>
  {knob(resists='damping=".08"')}
</body>"""

_BOARD = f"""
<camera name="close" pos="1.10 -.52 .60" xyaxes="0.6178 0.7863 -0.0000 -0.3752 0.2948 0.8788"/>
<geom name="board" type="box" size=".10 .10 {BOARD_TOP_M / 2}" pos="{BOARD_M[0]} {BOARD_M[1]} {BOARD_TOP_M / 2}" material="wood" class="fixed"/>"""

PAN_SIDES, PLATE_SIDES = 8, 4
_FIXED = ("counter", "board", "panel", "hob", "plate")
_WALLS = [f"{name}{k}" for name, n in (("pan", PAN_SIDES), ("rim", PLATE_SIDES)) for k in range(n)]


def counter_mjcf() -> str:
    """Write the bodies of the scene: stove, pan, plate, board, two foods, tools."""
    foods = _food("food0") + _food("food1")
    return _STOVE + _pan() + _plate() + _BOARD + foods + "".join(_TOOLS.values()) + _LIQUID


def sections_mjcf(gripper: Gripper) -> str:
    """Write what stands beside the bodies: the pan's shape, and what may touch what."""
    ring = ring_mesh("pan", PAN_RADIUS_M, PAN_RADIUS_M + 0.005, RIM_M - FLOOR_M)
    return f"<asset>{ring}</asset>" + contacts_mjcf([*_FIXED, *_WALLS], gripper)


def _walls(name: str, out_m: float, low_m: float, high_m: float, sides: int, looks: str) -> str:
    """Flat walls around the middle, their inner faces `out_m` away."""
    half, middle = (high_m - low_m) / 2, (high_m + low_m) / 2
    length, wall = out_m * np.tan(np.pi / sides) + 0.003, ""
    for k in range(sides):
        turn = 2.0 * np.pi * k / sides
        x, y = (out_m + 0.004) * np.cos(turn), (out_m + 0.004) * np.sin(turn)
        wall += (
            f'<geom name="{name}{k}" type="box" size=".004 {length:.5f} {half:.5f}"'
            f' pos="{x:.5f} {y:.5f} {middle:.5f}" euler="0 0 {turn:.5f}" class="fixed" {looks}/>'
        )
    return wall


def _pan() -> str:
    """A round pan; what food feels has flat sides, which lie around the drawn wall."""
    felt = _walls("pan", WALL_M, -0.01, RIM_M - FLOOR_M, PAN_SIDES, 'group="4" rgba="1 1 1 0"')
    return f"""
<body name="pan" mocap="true">
  <geom type="cylinder" size="{PAN_RADIUS_M + 0.004} .0006" pos="0 0 .0003" material="iron" class="show"/>
  <geom type="mesh" mesh="pan" material="iron" class="show"/>
  <geom type="capsule" fromto=".095 0 .012 .25 .05 .04" size=".011" material="finger" class="show"/>
  {felt}
</body>"""


def _plate() -> str:
    """A square plate with a low rim."""
    out, floor = PLATE_RADIUS_M + 0.008, PLATE_FLOOR_M / 2
    rim = _walls("rim", PLATE_RADIUS_M, 0.0, PLATE_FLOOR_M + 0.004, PLATE_SIDES, 'material="shell"')
    return f"""
<body name="plate" mocap="true">
  <geom name="plate" type="box" size="{out} {out} {floor}" pos="0 0 {floor}" material="shell" class="fixed"/>
  {rim}
</body>"""


def ring_mesh(name: str, inner_m: float, outer_m: float, height_m: float, sides: int = 40) -> str:
    """Write a mesh of a round wall: it is only seen.

    Args:
        name: Name of the mesh.
        inner_m: Inner radius.
        outer_m: Outer radius.
        height_m: Height; it starts at 0.
        sides: Number of flat pieces.
    """
    turn = 2.0 * np.pi * np.arange(sides) / sides
    corners = [
        (r, z)
        for r, z in ((inner_m, 0.0), (outer_m, 0.0), (outer_m, height_m), (inner_m, height_m))
    ]
    points = [f"{r * np.cos(a):.5f} {r * np.sin(a):.5f} {z:.5f}" for a in turn for r, z in corners]
    faces = []
    for k in range(sides):
        for i in range(4):
            a, b = 4 * k + i, 4 * k + (i + 1) % 4
            c, d = ((4 * (k + 1) + j) % (4 * sides) for j in (i, (i + 1) % 4))
            faces += [f"{a} {c} {b}", f"{b} {c} {d}"]
    return f'<mesh name="{name}" vertex="{" ".join(points)}" face="{" ".join(faces)}"/>'


_BLOCK = f".016 .016 {FOOD_HALF_M}"  # what the fingers feel, whatever the food looks like
_LOOKS = {
    "cube": f'type="box" size="{_BLOCK}"',
    "slice": f'type="cylinder" size="{FOOD_HALF_M} {FOOD_HALF_M}"',
}


def _food(name: str) -> str:
    looks = "".join(
        f'<geom name="{name}_{shape}" {_LOOKS[shape]} rgba="1 1 1 0" class="show"/>'
        for shape in SHAPES
    )
    return f"""
<body name="{name}" pos="{BOARD_M[0]} {BOARD_M[1]} .1">
  <freejoint name="{name}"/>
  <geom name="{name}_block" type="box" size="{_BLOCK}" mass=".05" rgba="1 1 1 0" group="4" class="thing"/>
  {looks}
</body>"""
