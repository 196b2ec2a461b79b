"""Gymnasium ids of the registered families."""

from __future__ import annotations

import gymnasium

from metarl.registry import family_names


def gym_id(name: str) -> str:
    """Turn a family's name into its Gymnasium id: ``kitchen/season`` -> ``metarl/kitchen-season-v0``."""
    return f"metarl/{name.replace('/', '-')}-v0"


def register_gym_ids() -> list[str]:
    """Register every family with Gymnasium that is not yet registered there.

    Returns:
        The ids of all families.
    """
    ids = []
    for name in family_names():
        ids.append(gym_id(name))
        if ids[-1] not in gymnasium.registry:
            gymnasium.register(
                ids[-1],
                entry_point="metarl.interop.gym_env:FamilyEnv",
                vector_entry_point="metarl.interop.vector_env:FamilyVectorEnv",
                kwargs={"family": name},
            )
    return ids
