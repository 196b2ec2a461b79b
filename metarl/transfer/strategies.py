"""The strategies of transfer, the same for policies and for pictures.

Scratch always stands among them: where it does as well, nothing was transferred.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from metarl.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:  # the command line checks a strategy's name without loading torch
    import torch

    from metarl.nn.network import Network

AnyNetwork = TypeVar("AnyNetwork", bound="Network")


@dataclass(frozen=True)
class Strategy:
    """How a trained network starts on a new task, and what of it learns.

    Attributes:
        name: Its name on the command line.
        start: Whether the weights are drawn afresh or taken from the source.
        new_head: Whether the head is drawn afresh even where its width fits.
        train_trunk: Whether the trunk learns; if not, it keeps its bytes.
        rate_scale: Factor on the learning rate, unitless.
        doc: One line.
    """

    name: str
    start: Literal["scratch", "pretrained"]
    new_head: bool
    train_trunk: bool
    rate_scale: float
    doc: str


UNTRAINED = "untrained-inner-loop"  # MAML's inner step from a policy that nobody meta-trained
SEARCH = "strategy-optimization"  # which task that the policy knows is this one most like?
RESIDUAL = "residual-search"  # and what must be added to the motions that it knows?
STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Strategy("scratch", "scratch", True, True, 1.0, "forget everything; the honest baseline"),
        Strategy("fine-tune", "pretrained", False, True, 1.0, "go on training everything"),
        Strategy(
            "frozen-trunk", "pretrained", True, False, 1.0, "keep the trunk, learn a new head"
        ),
        Strategy(
            "small-rate", "pretrained", False, True, 0.1, "train everything at a tenth the rate"
        ),
    )
}
# The same, taught by the family's expert instead of by reward.
DAGGER: dict[str, Strategy] = {f"{name}-dagger": strategy for name, strategy in STRATEGIES.items()}
# What a policy can do on new tasks that no method trained to adapt: from reward, and in all.
BASELINES = (*STRATEGIES, UNTRAINED, SEARCH, RESIDUAL)
LEARNERS = (*BASELINES, *DAGGER)


def get_strategy(name: str) -> Strategy:
    """Look a strategy up by name.

    Args:
        name: One of `STRATEGIES`.
    Returns:
        The strategy.
    Raises:
        UnknownNameError: If there is none; the message lists the valid names.
    """
    if name not in STRATEGIES:
        raise UnknownNameError("strategy", name, STRATEGIES)
    return STRATEGIES[name]


def learned(strategy: Strategy, names: Iterable[str]) -> set[str]:
    """Choose by name the parameters of a policy that learn."""
    if strategy.train_trunk:
        return set(names)
    return {name for name in names if name == "log_std" or name.startswith("head.")}


def prepare(
    network: AnyNetwork,
    strategy: Strategy,
    *,
    out_features: int | None = None,
    generator: torch.Generator,
) -> AnyNetwork:
    """Copy a network and make the copy ready to learn as the strategy says.

    A head whose width does not fit is new under every strategy.

    Args:
        network: The source; it is not changed.
        strategy: How to start.
        out_features: Width of the head on the new task; None keeps the source's.
        generator: Draws whatever is new.
    Returns:
        The copy.
    """
    student = copy.deepcopy(network)
    width = network.head.out_features if out_features is None else out_features
    if strategy.new_head or width != network.head.out_features:
        student.reset_head(width, generator)
    if strategy.start == "scratch":
        student.reinitialise(generator)
    if strategy.train_trunk:
        student.unfreeze_trunk()
    else:
        student.freeze_trunk()
    student.zero_grad(set_to_none=True)
    return student


def parameter_groups(network: Network, strategy: Strategy, rate: float) -> list[dict[str, Any]]:
    """Collect what an optimiser may change, with its learning rate.

    Args:
        network: A network from `prepare`.
        strategy: The strategy it was prepared for.
        rate: The learning rate before the strategy's scale, > 0.
    Returns:
        Parameter groups for ``torch.optim``; only trainable parameters are in them.
    Raises:
        ConfigError: If the rate is not positive, or nothing is trainable.
    """
    if not (math.isfinite(rate) and rate > 0.0):
        raise ConfigError(f"the learning rate is {rate}; expected a finite number > 0")
    params = [param for param in network.parameters() if param.requires_grad]
    if not params:
        raise ConfigError(f"strategy {strategy.name!r} leaves no parameter to train")
    return [{"params": params, "lr": rate * strategy.rate_scale}]
