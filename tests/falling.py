"""A family whose episodes end early, at different times."""

import numpy as np
from toy import Reach

from metarl.registry import register


@register("falling/reach")
class Falling(Reach):
    """The ball must not get far from where it begins."""

    horizon = 12

    def failure(self, worlds, task):
        return np.abs(worlds.qvel).max(1) > 0.12
