"""Which things of a dish may touch, listed pair by pair.

A list is faster than a search, and each pair gets what it needs: fingers hold a piece of food
against turning and rolling too, while on board, pan or plate sliding friction is enough, for
there a piece stands on several points.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import mujoco
import numpy as np

from metarl.robots.gripper import Gripper

FOODS = ("food0_block", "food1_block")
KNOB = ("disc", "ridge")

# condim and friction: sliding (2), turning, rolling (2). Of food, `configure` gives the first two.
LIES = 'condim="3" friction="1 1 .005 .0001 .0001"'
HELD = 'condim="6" friction="1 1 .01 .003 .003"'
TURNED = 'condim="4" friction="1 1 .01 .001 .001"'
BUMPS = 'condim="3" friction=".4 .4 .005 .0001 .0001"'


def contacts_mjcf(fixed: Sequence[str], gripper: Gripper) -> str:
    """Write the pairs.

    Args:
        gripper: What holds food and turns the knob.
        fixed: Names of the geoms that stand still: the counter, and all that is on it.
    """
    pairs = "".join(
        f'<pair geom1="{one}" geom2="{other}" {how}/>' for one, other, how in _pairs(fixed, gripper)
    )
    return f"<contact>{pairs}</contact>"


def _pairs(fixed: Sequence[str], gripper: Gripper) -> Iterator[tuple[str, str, str]]:
    pads, palm = gripper.pads, gripper.palm
    yield *FOODS, LIES
    for food in FOODS:
        yield from ((food, finger, HELD) for finger in pads)
        yield from ((food, other, LIES) for other in (*palm, *KNOB, *fixed))
    for finger, part in product(pads, KNOB):
        yield finger, part, TURNED
    for other, part in product(palm, KNOB):
        yield other, part, BUMPS
    for part, other in product((*pads, *palm), fixed):
        yield part, other, BUMPS


def food_pairs(model: mujoco.MjModel) -> np.ndarray:
    """The indices of the pairs that are about food."""
    foods = [int(model.geom(name).id) for name in FOODS]
    return np.flatnonzero(np.isin(model.pair_geom1, foods) | np.isin(model.pair_geom2, foods))
