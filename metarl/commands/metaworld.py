"""`metarl metaworld install`: the interpreter in which Meta-World runs."""

from __future__ import annotations

from pathlib import Path

from metarl.commands.output import say
from metarl.errors import ConfigError
from metarl.registry import family_class
from metarl.sim.outside.interpreters import Interpreter

FAMILY = "metarl_metaworld:metaworld/ml10"  # which knows what it needs


def install(python: Path | None) -> int:
    """Make it.

    Args:
        python: The Python from which it is made; None: this one.
    Returns:
        The exit status.
    Raises:
        MetaRLError: If it cannot be made.
    """
    needs = getattr(family_class(FAMILY), "needs", None)
    if not isinstance(needs, Interpreter):
        raise ConfigError(f"{FAMILY} says of no interpreter that it needs it")
    made = needs.install(python, say)
    say(f"{made} runs the families of metaworld/, for example: metarl check metaworld/reach-v3")
    return 0
