"""Gymnasium ids of the registered families."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium

from metarl.family import TaskFamily
from metarl.registry import family_names, watch_families


def gym_id(name: str) -> str:
    """Turn a family's name into its Gymnasium id: ``kitchen/season`` -> ``metarl/kitchen-season-v0``."""
    return f"metarl/{name.replace('/', '-')}-v0"


def register_gym_ids() -> list[str]:
    """Register every family with Gymnasium, and from now on each as soon as it is registered here.

    Returns:
        The ids of all families.
    """
    names = family_names(unlisted=True)
    watch_families(_register)
    return [gym_id(name) for name in names]


def _register(name: str, cls: type[TaskFamily[Any]]) -> None:
    known = gymnasium.registry.get(gym_id(name))
    if known is None:
        gymnasium.register(
            gym_id(name),
            entry_point="metarl.interop.gym_env:FamilyEnv",
            vector_entry_point="metarl.interop.vector_env:FamilyVectorEnv",
            max_episode_steps=cls.horizon,
            kwargs={"family": name},
        )
    elif (other := known.kwargs.get("family")) != name:
        warnings.warn(
            f"Gymnasium's id {gym_id(name)!r} stands for {other!r}; make {name!r} by"
            f" metarl.interop.FamilyEnv({name!r})",
            stacklevel=2,
        )
