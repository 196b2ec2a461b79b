"""What Gymnasium and Stable-Baselines3 see of actions and observations."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from gymnasium import spaces

from metarl.errors import require
from metarl.sim.blocks import OBS_BOUND
from metarl.types import Spec

Observation = Literal["flat", "dict"]


def action_space(spec: Spec) -> spaces.Box:
    """One world's actions: a float32 box of shape (A,)."""
    return spaces.Box(-1.0, 1.0, (spec.action_dim,), np.float32)


def observation_space(spec: Spec, observation: Observation = "flat") -> spaces.Box | spaces.Dict:
    """One world's observations: a float32 box of shape (D,), or a dict with a box a block.

    Args:
        spec: The family's interface.
        observation: ``"flat"`` or ``"dict"``. Blocks without columns are in no dict.
    Raises:
        ConfigError: If it is neither.
    """
    require(observation in ("flat", "dict"), "observation", observation, "'flat' or 'dict'")
    if observation == "flat":
        return _box(spec.obs_dim)
    return spaces.Dict({name: _box(width) for name, width in spec.blocks.items() if width})


def _box(width: int) -> spaces.Box:
    return spaces.Box(-OBS_BOUND, OBS_BOUND, (width,), np.float32)


class Shown:
    """Stacked observations in the form that was asked for.

    Args:
        spec: The family's interface.
        space: One world's `observation_space`.
    """

    def __init__(self, spec: Spec, space: spaces.Space[Any]):
        blocks = space.spaces if isinstance(space, spaces.Dict) else {}
        self._slices = {name: spec.slice(name) for name in blocks}

    def __call__(self, obs: np.ndarray) -> Any:
        """Show observations.

        Args:
            obs: Shape (D,) or (N, D); they belong to nobody else.
        Returns:
            The same, or (D_i,) or (N, D_i) by block.
        """
        if not self._slices:
            return obs
        return {
            name: np.ascontiguousarray(obs[..., columns]) for name, columns in self._slices.items()
        }
