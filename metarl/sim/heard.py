"""What MuJoCo warns of: told once, by `logging`, and never written into the working folder."""

from __future__ import annotations

import logging
import re
from collections import deque

import mujoco

_log = logging.getLogger(__name__)

# MuJoCo calls this from threads of its own: a method written in C is interrupted by no signal.
_heard: deque[str] = deque(maxlen=64)
_told: set[str] = set()

# Worlds that diverge are counted and told by `Worlds`, bad numbers in MJCF by `mjcf`.
_KNOWN = ("Nan, Inf or huge value in", "XML contains a 'NaN'")
_NUMBERS = re.compile(r"[-+]?\d+(\.\d+)?")


def listen() -> None:
    """Take MuJoCo's warnings, which it else writes into MUJOCO_LOG.TXT.

    A handler that somebody has set before stays.
    """
    if mujoco.get_mju_user_warning() is None:
        mujoco.set_mju_user_warning(_heard.append)


def tell() -> None:
    """Pass on what was heard, each kind of warning once in a process."""
    while _heard:
        said = " ".join(_heard.popleft().split())
        kind = _NUMBERS.sub("", said)
        if not said.startswith(_KNOWN) and kind not in _told:
            _told.add(kind)
            _log.warning("MuJoCo: %s", said)
