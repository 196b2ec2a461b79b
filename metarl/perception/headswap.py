"""Swap a classifier's head for a regressor, and compare the ways to train it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from metarl.ambient import steady
from metarl.errors import ConfigError
from metarl.nn.network import Network
from metarl.perception.arrays import require_pictures, require_target, to_tensor
from metarl.perception.classifier import (
    load_classifier,
    predict,
    save_classifier,
    train_classifier,
)
from metarl.perception.fitting import FitConfig, Fitting
from metarl.perception.pictures import PictureScene, Progress, draw_pictures, require_positive
from metarl.perception.solving import Solving
from metarl.streams import derive_seed
from metarl.transfer.strategy import (
    Strategy,
    drawn_anew,
    get_strategy,
    prepare,
    strategies_by_name,
)
from metarl.transfer.student import Student

__all__ = [
    "FitConfig",
    "SwapResult",
    "compare",
    "fit",
    "for_pictures",
    "load_classifier",
    "save_classifier",
    "swap_head",
    "train_classifier",
]


@dataclass(frozen=True)
class SwapResult:
    """What one strategy made of the new question.

    Attributes:
        strategy: Its name.
        mae: Mean absolute error of doneness on the test pictures; doneness is in [0, 1].
        constant_mae: The error of always answering the training pictures' median.
        seconds: Time to train [s], the trunk's features included, drawing excluded.
        epochs: Epochs until the stopping rule ended it.
        best_epoch: The epoch whose weights were kept.
    """

    strategy: str
    mae: float
    constant_mae: float
    seconds: float
    epochs: int
    best_epoch: int


@steady()
def compare(
    network: Network,
    scene: PictureScene,
    *,
    num_train: int = 200,
    num_test: int = 500,
    seed: int,
    strategies: Sequence[str] | None = None,
    control: str | None = None,
    config: FitConfig | None = None,
    progress: Progress | None = None,
) -> list[SwapResult]:
    """Teach a classifier doneness by several strategies, on the same pictures.

    Args:
        network: The classifier; it is not changed.
        scene: Where the pictures come from.
        num_train: Pictures to train on, those held back included.
        num_test: Other pictures, to judge the result.
        seed: Decides pictures, heads and order.
        strategies: Their names; None: all of `for_pictures`.
        control: A strategy that is run once more with another new head and another order: a difference
            as small as between the two means nothing. None: none is.
        config: How to fit; the same for all.
        progress: Called with (strategies done, strategies).
    Returns:
        One result a strategy, in the order given; the control's last, named ``NAME, other noise``.
    Raises:
        UnknownNameError: If a strategy is unknown.
        ConfigError: If there are too few pictures.
    """
    chosen = [get_strategy(name) for name in strategies or for_pictures()]
    again = [] if control is None else [get_strategy(control)]
    for strategy in (*chosen, *again):
        require_for_pictures(strategy)
    require_positive(num_train=num_train, num_test=num_test)
    train = draw_pictures(scene, num_train, seed=derive_seed(seed, "headswap/train"))
    test = draw_pictures(scene, num_test, seed=derive_seed(seed, "headswap/test"))
    inputs, target = to_tensor(train.pixels), torch.from_numpy(train.doneness)
    questions, truth = to_tensor(test.pixels), torch.from_numpy(test.doneness)
    constant = float((truth - target.median()).abs().mean())
    results = list[SwapResult]()
    noise = derive_seed(seed, "headswap/other noise")
    arms = [(strategy.name, strategy, seed) for strategy in chosen]
    arms += [(f"{strategy.name}, other noise", strategy, noise) for strategy in again]
    for name, strategy, own in arms:
        start = time.perf_counter()
        student, epochs, best = swap_head(
            network, strategy, inputs, target, seed=own, config=config
        )
        seconds = time.perf_counter() - start
        mae = mean_absolute_error(student, questions, truth)
        results.append(SwapResult(name, mae, constant, seconds, epochs, best))
        if progress is not None:
            progress(len(results), len(arms))
    return results


@steady()
def swap_head(
    network: Network,
    strategy: Strategy,
    inputs: Tensor,
    target: Tensor,
    *,
    seed: int,
    config: FitConfig | None = None,
) -> tuple[Network, int, int]:
    """Train a copy of a network to answer one number instead of a class.

    Where the trunk never learns its features are computed once, and only the head sees epochs.

    Args:
        network: The source; it is not changed.
        strategy: Where to start and what to train.
        inputs: Pictures, shape (n, 3, H, W), float32 in [0, 1].
        target: What to answer, shape (n,), float32 in [0, 1].
        seed: Decides the new head and the order of pictures, alike for every strategy.
        config: How to fit.
    Returns:
        The trained copy with one output, the epochs it took, the epoch that was kept.
    Raises:
        ConfigError: If there are too few pictures to hold some back, or the strategy imitates the
            source's answers.
        ShapeError: If pictures or target have another shape, type or range.
        TrainingError: If the loss is not finite.
    """
    require_pictures(inputs)
    require_target(target, len(inputs))
    require_for_pictures(strategy)
    config = config or FitConfig()
    generator = torch.Generator().manual_seed(derive_seed(seed, "headswap/fit"))
    swapped = prepare(network, strategy, out_features=1, generator=generator)
    new = drawn_anew(swapped, strategy, network)
    taken = {name: p for name, p in network.named_parameters() if name not in new}

    def learning(module: nn.Module) -> Student:
        own = {name: p for name, p in taken.items() if name in dict(module.named_parameters())}
        return Student(module, strategy, rate=config.rate, generator=generator, source=own, new=new)

    student = learning(swapped)
    if student.trunk_stands():
        inputs = predict(swapped.trunk, inputs)
        if config.solve:
            solving = Solving(swapped.head, inputs, target, asked=_Fraction())
            solving.epoch()
            return swapped, solving.epochs, solving.best
        student = learning(nn.Sequential(OrderedDict(head=swapped.head)))
    generator.manual_seed(derive_seed(seed, "headswap/order"))
    epochs, best = fit(student, inputs, target, generator, config)
    return swapped, epochs, best


def for_pictures() -> list[str]:
    """List the strategies that a new question leaves a meaning: none that imitates the old answers."""
    return [name for name, strategy in strategies_by_name().items() if not strategy.imitates]


def require_for_pictures(strategy: Strategy) -> None:
    """Check that a strategy has a meaning where the question is new.

    Raises:
        ConfigError: If it imitates the source's answers; the message lists the others.
    """
    if strategy.imitates:
        raise ConfigError(
            f"{strategy.name} imitates the source's answers, and here the question is another one;"
            f" expected one of {', '.join(for_pictures())}"
        )


def fit(
    student: Student,
    inputs: Tensor,
    target: Tensor,
    generator: torch.Generator,
    config: FitConfig,
) -> tuple[int, int]:
    """Fit a student to a target by squared error, until it stops improving.

    Args:
        student: Of a module that maps (n, ...) to (n, 1); trained in place. In the end the module
            holds, as plain weights, what its best epoch handed out.
        inputs: Shape (n, ...); the last ones are held back to decide when to end.
        target: Shape (n,), float32 in [0, 1].
        generator: Decides the order of the inputs.
        config: The stopping rule.
    Returns:
        Epochs until the end, and the epoch that was kept; both count from 1.
    Raises:
        ConfigError: If nothing is left to train on, or nothing to hold back.
        ShapeError: If the target has another shape, type or range.
        TrainingError: If the loss is not finite.
    """
    require_target(target, len(inputs))
    fitting = Fitting(
        student, inputs, target, asked=_Fraction(), generator=generator, config=config
    )
    while fitting.epoch() is not None:
        pass
    fitting.keep_best()
    return fitting.epochs, fitting.best


class _Fraction:
    """How much is it, from 0 to 1?"""

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        return nn.functional.mse_loss(outputs.squeeze(-1), target)

    def wanted(self, target: Tensor) -> Tensor:
        return target[:, None]

    def error(self, outputs: Tensor, target: Tensor) -> float:
        return float((outputs.squeeze(-1).clamp(0.0, 1.0) - target).abs().mean())


def mean_absolute_error(module: nn.Module, inputs: Tensor, truth: Tensor) -> float:
    """Judge a regressor of doneness, its answers clipped to [0, 1].

    Args:
        module: Maps (n, ...) to (n, 1).
        inputs: Shape (n, ...).
        truth: Shape (n,), in [0, 1].
    Returns:
        The mean absolute error.
    Raises:
        ShapeError: If the truth has another shape, type or range.
    """
    require_target(truth, len(inputs))
    return _Fraction().error(predict(module, inputs), truth)
