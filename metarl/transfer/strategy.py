"""What a strategy of transfer is, the same for policies and for pictures.

Each has a module of its own. Scratch always stands among them: where it does as well, nothing was
transferred.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from metarl.errors import ConfigError, UnknownNameError
from metarl.methods import get_method, strategy_names

if TYPE_CHECKING:
    import torch

    from metarl.adapt.meeting import Meeting
    from metarl.nn.network import Network
    from metarl.nn.policy import GaussianPolicy
    from metarl.runs.checkpoint import Checkpoint
    from metarl.sim.worlds import Worlds

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


def get_strategy(name: str) -> Strategy:
    """Look a strategy up by name.

    Args:
        name: One of `strategies_by_name`.
    Returns:
        The strategy.
    Raises:
        UnknownNameError: If there is none; the message lists the valid names.
    """
    found = strategies_by_name()
    if name not in found:
        raise UnknownNameError("strategy", name, found)
    return found[name]


def strategies_by_name() -> dict[str, Strategy]:
    """List the methods that are a `Strategy` and no more, by name: pictures learn by them too."""
    methods = {name: get_method(name).adapting for name in strategy_names()}
    found = {n: a.strategy for n, a in methods.items() if a is not None and a.strategy is not None}
    return {name: strategy for name, strategy in found.items() if strategy.name == name}


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


def student_of(
    checkpoint: Checkpoint, meeting: Meeting, strategy: Strategy, log_std: float
) -> tuple[Worlds, GaussianPolicy]:
    """Make the worlds of a meeting, and the policy that starts there as a strategy says.

    Args:
        checkpoint: Of the source.
        meeting: With the tasks.
        strategy: How to start.
        log_std: First log standard deviation of the actions.
    Raises:
        CheckpointError: If the source is for another interface.
    """
    import torch

    from metarl.runs.policies import load_policy_for

    worlds = meeting.worlds()
    source = load_policy_for(checkpoint, worlds)
    policy = prepare(source, strategy, generator=meeting.fresh(checkpoint))
    with torch.no_grad():
        policy.log_std.fill_(log_std)
        if strategy.start == "scratch":
            policy.context.zero_()
    return worlds, policy
