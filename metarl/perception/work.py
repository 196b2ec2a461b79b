"""A head swap under way: the network that learns, and what it learns from."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metarl.nn.network import Network
from metarl.perception.calibration import Calibration, calibrate
from metarl.perception.data import Data
from metarl.perception.features import cached_features, pictures_hash, trunk_hash
from metarl.perception.fitting import Fitting, look
from metarl.perception.model import Model
from metarl.perception.own import Labelled
from metarl.perception.questions import describe_question
from metarl.perception.resuming import resume_from
from metarl.perception.solving import Solving
from metarl.perception.swap_config import SwapConfig
from metarl.perception.trunks import PictureTrunk
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.state import flatten
from metarl.streams import derive_seed
from metarl.transfer.strategy import HEAD, TRUNK, Strategy, depths_of, drawn_anew, prepare
from metarl.transfer.student import Student

Tell = Callable[[str], None]
_FEW_LAYERS = 4  # of the small CNN, for which the default decay was made


def suited(strategy: Strategy, network: Network, config: SwapConfig, tell: Tell) -> Strategy:
    """Let rates fall layer by layer so that they end where our small network's do.

    The default is for few layers: over fifty, nothing below the head would learn. What the user has
    set stands.
    """
    deepest = max(depths_of(dict(network.named_parameters())).values())
    if not hasattr(strategy.settings, "decay") or "decay" in config.strategy_settings:
        return strategy
    if deepest <= _FEW_LAYERS:
        return strategy
    decay = strategy.settings.decay ** (_FEW_LAYERS / deepest)
    tell(f"{strategy.name}: {deepest} layers, so that decay is {decay:.3f} a layer; --set decay=")
    return type(strategy)(dataclasses.replace(strategy.settings, decay=decay))


class Work:
    """A swap under way: a network that learns, and what it learns from.

    Args:
        config: Everything about it.
        strategy: Of the config.
        data: The pictures.
        network: The source.
        generator: Draws the head.
        cache: Where features are kept if the trunk stands.
    """

    def __init__(
        self,
        config: SwapConfig,
        strategy: Strategy,
        data: Data,
        network: Network,
        generator: torch.Generator,
        cache: Path,
    ):
        _load_optimizers()
        begun = time.monotonic()
        self.config, self.data, self.cache = config, data, cache
        width = data.question.width
        self.network = prepare(network, strategy, out_features=width, generator=generator)
        # The question is another one, even where its answer is as wide as the source's.
        heads = {name for name, _ in self.network.named_parameters() if name.startswith(HEAD)}
        new = drawn_anew(self.network, strategy, network) | heads
        if isinstance(self.network.trunk, PictureTrunk) and strategy.start == "source":
            self.network.trunk.hold_statistics({name.removeprefix(TRUNK) for name in new})
            # A drawn head is far off on a wide trunk, for every picture in the same direction. Adam's
            # first steps are as large for every weight, so that all go in one direction, and where
            # statistics stand nothing brings features back to scale: they become the same for all
            # pictures. So it says the mean of the target at first, or all classes alike.
            self.network.quiet_head()
        self.network.to(config.device)
        taken = {name: p for name, p in network.named_parameters() if name not in new}

        def learning(module: nn.Module) -> Student:
            names = dict(module.named_parameters())
            own = {name: p for name, p in taken.items() if name in names}
            return Student(
                module, strategy, rate=config.step_size, generator=generator, source=own, new=new
            )

        student = learning(self.network)
        self.trunk_stands = student.trunk_stands()
        if self.trunk_stands:
            student = learning(nn.Sequential(OrderedDict(head=self.network.get_classifier())))
        self.forward = student.network
        generator.manual_seed(derive_seed(config.seed, "headswap/order"))
        inputs, target = self._inputs(data.train), data.target(data.train)
        head, fit = self.network.get_classifier(), config.fit()
        self.fitting: Fitting | Solving
        if self.trunk_stands and fit.solve and isinstance(head, nn.Linear):
            self.fitting = Solving(head, inputs, target, asked=data.question)
        else:
            self.fitting = Fitting(
                student, inputs, target, asked=data.question, generator=generator, config=fit
            )
        source = "".join((trunk_hash(network.trunk), pictures_hash(data.pixels(data.train))))
        self.of = hashlib.sha256(source.encode()).hexdigest()
        self.seconds = time.monotonic() - begun

    def _inputs(self, part: Labelled) -> Tensor:
        """A part's pictures, (n, 3, H, W) uint8, or their features, (n, F)."""
        pixels = self.data.pixels(part)
        return (
            cached_features(self.network.trunk, pixels, self.cache) if self.trunk_stands else pixels
        )

    def epoch(self) -> dict[str, float] | None:
        """One epoch more; None if it has ended."""
        begun = time.monotonic()
        row = self.fitting.epoch()
        self.seconds += time.monotonic() - begun
        return row

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What a checkpoint holds."""
        return flatten({"fitting": self.fitting.state(), "seconds": self.seconds, "of": self.of})

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint.

        Raises:
            CheckpointError: If it is of other pictures, another trunk or another module.
        """
        resume_from(checkpoint, self.of, self._take)

    def _take(self, state: Any) -> None:
        self.fitting.restore(state["fitting"])
        self.seconds += float(state["seconds"])

    @cached_property
    def calibration(self) -> Calibration:
        """Of the network as it is; asked for once it is trained."""
        return calibrate(self.data.question, *self.fitting.unseen())

    def model(self) -> Model:
        """What is kept of it, to answer other pictures."""
        config = self.config
        return Model(
            self.network, config.backbone, config.size, self.data.question, self.calibration
        )

    def judge(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Answer the test pictures.

        Returns:
            What result.json says; what answers.json says, the worst answers first.
        """
        question, calibration = self.data.question, self.calibration
        outputs = calibration.apply(look(self.forward, self._inputs(self.data.test)))
        target = self.data.target(self.data.test)
        constant = question.constant(self.data.target(self.data.train), target)
        result = {
            "strategy": self.config.strategy,
            **question.judge(outputs, target),
            "constant error": constant,
            **calibration.judge(question, outputs, target),
            "seconds": round(self.seconds, 3),
            "epochs": self.fitting.epochs,
            "best epoch": self.fitting.best,
            "pictures": len(self.data.train),
        }
        order = np.argsort(-question.wrong(outputs, target), kind="stable")
        said = self.model().say([self.data.test.names[i] for i in order], outputs[order])
        truths = [question.truth(target[i]) for i in order]
        rows = [{**answer, "truth": truth} for answer, truth in zip(said, truths)]
        return result, {
            "question": describe_question(question),
            "order": order.tolist(),
            "rows": rows,
        }


def _load_optimizers() -> None:
    """Let torch import what its first step takes: a second that is no strategy's."""
    weight = nn.Parameter(torch.zeros(1))
    weight.grad = torch.zeros(1)
    torch.optim.Adam([weight]).step()
