"""Everything that can be set of a head swap."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from metarl.perception.fitting import FitConfig
from metarl.perception.given import SMALL_CNN, usual_rate
from metarl.runs import fields


@dataclass(frozen=True, kw_only=True)
class SwapConfig(fields.Checked):
    """Everything about a head swap.

    Attributes:
        data: A folder of pictures, a table, or ``SCENE:TARGET``.
        test: Pictures to judge by; None: some of the data are held out.
        backbone: One of `metarl.perception.backbones.BACKBONES`, or a model of timm.
        weights: A file of the trunk's weights; None: what the backbone brings.
        strategy: One of `metarl.methods.rule_names` that imitates nobody.
        strategy_settings: Fields of the strategy's config, as JSON values.
        size: Width and height of pictures [pixels].
        seed: Decides the split, the head, and the order of pictures.
        num_pictures: How many to learn from; None: all, or 200 that are rendered.
        held_out: Share of the pictures that judges in the end, where no test is given.
        rate: Adam's learning rate, before the strategy's scale; None: `usual_rate` of the backbone and
            the strategy.
        batch_size: Pictures in a step.
        max_epochs: Epochs at most, each a pass over the training pictures, or several (`least_steps`).
        patience: Epochs without improvement after which it ends.
        least_steps: Gradient steps in an epoch, at least: few pictures are passed over several times.
        held_back: Share of the training pictures that decides when to end, and calibrates.
        solve: Whether the head of a trunk that stands is solved, with a penalty chosen on pictures left
            out in turn; else it is descended like everything.
        device: Where the network lives.
    """

    data: str = "kitchen:doneness"
    test: str | None = None
    backbone: str = SMALL_CNN
    weights: str | None = None
    strategy: str = "frozen-trunk"
    strategy_settings: dict[str, Any] = field(default_factory=dict)
    size: int = fields.count(64, least=8, most=1024)
    seed: int = fields.seed()
    num_pictures: int | None = fields.count(None, least=2, optional=True)
    held_out: float = fields.factor(0.2, below=True)
    rate: float | None = fields.positive(None, optional=True)
    batch_size: int = fields.count(16)
    max_epochs: int = fields.count(100)
    patience: int = fields.count(15)
    least_steps: int = fields.count(10)
    held_back: float = fields.factor(0.2, below=True)
    solve: bool = True
    device: str = "cpu"

    @property
    def step_size(self) -> float:
        """The learning rate, also where nobody says."""
        return usual_rate(self.backbone, self.strategy) if self.rate is None else self.rate

    def fit(self) -> FitConfig:
        """How it is fitted."""
        return FitConfig(
            rate=self.step_size, batch_size=self.batch_size, max_epochs=self.max_epochs,
            patience=self.patience, least_steps=self.least_steps, held_back=self.held_back,
            solve=self.solve,
        )  # fmt: skip
