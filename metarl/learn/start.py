"""What a training starts from: another run's policy, and what of it goes along."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarl.errors import ConfigError
from metarl.registry import split_name

if TYPE_CHECKING:
    from torch import Tensor

    from metarl.family import TaskFamily

TASK = "task"


@dataclasses.dataclass(frozen=True)
class Start:
    """A policy's tensors, as another family observes, and what became of every part.

    Args:
        source: Where they are from, as it was given.
        family: The source's family.
        tensors: By name, those that go along.
        hidden: Widths of the source's layers; None: its checkpoint does not say.
        carried: Tensors and blocks of observations that go along as they are.
        zeroed: Blocks of observations whose weights are zero at first, and why.
        fresh: Tensors that are drawn or set anew, and why.
        same_family: Whether the source is of the same family, whatever its options.
    """

    source: str
    family: str
    tensors: dict[str, Tensor]
    hidden: tuple[int, ...] | None
    carried: tuple[str, ...]
    zeroed: Mapping[str, str]
    fresh: Mapping[str, str]
    same_family: bool

    def under(self, config: Any) -> Start:
        """Leave out what a training's config sets itself.

        Raises:
            ConfigError: If it asks for other widths than the source has.
        """
        fresh = dict(self.fresh)
        if self.hidden is not None and tuple(config.hidden) != self.hidden:
            raise ConfigError(
                f"hidden is {list(config.hidden)}, but {self.source} has {list(self.hidden)}; leave"
                " hidden out, or start from nothing"
            )
        if config.log_std is not None:
            fresh["log_std"] = f"set to {config.log_std:g}"
        if config.task_visible:
            fresh["context"] = "zero, for the task is in view"
        carried = tuple(name for name in self.carried if name not in fresh)
        tensors = {n: t for n, t in self.tensors.items() if n not in fresh}
        return dataclasses.replace(self, tensors=tensors, carried=carried, fresh=fresh)

    def to_json(self) -> dict[str, Any]:
        """Key by key, for the run folder."""
        return {
            "from": self.source,
            "family": self.family,
            "carried": list(self.carried),
            "zeroed": dict(self.zeroed),
            "fresh": dict(self.fresh),
        }

    def __str__(self) -> str:
        """One line for the screen."""
        parts = [f"starts from {self.source} ({self.family}): carried {', '.join(self.carried)}"]
        for name, why in (*self.zeroed.items(), *self.fresh.items()):
            parts.append(f"{name}: {why}")
        return "; ".join(parts)


def start_from(path: Path, family: TaskFamily[Any]) -> Start:
    """Read what a training on a family can start from.

    Columns of the first layer go along by blocks of observations with the same name and width. The
    task block goes along within a family alone, and so does how widely the policy explores.

    Args:
        path: A checkpoint, or a run folder.
        family: What will be trained on.
    Raises:
        CheckpointError: If it cannot be read, or holds no policy.
        ConfigError: If nothing of it fits.
    """
    from metarl.nn.surgery import FIRST, carry_blocks
    from metarl.runs.fingerprint import warn_if_changed
    from metarl.runs.policies import read_checkpoint
    from metarl.runs.trained import part
    from metarl.sim.worlds import Worlds

    found = read_checkpoint(path)
    warn_if_changed(found, family)
    meta, spec = found.meta, Worlds(family, 1).spec
    of = str(meta.get("family", "another family"))
    same = split_name(of)[0] == split_name(family.id)[0]
    tensors = part("policy", found.tensors)
    if not tensors:
        raise ConfigError(f"{path} holds no policy to start from; expected a policy's checkpoint")
    there, here = meta.get("blocks"), spec.blocks
    carried, zeroed, fresh = list[str](), dict[str, str](), dict[str, str]()
    if there:
        carried, zeroed = _blocks(there, here, same=same)
        tensors = carry_blocks(tensors, there, here, strange=() if same else (TASK,))
    if not same:
        fresh["log_std"] = "set afresh, for another family asks for another exploration"
    elif tensors.get("context") is not None and len(tensors["context"]) != spec.task_dim:
        fresh["context"] = "zero, for the task block has another width"
    out = tensors.get("head.weight")
    if out is not None and len(out) != spec.action_dim:
        why = f"drawn anew, for there are {spec.action_dim} actions where it had {len(out)}"
        fresh |= {"head": why, "log_std": why}
    kept = {n: t for n, t in tensors.items() if not any(_within(n, name) for name in fresh)}
    if not any(name.startswith("trunk.") for name in kept):
        raise ConfigError(f"{path} holds no trunk to start from; expected a policy's checkpoint")
    if FIRST in kept:
        carried.append("layers")
    carried += [name for name in ("head", "context", "log_std") if _has(kept, name)]
    widths = meta.get("config", {}).get("hidden")
    return Start(
        str(path), of, kept, None if widths is None else tuple(widths), tuple(carried),
        zeroed, fresh, same,
    )  # fmt: skip


def _blocks(
    there: Mapping[str, int], here: Mapping[str, int], *, same: bool
) -> tuple[list[str], dict[str, str]]:
    """Which blocks of observations go along, and why the others do not."""
    carried, zeroed = [], dict[str, str]()
    for name, width in here.items():
        if name not in there:
            zeroed[name] = "zero weights at first, for the source never observed it"
        elif there[name] != width:
            zeroed[name] = f"zero weights at first, {width} numbers where it had {there[name]}"
        elif name == TASK and not same and width:
            zeroed[name] = "zero weights at first, for it means something else here"
        elif width:
            carried.append(name)
    for name in there:
        if name not in here:
            zeroed[name] = "dropped, for nobody observes it here"
    return carried, zeroed


def _within(tensor: str, name: str) -> bool:
    return tensor == name or tensor.startswith(f"{name}.")


def _has(tensors: Mapping[str, Any], name: str) -> bool:
    return any(_within(tensor, name) for tensor in tensors)
