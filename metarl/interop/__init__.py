"""Families as Gymnasium and Stable-Baselines3 environments.

Importing this registers every family with Gymnasium: `kitchen/season` becomes
``gymnasium.make("metarl/kitchen-season-v0")``; ``import metarl`` after Gymnasium does so too.
Stable-Baselines3 is imported only when `FamilyVecEnv` is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metarl.ambient import silence_gym
from metarl.interop.gym_env import FamilyEnv
from metarl.interop.registration import register_gym_ids
from metarl.interop.vector_env import FamilyVectorEnv

if TYPE_CHECKING:
    from metarl.interop.sb3 import FamilyVecEnv

__all__ = ["FamilyEnv", "FamilyVecEnv", "FamilyVectorEnv", "register_gym_ids"]

silence_gym()
register_gym_ids()


def __getattr__(name: str) -> Any:
    if name == "FamilyVecEnv":  # it imports torch, which takes seconds
        from metarl.interop.sb3 import FamilyVecEnv

        return FamilyVecEnv
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
