"""The counter on which dishes are cooked, as MJCF, and where things stand on it.

What touches food is physics. What does not (shaker, jug, lid) rides with the hand while its
step of the recipe lasts, as behind a tool changer, and stands on its rack otherwise.
"""

from __future__ import annotations

import numpy as np

from metarl_kitchen.dishes.recipes import Food, Recipe
from metarl_kitchen.furniture import knob, vessel

PAN_FROM_KNOB_M = np.array([0.0, 0.20])
PAN_RADIUS_M, PAN_Z_M, RIM_M = 0.085, 0.022, 0.046  # height of the pan's floor and of its rim
PLATE_RADIUS_M = 0.075
BOARD_M = np.array([0.57, -0.22])
BOARD_TOP_M = 0.02
FOOD_HALF_M = 0.0165

# Places in the frame of the hand, x forward, z out of it [m].
MOUTH_M = np.array([-0.05, 0.0, 0.0])  # of the shaker
LIP_M = np.array([-0.115, 0.0, -0.045])  # of the jug
LID_DROP_M = 0.024  # from the fingertips down to the lid's edge

TOOLS = {"season": "shaker", "pour": "jug", "cover": "lid"}
RACK_M = {
    "shaker": np.array([0.68, 0.02, 0.05]),
    "jug": np.array([0.72, 0.14, 0.052]),
    "lid": np.array([0.71, 0.31, LID_DROP_M]),
}
DOWN_QUAT = np.array([0.0, 1.0, 0.0, 0.0])  # a hand that points straight down, x forward
RACK_QUAT = {
    "shaker": np.array([0.70710678, 0.0, 0.70710678, 0.0]),
    "jug": DOWN_QUAT,
    "lid": DOWN_QUAT,
}

_TOOLS = f"""
<body name="shaker" mocap="true" pos="{" ".join(map(str, RACK_M["shaker"]))}" quat=".7071 0 .7071 0">
  <geom type="cylinder" fromto=".035 0 0 -.035 0 0" size=".019" material="glass" class="show"/>
  <geom type="cylinder" fromto=".015 0 0 -.030 0 0" size=".0165" rgba=".98 .98 .97 1" class="show"/>
  <geom type="cylinder" fromto="-.035 0 0 -.05 0 0" size=".0195" material="steel" class="show"/>
</body>
<body name="jug" mocap="true" pos="{" ".join(map(str, RACK_M["jug"]))}" quat="0 1 0 0">
  <geom type="cylinder" size=".042 .05" pos="-.07 0 0" rgba=".30 .45 .62 1" class="show"/>
  <geom type="cylinder" size=".036 .002" pos="-.07 0 -.0505" rgba=".80 .62 .35 1" class="show"/>
  <geom type="box" size=".012 .014 .004" pos="-.111 0 -.046" euler="0 .5 0" rgba=".30 .45 .62 1" class="show"/>
  <geom type="capsule" fromto="-.03 0 -.03 0 0 -.02" size=".007" rgba=".25 .38 .52 1" class="show"/>
  <geom type="capsule" fromto="0 0 -.02 0 0 .02" size=".007" rgba=".25 .38 .52 1" class="show"/>
  <geom type="capsule" fromto="0 0 .02 -.03 0 .03" size=".007" rgba=".25 .38 .52 1" class="show"/>
</body>
<body name="lid" mocap="true" pos="{" ".join(map(str, RACK_M["lid"]))}" quat="0 1 0 0">
  <geom type="cylinder" size="{PAN_RADIUS_M + 0.006} .003" pos="0 0 .021" material="steel" class="show"/>
  <geom type="cylinder" size=".055 .003" pos="0 0 .015" material="steel" class="show"/>
  <geom type="cylinder" size=".012 .010" material="finger" class="show"/>
</body>
<body name="broth" mocap="true" pos="0 0 -.2">
  <geom type="cylinder" size="{PAN_RADIUS_M - 0.001} .002" rgba=".80 .48 .20 .8" class="show"/>
</body>
<body name="stream" mocap="true" pos="0 0 -.2">
  <geom type="capsule" size=".004 .055" rgba=".80 .55 .28 .9" class="show"/>
</body>"""

_STOVE = f"""
<body name="stove" mocap="true">
  <geom type="box" size=".15 .13 .006" pos="0 .20 .006" material="hob" class="show"/>
  <geom name="burner" type="cylinder" size=".10 .002" pos="0 .20 .0125" rgba=".35 .12 .08 1" class="show"/>
  <geom type="cylinder" size=".095 .004" pos="0 .20 .018" material="iron" class="show"/>
  {knob()}
</body>"""

_BOARD = f"""
<camera name="close" pos="1.10 -.52 .60" xyaxes="0.6178 0.7863 -0.0000 -0.3752 0.2948 0.8788"/>
<geom name="board" type="box" size=".10 .10 {BOARD_TOP_M / 2}" pos="{BOARD_M[0]} {BOARD_M[1]} {BOARD_TOP_M / 2}" material="wood" class="fixed"/>"""

_HANDLE = """
<geom type="capsule" fromto=".085 0 .018 .24 .05 .04" size=".011" material="finger" class="show"/>
</body>"""


def counter_mjcf(recipe: Recipe) -> str:
    """Write the bodies of a dish's scene: stove, pan, board, plate, tools, two foods."""
    pan = vessel("pan", PAN_RADIUS_M, RIM_M - PAN_Z_M, "iron").replace("</body>", _HANDLE)
    plate = vessel("plate", PLATE_RADIUS_M, 0.012, "shell", sides=16)
    foods = "".join(_food(i, food) for i, food in enumerate(recipe.foods))
    return _STOVE + pan + plate + _BOARD + foods + _TOOLS


_BLOCK = f".016 .016 {FOOD_HALF_M}"  # what the fingers feel, whatever the food looks like


def _food(index: int, food: Food) -> str:
    name, colour = f"food{index}", " ".join(map(str, food.tint.raw))
    return f"""
<body name="{name}" pos="{BOARD_M[0]} {BOARD_M[1]} .1">
  <freejoint name="{name}"/>
  <geom name="{name}_block" type="box" size="{_BLOCK}" mass=".05" rgba="1 1 1 0" group="4" class="thing" condim="6" friction="1 .01 .003"/>
  <geom name="{name}" type="{food.shape}" size="{food.size_m}" rgba="{colour} 1" class="show"/>
</body>"""
