"""What carries over from one task to another, and what it is worth."""

from metarl.transfer.strategies import (
    STRATEGIES,
    UNTRAINED,
    Strategy,
    get_strategy,
    parameter_groups,
    prepare,
)

__all__ = [
    "STRATEGIES",
    "UNTRAINED",
    "Strategy",
    "get_strategy",
    "parameter_groups",
    "prepare",
]
