"""How a training follows a strategy: what that asks for, and what is set of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from metarl.errors import ConfigError
from metarl.methods import rules_config, rules_of, takes_several

if TYPE_CHECKING:
    from metarl.learn.start import Start


def require_strategy(config: type[Any], method: str, strategy: str) -> None:
    """Check that a method can follow a strategy.

    Raises:
        UnknownNameError: If there is none of that name.
        ConfigError: If the method follows none.
    """
    rules_config(strategy)
    if "strategy" not in {f.name for f in dataclasses.fields(config)}:
        raise ConfigError(
            f"strategy {strategy!r} has no effect: {method} goes on training everything; leave it"
            " out, or train by ppo"
        )


def require_start(asked: Mapping[str, Any]) -> None:
    """Check that what needs a source has one.

    Args:
        asked: Fields of the config that were given, where nothing is given to start from.
    Raises:
        ConfigError: If they ask for a part of it.
    """
    strategy = asked.get("strategy")
    if strategy not in (None, "scratch"):
        raise ConfigError(f"strategy {strategy} needs a policy to start from: --from CHECKPOINT")
    if asked.get("exploration") == "source":
        raise ConfigError("exploration=source needs a policy to start from: --from CHECKPOINT")


def require_no_start(method: str) -> None:
    """Check that a method that is given something to start from can start from it.

    Raises:
        ConfigError: If it trains on several families.
    """
    if takes_several(method):
        raise ConfigError(
            f"--from has no effect: {method} trains several families from nothing; leave it out, or"
            " train one family by another method"
        )


def by_strategy(
    config: type[Any],
    options: Mapping[str, Any],
    strategy: str | None,
    saved: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Tell the settings of a strategy from the fields of a training's config.

    Args:
        config: The training's.
        options: Both, by name.
        strategy: Its name; None: that of the run, if it has one.
        saved: The config of the run that goes on; None: there is none.
    Returns:
        Fields of the training's config; the strategy's settings are one of them.
    """
    name = strategy or (saved or {}).get("strategy")
    if name is None:
        return dict(options)
    mine = {f.name for f in dataclasses.fields(config)}
    of_strategy = {f.name for f in dataclasses.fields(rules_config(name))} - mine
    found = {n: value for n, value in options.items() if n in of_strategy}
    rest = {n: value for n, value in options.items() if n not in of_strategy}
    before = (saved or {}).get("strategy_settings") or {}
    return {**rest, "strategy_settings": {**before, **found}} if found else rest


def usual_exploration(began: Start, asked: Mapping[str, Any]) -> str:
    """Whose exploration goes on where nobody says: the source's, where it is of this family."""
    afresh = asked.get("log_std") is not None or "log_std" not in began.tensors
    strategy = asked.get("strategy")
    from_source = strategy is None or rules_of(strategy).start == "source"
    return "source" if began.same_family and from_source and not afresh else "fresh"
