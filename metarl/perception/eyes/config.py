"""Everything that can be set of the training of eyes; checked before torch is loaded."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from metarl.errors import require
from metarl.learn.config import TrainConfig
from metarl.runs import fields
from metarl.streams import seed_of_noise

SIZE = 84  # pixels a side


@dataclasses.dataclass(frozen=True, kw_only=True)
class EyesConfig(TrainConfig):
    """Everything that decides what a training of eyes computes.

    Args:
        answers: What a picture is turned into: ``columns``, what the policy was told of the things in
            it, so that the policy itself stays as it is; or ``actions``, what the policy would do, so
            that nothing of it is left.
        asks: Hidden task fields that the picture shows too, such as where the pan stands; the others
            are told, as they were to the policy.
        camera: Which of the family's cameras; None: the first one.
        size: Width and height of a picture [pixels].
        trunk: A classifier whose trunk sees from the first picture on, a file or the name of a shipped
            one such as ``ingredients``; None: one that has seen nothing.
        frozen: Whether that trunk stays as it is, and the head alone learns.
        eyes: Eyes that were trained before, a run folder, a checkpoint or the name of a shipped one, from
            which these begin; None: from nothing but the trunk.
        swap: What of them is taken, and how it learns: a strategy such as frozen-trunk, which learns a new
            head on what they see; None: everything is taken, and goes on learning.
        swap_settings: Fields of that strategy's config; None: its defaults.
        pictures: How many labelled pictures there are altogether: drawn at random from an episode in
            every world, in which the policy is told. Every iteration learns from them again. None: new
            ones in every iteration.
        eye_hidden: Widths of the head's layers.
        num_worlds: N; an iteration is one episode in each, of which every step is seen.
        glances: Further worlds, in which the policy is always told, and of which a picture is taken now and
            then. An episode's pictures show nearly the same: so as many pictures show more tasks.
        glance: Share of the steps there of which a picture is taken.
        minibatch: Pictures in a gradient step.
        epochs: Passes over an iteration's pictures.
        learning_rate: Adam's.
        anneal: Share of the budget, at its end, over which the rate falls linearly to 0.
        mixing: Share of the budget, at its start, over which the share of episodes in which the policy
            is told, and not shown, falls linearly from 1 to 0.
        log_std: Log standard deviation of the actions while pictures are taken.
        noise: Which noise of worlds, tasks, actions and minibatches; the first weights stay. Two of
            them tell which differences mean nothing.
    """

    answers: Literal["columns", "actions"] = "columns"
    asks: tuple[str, ...] = ()
    camera: str | None = None
    size: int = fields.count(SIZE, least=16, most=512)
    trunk: str | None = None
    frozen: bool = False
    eyes: str | None = None
    swap: str | None = None
    swap_settings: dict[str, Any] | None = None
    pictures: int | None = fields.count(None, least=2, optional=True)
    eye_hidden: tuple[int, ...] = fields.widths((128, 128))
    num_worlds: int = fields.count(48)
    glances: int = fields.count(0, least=0)
    glance: float = fields.factor(0.125)
    minibatch: int = fields.count(96)
    epochs: int = fields.count(3)
    learning_rate: float = fields.positive(2e-3)
    anneal: float = fields.share(0.5)
    mixing: float = fields.share(0.5)
    iterations: int = fields.count(30)
    log_std: float = fields.log_std(-2.0)
    task_visible: bool = True
    noise: int = fields.count(0, least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.frozen:
            require(self.trunk is not None, "trunk", self.trunk, "a classifier: it is frozen")
        if self.eyes is None:
            for name in ("swap", "swap_settings"):
                require(
                    getattr(self, name) is None,
                    name,
                    getattr(self, name),
                    "None: eyes are not named",
                )
        else:
            require(self.trunk is None, "trunk", self.trunk, "None: eyes bring their own")
        if self.answers == "actions":
            require(not self.asks, "asks", self.asks, "(): actions are answered, no columns")

    @property
    def noise_seed(self) -> int:
        """Seed of whatever is drawn but first weights."""
        return seed_of_noise(self.seed, self.noise)
