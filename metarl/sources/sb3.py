"""Stable-Baselines3's PPO, A2C, SAC and TD3 with `MlpPolicy`: from the zip, or from a live model.

Of the zip, ``policy.pth`` is read as tensors alone, and of ``data`` what is plain JSON: beside each
pickled space its type, shape and bounds stand as text. No pickle is run.

Source: Stable-Baselines3 2.9, common/save_util.py (the zip), common/policies.py (actions).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metarl.errors import CheckpointError, unknown
from metarl.nn.trunks import ACTIVATIONS
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.reading import parse_json
from metarl.sources.archive import Archive
from metarl.sources.build import Found, rename, to_checkpoint
from metarl.sources.statistics import Statistics, statistics_of
from metarl.sources.tensors import checked, read_state_dict

POLICY, DATA = "policy.pth", "data"
_UNREAD = {  # that stands beside them, and is left alone
    "policy.optimizer.pth", "actor.optimizer.pth", "critic.optimizer.pth",
    "ent_coef_optimizer.pth", "pytorch_variables.pth", "_stable_baselines3_version",
    "system_info.txt",
}  # fmt: skip
_MAX_ACTIONS, _MAX_DATA = 4096, 32 * 2**20
_LAYER = r"(\d+)\.(weight|bias)"
_RENAMED = {  # of each kind: its layers, its head
    "PPO or A2C": (rf"mlp_extractor\.policy_net\.{_LAYER}", r"action_net\.(weight|bias)"),
    "SAC": (rf"actor\.latent_pi\.{_LAYER}", r"actor\.mu\.(weight|bias)"),
    "TD3 or DDPG": (rf"actor\.mu\.{_LAYER}", ""),
}


def belongs(names: tuple[str, ...]) -> bool:
    """Whether a zip file with such members is one of Stable-Baselines3."""
    return POLICY in names or DATA in names


def read_zip(content: bytes, name: str, statistics: Statistics | None = None) -> Checkpoint:
    """Read a policy from a zip of Stable-Baselines3.

    Args:
        content: The file's bytes.
        name: What it is, for messages.
        statistics: Of its observations.
    Raises:
        CheckpointError: If anything in it is unexpected or damaged, or it is of another kind.
    """
    archive = Archive(content, name, (_UNREAD | {POLICY, DATA}).__contains__)
    data = parse_json(archive.read(DATA, _MAX_DATA), f"{name}: {DATA}")
    if not isinstance(data, dict):
        raise CheckpointError(f"{name}: {DATA} is a {type(data).__name__}; expected a table")
    state = read_state_dict(archive.read(POLICY), f"{name}: {POLICY}")
    kind = _kind(state, name)
    if data.get("use_sde") is True:
        raise CheckpointError(f"{name} explores by gSDE, which has no counterpart here")
    low, high = (_bound(data.get("action_space"), side, name) for side in ("low", "high"))
    said = data.get("policy_kwargs")
    found = _found(state, kind, _activation_in(said, kind, name), low, high)
    return to_checkpoint(found, statistics)


def from_model(model: Any) -> Checkpoint:
    """Take the policy of a live model, and the statistics of its `VecNormalize`, if it has one.

    Args:
        model: A model of Stable-Baselines3.
    Raises:
        CheckpointError: If it is of another kind.
    """
    name = type(model).__name__
    if not hasattr(model, "policy") or not hasattr(model, "get_vec_normalize_env"):
        raise CheckpointError(
            f"{name} is no policy that can be started from; expected a path, or a model of"
            " Stable-Baselines3"
        )
    if getattr(model, "use_sde", False):
        raise CheckpointError(f"this {name} explores by gSDE, which has no counterpart here")
    state = checked(dict(model.policy.state_dict()), name)
    low, high = (
        torch.from_numpy(
            np.array(getattr(model.action_space, side, np.nan), np.float64).reshape(-1)
        )
        for side in ("low", "high")
    )
    activation = _activation(model.policy.activation_fn.__name__, name)
    found = _found(state, _kind(state, name), activation, low, high)
    return to_checkpoint(found, statistics_of(model.get_vec_normalize_env()))


def _found(
    state: Mapping[str, Tensor], kind: str, activation: str, low: Tensor, high: Tensor
) -> Found:
    layers, head = _RENAMED[kind]
    last = max((int(m[1]) for n in state if (m := re.fullmatch(layers, n))), default=-1)

    def named(name: str) -> str:
        if match := re.fullmatch(layers, name):
            is_head = not head and int(match[1]) == last
            return f"head.{match[2]}" if is_head else f"trunk.layers.{match[1]}.{match[2]}"
        if head and (match := re.fullmatch(head, name)):
            return f"head.{match[1]}"
        return "log_std" if name == "log_std" else ""

    tensors, dropped = rename(state, named)
    return Found(
        f"Stable-Baselines3 {kind}", tensors, activation, kind != "PPO or A2C", low, high, dropped
    )


def _kind(state: Mapping[str, Tensor], name: str) -> str:
    """Which algorithm a policy is of, by the names of its tensors."""
    strange = next((key for key in state if "features_extractor" in key), None)
    if strange is not None:
        raise CheckpointError(f"{name} is no MlpPolicy: it has {strange}; only MlpPolicy is read")
    if "log_std" in state and "action_net.weight" in state:
        return "PPO or A2C"
    if "actor.mu.weight" in state and "actor.log_std.weight" in state:
        return "SAC"
    if "actor.mu.0.weight" in state and "actor.log_std.weight" not in state:
        return "TD3 or DDPG"
    raise CheckpointError(
        f"{name} is no MlpPolicy of PPO, A2C, SAC or TD3 with continuous actions; it has"
        f" {', '.join(list(state)[:6])}"
    )


def _activation_in(said: Any, kind: str, name: str) -> str:
    """The activation that a zip's ``policy_kwargs`` name; else the algorithm's own."""
    said = said.get("activation_fn") if isinstance(said, dict) else None
    if said is None:
        return "tanh" if kind == "PPO or A2C" else "relu"
    match = re.fullmatch(r"<class 'torch\.nn\.modules\.activation\.(\w+)'>", str(said))
    return _activation(match[1] if match else str(said), name)


def _activation(called: str, name: str) -> str:
    names = {cls.__name__: name for name, cls in ACTIVATIONS.items()}
    if called not in names:
        raise CheckpointError(f"{name}: {unknown('activation', called[:80], names)}")
    return names[called]


def _bound(space: Any, side: str, name: str) -> Tensor:
    """Read one side of a Box, (A,), from the text beside its pickle."""
    kind = str(space.get(":type:", "")) if isinstance(space, dict) else "none"
    if not re.fullmatch(r"<class 'gym(nasium)?\.spaces\.box\.Box'>", kind):
        raise CheckpointError(
            f"{name} acts in {kind[:80]}; only a Box of continuous actions is read"
        )
    shape, text = space.get("_shape"), str(space.get(side, ""))
    words = re.sub(r"[\[\],]", " ", text[: 64 * _MAX_ACTIONS]).split()
    try:
        count = int(np.prod([int(n) for n in shape], dtype=np.int64))
        values = [float(word) for word in words]
    except (TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(
            f"{name}: cannot read {side} of its actions: {text[:80]!r}"
        ) from error
    if len(values) != count or count > _MAX_ACTIONS:  # NumPy writes dots for a long row
        raise CheckpointError(
            f"{name}: its actions have the shape {shape}, and {len(values)} values of {side} in"
            f" words; at most {_MAX_ACTIONS}, all of them, are read"
        )
    return torch.tensor(values, dtype=torch.float64)
