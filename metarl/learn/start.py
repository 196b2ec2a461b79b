"""What a training starts from: another policy, and what of it goes along."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarl.errors import ConfigError
from metarl.methods import rules_of
from metarl.names import split_name
from metarl.runs.config import configure

if TYPE_CHECKING:
    from torch import Tensor

    from metarl.family import TaskFamily
    from metarl.runs.checkpoint import Checkpoint
    from metarl.sources.report import Surgery

_NETWORK = {"activation": "tanh", "squash": False, "normalised": False}


@dataclasses.dataclass(frozen=True)
class Start:
    """A policy's tensors, as another family observes, and what became of every part.

    Args:
        surgery: What became of every part.
        tensors: By name, those that go along.
        network: What the source is made of, by field of a training's config.
        same_family: Whether the source is of the same family, whatever its options.
    """

    surgery: Surgery
    tensors: dict[str, Tensor]
    network: dict[str, Any]
    same_family: bool

    def under(self, config: Any) -> Start:
        """Leave out what a training's config sets itself.

        Raises:
            ConfigError: If it asks for another network than the source has.
        """
        for name, value in self.network.items():
            asked = getattr(config, name)
            asked = list(asked) if isinstance(asked, tuple) else asked
            if asked != value:
                raise ConfigError(
                    f"{name} is {asked}, but {self.surgery.source} has {value}; leave {name} out,"
                    " or start from nothing"
                )
        fresh, exploration = dict[str, str](), getattr(config, "exploration", None)
        if not self.same_family and exploration != "source":
            fresh["log_std"] = "set afresh, for another family asks for another exploration"
        elif exploration == "fresh":
            fresh["log_std"] = "set afresh"
        if config.log_std is not None:
            fresh["log_std"] = f"set to {config.log_std:g}"
        if config.task_visible:
            fresh["context"] = "zero, for the task is in view"
        found = self.renew(fresh)
        if getattr(config, "strategy", None) is None:
            return found
        kind = _strategy(config)
        parts = {*found.surgery.carried, *(("normaliser",) if self.network["normalised"] else ())}
        surgery = found.surgery.renewed(drawn_anew(kind, parts, found.tensors))
        if kind.start == "scratch":
            zeroed = {n: f"to what is imitated {why}" for n, why in surgery.zeroed.items()}
            surgery = dataclasses.replace(surgery, zeroed=zeroed if kind.imitates else {})
        # What is imitated is needed whole, though nothing starts with it.
        tensors = self.tensors if kind.imitates else found.tensors
        return dataclasses.replace(found, surgery=surgery, tensors=tensors)

    def renew(self, fresh: dict[str, str]) -> Start:
        """Leave out more parts of the source.

        Args:
            fresh: Part -> why.
        """
        return dataclasses.replace(
            self,
            surgery=self.surgery.renewed(fresh),
            tensors={n: t for n, t in self.tensors.items() if n.partition(".")[0] not in fresh},
        )

    def to_json(self) -> dict[str, Any]:
        """Key by key, for the run folder."""
        return self.surgery.to_json()

    def __str__(self) -> str:
        """One line for the screen."""
        return str(self.surgery)


def _strategy(config: Any) -> Any:
    kind = rules_of(config.strategy)
    return kind(configure(kind.config, config.strategy_settings or {}))


def drawn_anew(
    strategy: Any, carried: Collection[str], tensors: Mapping[str, Tensor]
) -> dict[str, str]:
    """Which parts of a source a strategy draws anew, and why.

    Args:
        strategy: A `metarl.transfer.strategy.Strategy`.
        carried: The parts that would go along.
        tensors: The source's, in the order of its network.
    """
    why = f"drawn anew by {strategy.name}"
    if strategy.imitates:
        why += ", which imitates the source instead"
    if strategy.start == "scratch":
        parts = {*carried, "trunk", "head"} - {"log_std", "context"}
        return dict.fromkeys(sorted(parts), why)
    layers = dict.fromkeys(n.rpartition(".")[0] for n in strategy.left_behind(tensors))
    return dict.fromkeys(sorted(layers), why)


def start_from(
    source: Path | Checkpoint,
    family: TaskFamily[Any],
    *,
    mapping: Sequence[str] = (),
    names: Sequence[str] = (),
    statistics: Path | None = None,
    seed: int = 0,
) -> Start:
    """Read what a training on a family can start from, as `metarl.sources.carry` gives it.

    Args:
        source: A checkpoint, a run folder, or a policy of others, as `metarl.sources.read_source`
            takes it.
        family: What will be trained on.
        mapping: As for `metarl.sources.carry`.
        names: As for `metarl.sources.read_source`.
        statistics: Likewise.
        seed: Draws rows of actions that are new, where others go along.
    Raises:
        CheckpointError: If it cannot be read, or holds no policy.
        ConfigError: If nothing of it fits.
    """
    from metarl.runs.fingerprint import warn_if_changed
    from metarl.runs.trained import part
    from metarl.sources import carry, read_source

    found = read_source(source, family=family, names=names, statistics=statistics)
    warn_if_changed(found, family)
    name = str(source) if isinstance(source, Path) else "a policy"
    carried, surgery = carry(found, family, mapping, seed=seed, name=name)
    same = split_name(surgery.family)[0] == split_name(family.id)[0]
    config = carried.meta["config"]
    network = {name: config.get(name, usual) for name, usual in _NETWORK.items()}
    start = Start(
        surgery,
        part("policy", carried.tensors),
        {"hidden": list(config["hidden"]), **network},
        same,
    )
    fresh = dict(surgery.fresh)
    zeroed = {p.name: f"zero, for {p.why}" for p in surgery.parameters if p.became == "zeroed"}
    return start.renew({**fresh, **{n: w for n, w in zeroed.items() if n == "context"}})
