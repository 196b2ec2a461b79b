"""Swap a classifier's head for a regressor, and compare the ways to train it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from metarl.ambient import steady
from metarl.errors import ConfigError
from metarl.nn.network import Network
from metarl.perception.arrays import require_pictures, require_target, to_tensor
from metarl.perception.classifier import (
    derive_seed,
    descend,
    load_classifier,
    predict,
    save_classifier,
    train_classifier,
)
from metarl.perception.pictures import PictureScene, Progress, draw_pictures, require_positive
from metarl.transfer.strategy import (
    Strategy,
    get_strategy,
    parameter_groups,
    prepare,
    strategies_by_name,
)

__all__ = [
    "FitConfig",
    "SwapResult",
    "compare",
    "fit",
    "load_classifier",
    "save_classifier",
    "swap_head",
    "train_classifier",
]


@dataclass(frozen=True)
class FitConfig:
    """How a regressor is fitted: one rule for every strategy.

    Training ends when the error on the pictures held back has not improved for `patience`
    epochs, or after `max_epochs`; the weights of the best of these epochs are kept. The
    pictures held back are part of the training pictures: no test picture is looked at.

    Attributes:
        rate: Adam's learning rate, before the strategy's scale.
        batch_size: Pictures in a step.
        max_epochs: Passes over the training pictures, at most.
        patience: Epochs without improvement after which it ends.
        held_back: Fraction of the training pictures that decides when to end.
    """

    rate: float = 3e-3
    batch_size: int = 16
    max_epochs: int = 100
    patience: int = 15
    held_back: float = 0.2

    def __post_init__(self) -> None:
        require_positive(
            batch_size=self.batch_size, max_epochs=self.max_epochs, patience=self.patience
        )
        if not 0.0 < self.rate < float("inf"):
            raise ConfigError(f"rate is {self.rate}; expected a number above 0")
        if not 0.0 < self.held_back < 1.0:
            raise ConfigError(f"held_back is {self.held_back}; expected a fraction in (0, 1)")


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
        strategies: Their names; None: all.
        config: How to fit; the same for all.
        progress: Called with (strategies done, strategies).
    Returns:
        One result a strategy, in the order given.
    Raises:
        UnknownNameError: If a strategy is unknown.
        ConfigError: If there are too few pictures.
    """
    chosen = [get_strategy(name) for name in strategies or strategies_by_name()]
    require_positive(num_train=num_train, num_test=num_test)
    train = draw_pictures(scene, num_train, seed=derive_seed(seed, "headswap/train"))
    test = draw_pictures(scene, num_test, seed=derive_seed(seed, "headswap/test"))
    inputs, target = to_tensor(train.pixels), torch.from_numpy(train.doneness)
    questions, truth = to_tensor(test.pixels), torch.from_numpy(test.doneness)
    constant = float((truth - target.median()).abs().mean())
    results = []
    for strategy in chosen:
        start = time.perf_counter()
        student, epochs, best = swap_head(
            network, strategy, inputs, target, seed=seed, config=config
        )
        seconds = time.perf_counter() - start
        mae = mean_absolute_error(student, questions, truth)
        results.append(SwapResult(strategy.name, mae, constant, seconds, epochs, best))
        if progress is not None:
            progress(len(results), len(chosen))
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

    Where the trunk is frozen its features are computed once, and only the head sees epochs.

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
        ConfigError: If there are too few pictures to hold some back.
        ShapeError: If pictures or target have another shape, type or range.
        TrainingError: If the loss is not finite.
    """
    require_pictures(inputs)
    require_target(target, len(inputs))
    config = config or FitConfig()
    generator = torch.Generator().manual_seed(derive_seed(seed, "headswap/fit"))
    student = prepare(network, strategy, out_features=1, generator=generator)
    optimiser = torch.optim.Adam(parameter_groups(student, strategy, config.rate))
    generator.manual_seed(derive_seed(seed, "headswap/order"))
    if strategy.train_trunk:
        epochs, best = fit(student, optimiser, inputs, target, generator, config)
    else:
        features = predict(student.trunk, inputs)
        epochs, best = fit(student.head, optimiser, features, target, generator, config)
    return student, epochs, best


def fit(
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    inputs: Tensor,
    target: Tensor,
    generator: torch.Generator,
    config: FitConfig,
) -> tuple[int, int]:
    """Fit a module to a target by squared error, until it stops improving.

    Args:
        module: Maps (n, ...) to (n, 1); trained in place, its best epoch's weights are kept.
        optimiser: Holds its trainable parameters.
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
    num_train = len(inputs) - round(config.held_back * len(inputs))
    if not 0 < num_train < len(inputs):
        raise ConfigError(f"{len(inputs)} pictures are too few to hold {config.held_back} back")
    trained, error, best, kept = 0, float("inf"), 0, {}
    while trained < config.max_epochs and trained - best < config.patience:
        for batch in torch.randperm(num_train, generator=generator).split(config.batch_size):
            guess = module(inputs[batch]).squeeze(-1)
            descend(optimiser, nn.functional.mse_loss(guess, target[batch]))
        trained += 1
        now = mean_absolute_error(module, inputs[num_train:], target[num_train:])
        if now < error:
            error, best = now, trained
            kept = {key: value.clone() for key, value in module.state_dict().items()}
    module.load_state_dict(kept)
    return trained, best


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
    return float((predict(module, inputs).squeeze(-1).clamp(0.0, 1.0) - truth).abs().mean())
