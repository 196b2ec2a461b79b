"""What carries over from one task to another, and what it is worth."""

from metarl.transfer.strategies import (
    BASELINES,
    DAGGER,
    LEARNERS,
    RESIDUAL,
    SEARCH,
    STRATEGIES,
    UNTRAINED,
    Strategy,
    get_strategy,
    learned,
    parameter_groups,
    prepare,
)

__all__ = [
    "BASELINES",
    "DAGGER",
    "LEARNERS",
    "RESIDUAL",
    "SEARCH",
    "STRATEGIES",
    "UNTRAINED",
    "Strategy",
    "get_strategy",
    "learned",
    "parameter_groups",
    "prepare",
]
