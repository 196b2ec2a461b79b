"""CleanRL's continuous PPO: the state_dict of its ``Agent``, as `torch.save` writes it.

Source: Huang et al. 2022, JMLR 23 (CleanRL), cleanrl/ppo_continuous_action.py: two layers of tanh,
    ``actor_logstd`` (1, A). Its environments clip actions to their bounds, and normalise
    observations by statistics that the file does not hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from metarl.errors import CheckpointError
from metarl.sources.build import Found, rename

_LAYER = re.compile(r"actor_mean\.(\d+)\.(weight|bias)")
LOG_STD = "actor_logstd"


def belongs(state: Mapping[str, Tensor]) -> bool:
    """Whether tensors have the names of CleanRL's continuous PPO."""
    return LOG_STD in state and any(_LAYER.fullmatch(name) for name in state)


def from_state_dict(state: Mapping[str, Tensor]) -> Found:
    """Find the policy.

    Raises:
        CheckpointError: If its log standard deviations are no single row.
    """
    last = max(int(match[1]) for name in state if (match := _LAYER.fullmatch(name)))

    def named(name: str) -> str:
        if match := _LAYER.fullmatch(name):
            if int(match[1]) == last:
                return f"head.{match[2]}"
            return f"trunk.layers.{match[1]}.{match[2]}"
        return "log_std" if name == LOG_STD else ""

    tensors, dropped = rename(state, named)
    row = tensors["log_std"]
    if row.dim() not in (1, 2) or row.numel() != row.shape[-1]:
        raise CheckpointError(f"{LOG_STD} has the shape {tuple(row.shape)}; expected (1, A)")
    tensors["log_std"] = row.reshape(-1)
    notes = (
        "observations: taken as they are; CleanRL's NormalizeObservation keeps its statistics outside"
        " the file (--statistics gives them)",
    )
    return Found("CleanRL PPO", tensors, dropped=dropped, notes=notes)
