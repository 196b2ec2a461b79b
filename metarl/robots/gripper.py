"""What an arm grips with: fingers that open and close together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Gripper:
    """Fingers that one number opens and closes.

    Args:
        targets: Target of each of its actuators, closed and open.
        joints: Joints that are set when an episode starts; the first tells the opening.
        postures: Their positions [rad or m], at openings evenly from 0 (closed) to 1 (open).
        half_opening_m: How far each fingertip is from the middle when open.
        pads: Names of the geoms that hold things.
        palm: Names of the other geoms that touch things.
        mjcf: Its actuators as MJCF, where they are not written elsewhere.
    """

    targets: tuple[tuple[float, float], ...]
    joints: tuple[str, ...]
    postures: tuple[tuple[float, ...], ...]
    half_opening_m: float
    pads: tuple[str, ...]
    palm: tuple[str, ...] = ()
    mjcf: str = ""

    @property
    def closed(self) -> float:
        """The first joint's position when closed."""
        return self.postures[0][0]

    @property
    def opened(self) -> float:
        """The first joint's position when open."""
        return self.postures[-1][0]

    def posture(self, opening: float) -> tuple[float, ...]:
        """The joints' positions at an opening in [0, 1], between the two next ones that are known."""
        place = opening * (len(self.postures) - 1)
        row = min(int(place), len(self.postures) - 2)
        pair = zip(self.postures[row], self.postures[row + 1])
        return tuple(float(between(low, high, place - row)) for low, high in pair)


def between(low: float, high: float, part: float | np.ndarray) -> float | np.ndarray:
    """Go a part of the way from low to high."""
    return low + (high - low) * part
