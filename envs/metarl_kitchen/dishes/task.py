"""What differs from one kitchen to another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metarl.types import label, varies

STOVE_M = ((0.44, -0.04), (0.48, 0.0))  # [m]
PLATE_M = ((0.345, -0.22), (0.375, -0.18))
FOOD0_M, FOOD1_M = ((0.51, -0.26), (0.55, -0.17)), ((0.60, -0.26), (0.64, -0.17))
GAIN, FAR_GAIN = (0.7, 1.3), (0.55, 0.68)
LAG_S, RATE = (0.5, 1.5), (0.8, 1.25)
COARSENESS, VISCOSITY = (0.6, 1.4), (0.6, 1.6)
MASS_KG, FRICTION = (0.03, 0.08), (0.7, 1.2)


@dataclass(frozen=True)
class DishTask:
    """Where things stand, and the constants of a stranger's kitchen."""

    stove_m: np.ndarray = varies("m", *STOVE_M, hidden=False, doc="place of the knob")
    plate_m: np.ndarray = varies("m", *PLATE_M, hidden=False, doc="place of the plate")
    food0_m: np.ndarray = varies("m", *FOOD0_M, hidden=False, doc="place of the first food")
    food1_m: np.ndarray = varies("m", *FOOD1_M, hidden=False, doc="place of the second food")
    gain: np.ndarray = varies(
        "1", FAR_GAIN[0], GAIN[1], hidden=True, doc="heat of the stove for a turn of its knob"
    )
    lag_s: np.ndarray = varies("s", *LAG_S, hidden=True, doc="how slowly the pan's heat follows")
    rate: np.ndarray = varies("1", *RATE, hidden=True, doc="how fast the food cooks")
    coarseness: np.ndarray = varies(
        "1", *COARSENESS, hidden=True, doc="how readily salt leaves the shaker"
    )
    viscosity: np.ndarray = varies(
        "1", *VISCOSITY, hidden=True, doc="how slowly the jug's liquid flows"
    )
    mass_kg: np.ndarray = varies("kg", *MASS_KG, hidden=True, doc="mass of each food")
    friction: np.ndarray = varies("1", *FRICTION, hidden=True, doc="sliding friction of the food")
    dish: np.ndarray = label("which of the family's dishes")
