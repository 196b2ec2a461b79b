"""One rule of fitting for every strategy, an epoch at a time: it can be stopped and gone on with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from metarl.errors import ConfigError
from metarl.perception.classifier import descend
from metarl.perception.pictures import require_positive
from metarl.runs.state import load_optimizer
from metarl.transfer.student import Student

LOOKED_AT = 128  # inputs at once where nothing learns


@dataclass(frozen=True)
class FitConfig:
    """How a head, or all of a network, is fitted: one rule for every strategy.

    Training ends when the error on the pictures held back has not improved for `patience`
    epochs, or after `max_epochs`; the weights of the best of these epochs are kept. An epoch is a pass
    over the training pictures, or as many passes as `least_steps` take: ten pictures are one step, and
    a head at zero has not moved after fifteen of them. Where a
    strategy has more to begin (LP-FT the trunk), it begins that instead of ending. The pictures held
    back are part of the training pictures: no test picture is looked at.

    Where the trunk stands there is nothing to descend: the head is solved (`Solving`), unless
    `solve` is False.

    Attributes:
        rate: Adam's learning rate, before the strategy's scale.
        batch_size: Pictures in a step.
        max_epochs: Epochs at most.
        patience: Epochs without improvement after which it ends.
        least_steps: Gradient steps in an epoch, at least: few pictures are passed over several times.
        held_back: Fraction of the training pictures that decides when to end.
        solve: Whether the head of a trunk that stands is solved.
    """

    rate: float = 3e-3
    batch_size: int = 16
    max_epochs: int = 100
    patience: int = 15
    least_steps: int = 10
    held_back: float = 0.2
    solve: bool = True

    def __post_init__(self) -> None:
        require_positive(
            batch_size=self.batch_size, max_epochs=self.max_epochs, patience=self.patience,
            least_steps=self.least_steps,
        )  # fmt: skip
        if not 0.0 < self.rate < float("inf"):
            raise ConfigError(f"rate is {self.rate}; expected a number above 0")
        if not 0.0 < self.held_back < 1.0:
            raise ConfigError(f"held_back is {self.held_back}; expected a fraction in (0, 1)")

    def num_train(self, n: int) -> int:
        """How many of n pictures are trained on; the others are held back.

        Raises:
            ConfigError: If nothing is left to train on, or nothing to hold back.
        """
        left = n - round(self.held_back * n)
        if not 0 < left < n:
            raise ConfigError(f"{n} pictures are too few to hold {self.held_back} back")
        return left


class Asked(Protocol):
    """What the pictures are asked, as far as fitting goes."""

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """What is descended, a scalar."""

    def error(self, outputs: Tensor, target: Tensor) -> float:
        """What decides when to end."""

    def wanted(self, target: Tensor) -> Tensor | None:
        """The numbers that outputs should be, (n, out); None: the target names classes."""


class Fitting:
    """A student on its way to its best epoch.

    Args:
        student: Of a module that maps (n, ...) to (n, out); trained in place.
        inputs: Shape (n, ...); uint8 stands for numbers in [0, 1]. The last ones are held back to
            decide when to end.
        target: Shape (n, ...).
        asked: Makes the loss and the error of them.
        generator: Decides the order of the inputs.
        config: The stopping rule.
    Attributes:
        epochs: Epochs so far.
        best: The one whose weights are kept; both count from 1.
        error: Its error on what was held back.
    Raises:
        ConfigError: If nothing is left to train on, or nothing to hold back.
    """

    def __init__(
        self,
        student: Student,
        inputs: Tensor,
        target: Tensor,
        *,
        asked: Asked,
        generator: torch.Generator,
        config: FitConfig,
    ):
        self.student, self.asked, self.config = student, asked, config
        self.generator = generator
        num_train = config.num_train(len(inputs))
        self._train = inputs[:num_train], target[:num_train]
        self.held_back = inputs[num_train:], target[num_train:]
        self._device = next(student.network.parameters()).device
        self.epochs, self.best, self.error = 0, 0, float("inf")
        self._since, self._spent = 0, 0.0
        self._kept: dict[str, Tensor] = {}

    def epoch(self) -> dict[str, float] | None:
        """Pass over the training pictures, again and again until the least number of steps is made.

        Returns:
            ``loss``, ``held-back error`` and the ``best`` so far; None if there is nothing more to do.
        Raises:
            TrainingError: If the loss is not finite.
        """
        if self.epochs >= self.config.max_epochs or not self._turn():
            return None
        inputs, target = self._train
        losses = list[Tensor]()
        while len(losses) < self.config.least_steps:
            order = torch.randperm(len(inputs), generator=self.generator)
            for batch in order.split(self.config.batch_size):
                outputs = self.student(as_input(inputs[batch].to(self._device)))
                loss = self.asked.loss(outputs, target[batch].to(self._device))
                pull = self.student.pull()
                descend(self.student.optimizer, loss if pull is None else loss + pull)
                losses.append(loss.detach())
        self.epochs += 1
        with self.student.handed_out():
            now = self.asked.error(look(self.student.network, self.held_back[0]), self.held_back[1])
            if now < self.error:
                self.error, self.best = now, self.epochs
                self._kept = {n: t.clone() for n, t in self.student.network.state_dict().items()}
        mean = float(torch.stack(losses).mean())
        return {"loss": mean, "held-back error": now, "best": self.error}

    def unseen(self) -> tuple[Tensor, Tensor]:
        """Answers to the pictures that no weight was fitted to, (n, out), and what belongs to them."""
        inputs, target = self.held_back
        return look(self.student.network, inputs), target

    def keep_best(self) -> None:
        """Give the module, as plain weights, what its best epoch handed out."""
        self.student.network.load_state_dict(self._kept)

    def state(self) -> dict[str, Any]:
        """Everything that going on takes, as `metarl.runs.state.flatten` takes it."""
        student = self.student
        return {
            "module": dict(student.network.state_dict()),
            "added": {name: student.leaves[name].detach() for name in student.added},
            "source": student.source,
            "optimizer": student.optimizer.state_dict(),
            "kept": self._kept,
            "generator": self.generator.get_state(),
            "counts": [self.epochs, self.best, self.error, self._since, self._spent],
        }

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state; what is computed is what would have been.

        Raises:
            CheckpointError, KeyError, RuntimeError, TypeError, ValueError: If it is of another module.
        """
        student = self.student
        student.network.load_state_dict(state["module"])
        for name in student.added:
            student.leaves[name].copy_(state["added"][name])
        for name, tensor in student.source.items():
            tensor.copy_(state["source"][name])
        load_optimizer(student.optimizer, state["optimizer"])
        self._kept = {name: t.to(self._device) for name, t in state["kept"].items()}
        self.generator.set_state(state["generator"])
        self.epochs, self.best, self.error, self._since, self._spent = state["counts"]

    def _turn(self) -> bool:
        """Let learn what the strategy lets learn now; False if it has ended."""
        config, turns = self.config, self.student.strategy.turns
        before, spent = self._spent, max(self._spent, self.epochs / config.max_epochs)
        if self.epochs - max(self.best, self._since) >= config.patience:
            spent = next((turn for turn in turns if turn > spent), 1.0)
            if spent == 1.0:
                return False
        if any(before < turn <= spent for turn in turns):
            self._since = self.epochs  # something else begins to learn: patience begins anew
        self._spent = spent
        self.student.at(spent)
        return True


def as_input(pictures: Tensor) -> Tensor:
    """Make a network's input of pictures in whole numbers; numbers that are no such stay."""
    return pictures.float() / 255.0 if pictures.dtype == torch.uint8 else pictures


@torch.no_grad()
def look(module: nn.Module, inputs: Tensor) -> Tensor:
    """Run a module over many inputs in evaluation, without gradients, a batch at a time.

    Args:
        module: Maps (n, ...) to (n, out).
        inputs: Shape (n, ...); uint8 stands for numbers in [0, 1].
    Returns:
        Outputs on the CPU, shape (n, out).
    """
    return torch.cat(list(looks(module, inputs)))


@torch.no_grad()
def looks(module: nn.Module, inputs: Tensor) -> Iterator[Tensor]:
    """Run a module as `look` does, and yield each batch's outputs as they come."""
    device = next(module.parameters()).device
    trains = module.training
    module.eval()  # else what only judges would move running statistics
    try:
        for batch in inputs.split(LOOKED_AT):
            yield module(as_input(batch.to(device))).cpu()
    finally:
        module.train(trains)
