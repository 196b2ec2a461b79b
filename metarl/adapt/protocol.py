"""The adaptation protocol: how many held-out tasks, episodes and updates, and who learns how."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from metarl.errors import ConfigError, require
from metarl.family import TaskFamily
from metarl.meta.maml.config import MamlConfig
from metarl.runs.config import describe_config, load_config
from metarl.streams import Streams
from metarl.transfer import DAGGER, RESIDUAL, SEARCH, STRATEGIES, UNTRAINED
from metarl.transfer.fine_tuning import FineTuning
from metarl.transfer.imitation import Imitation
from metarl.transfer.residual_search import ResidualSearch
from metarl.transfer.strategy_optimization import StrategyOptimization
from metarl.types import Split


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How adaptation is measured; the learners' settings won on train tasks.

    Args:
        num_tasks: K held-out tasks.
        episodes: B, of each task before each update.
        updates: U.
        eval_episodes: Of each task after each update, with mean actions, in other worlds.
        seed: Of tasks, worlds and noise.
        split: Where the tasks come from.
        fine_tuning: How strategies learn from reward.
        imitation: How strategies learn from the expert.
        search: How ``strategy-optimization`` looks for the hidden task.
        residual: How ``residual-search`` looks for it, and for what is added to the actions.
        untrained: The inner loop of ``untrained-inner-loop``, as it is before any meta-training.
    """

    num_tasks: int = 20
    episodes: int = 10
    updates: int = 5
    eval_episodes: int = 10
    seed: int = 1000
    split: Split = "test"
    fine_tuning: FineTuning = FineTuning()
    imitation: Imitation = Imitation()
    search: StrategyOptimization = StrategyOptimization()
    residual: ResidualSearch = ResidualSearch()
    untrained: MamlConfig = MamlConfig()

    def __post_init__(self) -> None:
        for name in ("num_tasks", "episodes", "eval_episodes"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "an integer >= 1")
        require(self.updates >= 0, "updates", self.updates, "an integer >= 0")

    def tuned(self, method: str, settings: Mapping[str, Any]) -> Protocol:
        """Change how a policy learns that no method trained to adapt.

        Args:
            method: One of `metarl.transfer.LEARNERS`, or a method, which takes no settings: it
                adapts as it was trained to.
            settings: Fields of `FineTuning`, `Imitation`, `StrategyOptimization`, `ResidualSearch`
                or `MamlConfig`, whichever it learns by.
        Raises:
            ConfigError: If one is unknown, of another type, or out of range.
        """
        if not settings:
            return self
        name = _LEARNS_BY.get(method)
        if name is None:
            raise ConfigError(f"setting {next(iter(settings))!r}; {method} takes no settings")
        how = getattr(self, name)
        return dataclasses.replace(
            self, **{name: load_config({**describe_config(how), **settings}, type(how))}
        )


_LEARNS_BY = {
    **dict.fromkeys(STRATEGIES, "fine_tuning"),
    **dict.fromkeys(DAGGER, "imitation"),
    SEARCH: "search",
    RESIDUAL: "residual",
    UNTRAINED: "untrained",
}


def held_out_tasks(family: TaskFamily[Any], protocol: Protocol) -> Any:
    """Draw the protocol's tasks; they depend on its seed and split alone, K rows."""
    streams = Streams.from_seed(protocol.seed, protocol.num_tasks)
    return family.sample(streams, protocol.num_tasks, protocol.split)
