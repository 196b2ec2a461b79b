"""What of a dish lives in the world's state beyond physics, and where a world is in it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from metarl.robots.robot import NUM_USERDATA
from metarl_kitchen.dishes.recipes import SKILLS

# Columns of userdata.
(
    STAGE,  # of the recipe, counted from 0; their number when the dish is ready
    TIMER,  # control steps since it began
    ARMED,  # 1 once the hand has come down in it
    WELL,  # how many stages ended well
    HEAT,  # of the pan, share of full heat
    DONE0,  # doneness of each food
    DONE1,
    SALT,  # in the pan [g]
    LIQUID,  # in the pan [ml]
    SPILLED,  # beside it, share of what was wanted
    STIR,  # how well the pan is stirred, 0 to 1
    LID,  # 1 while the lid is on the pan
    SCORE,  # the judge's, of what has reached the plate, 0 to 1
) = range(NUM_USERDATA, NUM_USERDATA + 13)
COLUMNS = NUM_USERDATA + 13

REST = len(SKILLS)  # the skill of a dish that is ready


class Now(NamedTuple):
    """What a dish is about at this moment, one row a world.

    Args:
        stage: Index of the stage, (N,).
        skill: Index into `SKILLS`, or `REST`, (N,).
        amount: What the stage asks for, (N,).
        piece: Which food it is about, (N,).
    """

    stage: np.ndarray
    skill: np.ndarray
    amount: np.ndarray
    piece: np.ndarray

    def does(self, skill: str) -> np.ndarray:
        """Which worlds are at a skill, (N,) bool."""
        return self.skill == SKILLS.index(skill)
