"""Policies by name: random, still, the family's expert, or what a checkpoint holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metarl.errors import ConfigError, FamilyError, unknown
from metarl.policies import load_policy

if TYPE_CHECKING:
    from metarl.checkpoint import Checkpoint
    from metarl.nn.policy import GaussianPolicy
    from metarl.sim.film import Act
    from metarl.sim.worlds import Worlds

NAMED = ("random", "expert", "still")


def require_policy(name: str) -> None:
    """Check a policy's name before anything slow starts.

    Args:
        name: One of `NAMED`, a checkpoint file or a run folder.
    Raises:
        ConfigError: If it is none of them; names the nearest.
    """
    if name not in NAMED and not Path(name).exists():
        raise ConfigError(
            f"{unknown('policy', name, NAMED)}, or a checkpoint file or run folder that exists"
        )


def make_act(name: str, worlds: Worlds, seed: int, checkpoint: Checkpoint | None) -> Act:
    """Make the policy that acts in some worlds.

    Args:
        name: One of `NAMED`, or where the checkpoint is from.
        worlds: Where it will act.
        seed: Of the random policy.
        checkpoint: Its checkpoint, None for the named ones.
    Raises:
        FamilyError: If the family has no expert.
        ConfigError: If the checkpoint is of other observations or actions.
    """
    shape = (worlds.num_worlds, worlds.spec.action_dim)
    if checkpoint is not None:
        return _trained(load_policy(checkpoint), checkpoint.meta, worlds)
    if name == "still":
        return lambda obs: np.zeros(shape)
    if name == "expert":
        if not worlds.family.has_expert():
            raise FamilyError(f"{worlds.family.id} has no expert; choose random or a checkpoint")
        return lambda obs: worlds.expert()
    rng = np.random.default_rng(seed)
    return lambda obs: rng.uniform(-1.0, 1.0, shape)


def _trained(policy: GaussianPolicy, meta: dict[str, Any], worlds: Worlds) -> Act:
    import torch

    here = (dict(worlds.spec.blocks), worlds.spec.action_dim)
    there = (dict(meta["blocks"]), meta["action_dim"])
    if here != there:
        raise ConfigError(
            f"the checkpoint was trained on {meta.get('family', 'another family')} with blocks and"
            f" actions {there}; {worlds.family.id} has {here}"
        )

    @torch.no_grad()
    def act(obs: np.ndarray) -> np.ndarray:
        return policy(torch.from_numpy(obs))[0].numpy()

    return act
