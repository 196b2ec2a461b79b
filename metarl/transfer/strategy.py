"""What a strategy of transfer is: rules over the named tensors of a network.

The same rules serve many tasks at once, one training by PPO, and pictures. Each strategy has a module
of its own. Scratch always stands among them: where it does as well, nothing was transferred.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from metarl.methods import rule_names, rules_of
from metarl.runs.config import configure
from metarl.transfer.config import Settings

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from metarl.nn.functional import Params
    from metarl.nn.network import Network

AnyNetwork = TypeVar("AnyNetwork", bound="Network")
HEAD = "head."
TRUNK = "trunk."


class Strategy:
    """How a trained network starts on a new task, and what of it learns, when, and towards what.

    As it stands it trains everything, from the source, at one rate. A strategy changes what it must.

    Args:
        settings: One of its `config`; None: the defaults.
    Attributes:
        name: Its name on the command line.
        doc: One line.
        start: Whether the weights are drawn afresh or taken from the source.
        new_head: Whether the head is drawn afresh even where its width fits.
        config: Its settings, a child of `metarl.transfer.config.Settings`.
        keeps_source: Whether it goes on needing the source's weights while it learns.
        imitates: Whether it also needs the source's answers: heads then answer the same question.
    """

    name: ClassVar[str]
    doc: ClassVar[str]
    start: ClassVar[Literal["scratch", "source"]] = "source"
    new_head: ClassVar[bool] = False
    config: ClassVar[type[Any]] = Settings
    keeps_source: ClassVar[bool] = False
    imitates: ClassVar[bool] = False

    def __init__(self, settings: Any = None):
        self.settings: Any = self.config() if settings is None else settings

    @property
    def turns(self) -> tuple[float, ...]:
        """Shares of the budget, in (0, 1), at which something else begins to learn."""
        return ()

    @property
    def uniform(self) -> bool:
        """Whether everything learns at the same rate, all along."""
        return type(self).rate is Strategy.rate

    def takes(self, depth: int, last: int) -> bool:
        """Whether it begins with the source's layers that lie so deep, where it begins with any.

        Args:
            depth: How far below the output they lie, as `depths_of` counts; the head's is 0.
            last: That of the layer at the input.
        """
        return depth > 0 or not self.new_head

    def left_behind(self, params: Mapping[str, Tensor]) -> set[str]:
        """Name a network's layers that it does not take from a source.

        Args:
            params: The network's parameters in their order, each (...).
        """
        depths = {n: d for n, d in depths_of(params).items() if n.startswith((TRUNK, HEAD))}
        last = max(depths.values(), default=0)
        return {name for name, depth in depths.items() if not self.takes(depth, last)}

    def rate(self, depth: int, progress: float) -> float:
        """Choose the factor on the learning rate of a tensor, >= 0; with 0 it does not learn now.

        Args:
            depth: How far below the output it lies, as `depths_of` counts.
            progress: Share of the budget that is spent, in [0, 1).
        """
        return 1.0

    def penalty(self, now: Mapping[str, Tensor], source: Mapping[str, Tensor]) -> Tensor | None:
        """Compute what is added to the loss, a scalar, or None.

        Args:
            now: All weights, each (...), or (K, ...): then it is summed over tasks.
            source: Those that were taken from the source, each (...).
        """
        return None

    def teaching(self, progress: float) -> float:
        """Choose the weight of imitating the source, >= 0, at a share of the budget in [0, 1]."""
        return 0.0

    def leaves(
        self, params: Mapping[str, Tensor], new: Collection[str], generator: torch.Generator
    ) -> Params:
        """Choose the tensors that learn.

        Args:
            params: The network's parameters, each (...).
            new: Names of those that were drawn afresh.
            generator: Draws whatever is added.
        Returns:
            By name: parameters under their own names, additions under ``NAME.WHAT``.
        """
        return dict(params)

    def weights(self, leaves: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> Params:
        """Make all weights out of what learns.

        Args:
            leaves: As `leaves` chose them, trained since; each (...) or (K, ...).
            kept: The parameters that are no leaves, alike.
        """
        return {**kept, **leaves}

    def finish(self, now: Params, source: Mapping[str, Tensor]) -> Params:
        """Make what is handed out, judged and saved; training goes on with what it was.

        Args:
            now: All weights, each (...) or (K, ...).
            source: Those that were taken from the source, each (...).
        """
        return now


def get_strategy(name: str, settings: Mapping[str, Any] | None = None) -> Strategy:
    """Make a strategy by name.

    Args:
        name: One of `metarl.methods.rule_names`.
        settings: Fields of its config, as JSON values; None: the defaults.
    Raises:
        UnknownNameError: If there is none; the message lists the valid names.
        ConfigError: If a setting is unknown, of another type, or out of range.
    """
    kind = rules_of(name)
    return kind(configure(kind.config, settings or {}))


def strategies_by_name() -> dict[str, Strategy]:
    """Make every strategy that is a `Strategy` and no more, with its defaults, by name."""
    return {name: rules_of(name)() for name in rule_names()}


def depths_of(params: Mapping[str, Tensor]) -> dict[str, int]:
    """Count how far each tensor lies below the output.

    The trunk's last layer is 1, the one before it 2; the head, the standard deviation of actions and
    whatever else there is are 0. A layer begins with a tensor of two axes or more: what follows it,
    biases and norms, belongs to it. The task context is added to the input, with the first layer.

    Args:
        params: A network's parameters in their order, each (...).
    """
    layer, layers = 0, dict[str, int]()
    for name, p in params.items():
        if name.startswith(TRUNK):
            layer += p.dim() >= 2
            layers[name] = max(1, layer)
    last = max(1, layer)
    depths = {name: last + 1 - layers[name] if name in layers else 0 for name in params}
    return {name: last if name == "context" else depth for name, depth in depths.items()}


def prepare(
    network: AnyNetwork,
    strategy: Strategy,
    *,
    out_features: int | None = None,
    generator: torch.Generator,
) -> AnyNetwork:
    """Copy a network and make the copy what the strategy starts with.

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
        student.reset_classifier(width, generator)
    if strategy.start == "scratch":
        student.reinitialise(generator)
    else:
        _draw_layers(student, strategy, generator)
    student.requires_grad_(True)
    student.unfreeze_trunk()
    student.zero_grad(set_to_none=True)
    return student


def drawn_anew(network: Network, strategy: Strategy, source: Network) -> set[str]:
    """Name the parameters of a prepared copy that owe nothing to its source."""
    own, before = dict(network.named_parameters()), dict(source.named_parameters())
    if strategy.start == "scratch":
        return set(own)
    fits = {n for n in own if n in before and own[n].shape == before[n].shape}
    if not {n for n in own if n.startswith(HEAD)} <= fits:
        fits = {n for n in fits if not n.startswith(HEAD)}
    return {n for n in own if n not in fits} | strategy.left_behind(own)


def _draw_layers(student: Network, strategy: Strategy, generator: torch.Generator) -> None:
    """Draw the layers of the trunk anew that a strategy does not take."""
    from metarl.nn.initialise import TRUNK_GAIN, initialise_layer

    left = strategy.left_behind(dict(student.named_parameters()))
    for name, layer in student.trunk.named_modules(prefix=TRUNK.rstrip(".")):
        if any(f"{name}.{p}" in left for p, _ in layer.named_parameters(recurse=False)):
            initialise_layer(layer, generator, TRUNK_GAIN)
