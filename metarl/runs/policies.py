"""Policies that were trained: read from checkpoints, never unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarl.errors import CheckpointError, ConfigError, UnknownNameError
from metarl.methods import get_training
from metarl.runs.fingerprint import warn_if_changed
from metarl.runs.several import HEADLESS, require_one
from metarl.runs.trained import part

if TYPE_CHECKING:
    from torch import Tensor

    from metarl.runs.checkpoint import Checkpoint
    from metarl.nn.policy import GaussianPolicy
    from metarl.sim.worlds import Worlds

EYES = "eyes"  # what precedes the tensors of a picture network that a policy acts by


def read_checkpoint(path: Path | str) -> Checkpoint:
    """Load a checkpoint file, or the newest checkpoint of a run folder.

    Raises:
        CheckpointError: If there is none, or it is damaged.
    """
    path = Path(path)
    from metarl.runs.checkpoint import load_checkpoint
    from metarl.runs.run import latest_checkpoint

    if not path.is_dir():
        return load_checkpoint(path)
    found = latest_checkpoint(path)
    if found is None:
        raise CheckpointError(f"{path} holds no checkpoint; expected a run folder or a file")
    return found[1]


def load_policy(checkpoint: Checkpoint, *, shown: bool = False) -> GaussianPolicy:
    """Rebuild the policy that a run saved.

    Args:
        checkpoint: Its tensors ``policy.*``, and the interface it was trained for.
        shown: Whether the caller sees to it that a policy with eyes is shown pictures.
    Raises:
        CheckpointError: If it holds no policy, or parts of one, or one that is shown pictures.
    """
    import torch

    from metarl.nn.policy import GaussianPolicy, network_of
    from metarl.runs.networks import load_network

    require_one(checkpoint)
    meta = checkpoint.meta
    if not shown and part(EYES, checkpoint.tensors):
        raise CheckpointError(
            "this checkpoint acts on what a camera shows, which nothing adapts or carries on yet; watch"
            " it (metarl watch), or take the policy that its eyes were taught by"
        )

    def make() -> GaussianPolicy:
        return GaussianPolicy(
            sum(meta["blocks"].values()),
            meta["action_dim"],
            meta["blocks"]["task"],
            torch.Generator().manual_seed(0),  # every weight is loaded
            **network_of(meta["config"]),
        )

    return load_network(checkpoint, "policy", make).eval()


def load_policy_for(
    checkpoint: Checkpoint, worlds: Worlds, *, shown: bool = False
) -> GaussianPolicy:
    """Rebuild the policy that a run saved, to act in these worlds; `shown` is as for `load_policy`.

    Raises:
        CheckpointError: If it holds no whole policy, or one for other observations or actions.
    """
    require_interface(checkpoint, worlds)
    return load_policy(checkpoint, shown=shown)


def require_interface(checkpoint: Checkpoint, worlds: Worlds) -> None:
    """Check that what was trained sees and does what these worlds show and take.

    Warns with a `ChangedFamilyWarning` if they do, and yet the family is not what it was.

    Raises:
        CheckpointError: If it does not; the message has both.
    """
    meta, spec = checkpoint.meta, worlds.spec
    require_one(checkpoint)
    if HEADLESS in meta:
        raise CheckpointError(
            f"the checkpoint was trained on {meta.get('family')}, and has no head for"
            f" {worlds.family.id}; adapt it, or train from it: metarl train {worlds.family.id} --from"
        )
    here = (dict(spec.blocks), spec.action_dim)
    there = (dict(meta.get("blocks", {})), meta.get("action_dim"))
    if here != there:
        raise CheckpointError(
            f"the checkpoint was trained on {meta.get('family', 'another family')} with blocks and"
            f" actions {there}; {worlds.family.id} has {here}"
        )
    warn_if_changed(checkpoint, worlds.family)


def config_of(checkpoint: Checkpoint) -> Any:
    """Rebuild the config of the training that saved a checkpoint.

    Raises:
        CheckpointError: If it is of no method that is installed, or none of that method's.
    """
    from metarl.runs.config import configure

    meta = checkpoint.meta
    name, saved = meta.get("method"), meta.get("config")
    try:
        cls = get_training(name).config if isinstance(name, str) else None
        if cls is None or not isinstance(saved, dict):
            raise ConfigError(f"method {name!r} and config {saved!r}")
        return configure(cls, saved)
    except (ConfigError, UnknownNameError) as error:
        raise CheckpointError(f"this checkpoint's config is none of {name}'s: {error}") from error


def sees_task(checkpoint: Checkpoint) -> bool:
    """Whether the policy was trained with the hidden task fields in view."""
    return bool(checkpoint.meta.get("config", {}).get("task_visible", False))


def load_rates(checkpoint: Checkpoint, policy: GaussianPolicy) -> dict[str, Tensor]:
    """Read the learned inner rates of a meta-trained checkpoint, each (U, ...).

    Args:
        checkpoint: The checkpoint.
        policy: Its policy.
    Raises:
        CheckpointError: If it has none, or some that are not of its policy's parameters.
    """
    rates = part("rates", checkpoint.tensors)
    if not rates:
        raise CheckpointError(
            f"a checkpoint of method {checkpoint.meta.get('method')!r} has no inner rates;"
            " expected one of method 'maml'"
        )
    own = dict(policy.named_parameters())
    for name, rate in rates.items():
        fits = name in own and rate.shape[1:] == own[name].shape and rate.is_floating_point()
        if not fits or not len(rate) or len(rate) != len(next(iter(rates.values()))):
            raise CheckpointError(
                f"this checkpoint's inner rates of {name} have the shape {tuple(rate.shape)}, which"
                " fits no parameter of its policy; use another checkpoint"
            )
    return rates
