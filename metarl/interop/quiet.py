"""Silence about what a user cannot change."""

from __future__ import annotations

import contextlib


def silence_gym() -> None:
    """Keep the retired gym, which Stable-Baselines3 tries to import, from printing its notice."""
    with contextlib.suppress(ImportError):
        from gym_notices import notices

        notices.notices.clear()
