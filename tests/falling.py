"""A family whose episodes end early, at different times; and where a process may be told to die."""

import os
import signal
from pathlib import Path

import numpy as np
from toy import Reach

from metarl.registry import register

FLAG = "FALLING_FLAG"  # names a file: who finds it takes it away, and dies


@register("falling/reach")
class Falling(Reach):
    """The ball must not get fast."""

    horizon = 12

    def failure(self, worlds, task):
        if flag := os.environ.get(FLAG):
            try:
                Path(flag).unlink()
            except FileNotFoundError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return np.abs(worlds.qvel).max(1) > 0.12
