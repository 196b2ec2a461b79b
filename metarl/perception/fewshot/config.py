"""Everything that can be set of few-shot learning."""

from __future__ import annotations

from dataclasses import dataclass

from metarl.errors import UnknownNameError
from metarl.perception.given import SMALL_CNN
from metarl.runs import fields

# Without training: on features of a trunk that stands. With training: by learn2learn's learner.
PLAIN = ("nearest-centroid", "logistic")
LEARNED = ("maml", "anil", "anil-frozen")
METHODS = (*PLAIN, *LEARNED)


@dataclass(frozen=True, kw_only=True)
class FewShotConfig(fields.Checked):
    """Everything about one few-shot method on one trunk.

    Attributes:
        data: A folder with a folder a class, ``kitchen:ingredients``, or ``SCENE:class``.
        backbone: One of `metarl.perception.backbones.BACKBONES`, or a model of timm.
        weights: A file of the trunk's weights; None: what the backbone brings.
        method: One of `METHODS`.
        ways: Classes of a task.
        shots: Pictures of each class that a task shows with its name.
        queries: Pictures of each class that a task asks about.
        unseen: Classes that judge, and that nothing is learned of; None: a quarter, at least `ways`.
        size: Width and height of pictures [pixels].
        pictures: Of each class, where they are rendered.
        seed: Decides which classes judge, the pictures, and the tasks that judge.
        noise: Decides, with the seed, the head and the tasks to learn from, and nothing else.
        episodes: Tasks that judge.
        iterations: Steps of the outer loop.
        tasks: Tasks of such a step.
        updates: Steps of the inner loop, in training and when judged.
        inner_rate: Of the inner loop's gradient steps, of the head; None: `step_size`.
        trunk_rate: The same of the trunk, where that moves, too (MAML); None: `trunk_step_size`.
        outer_rate: Of the outer loop's Adam.
        first_order: Ignore second derivatives.
        penalty_weight: C of the logistic head, the weight of the loss against the L2 penalty.
        device: Where the network lives.
    """

    data: str = "kitchen:ingredients"
    backbone: str = SMALL_CNN
    weights: str | None = None
    method: str = "maml"
    ways: int = fields.count(5, least=2, most=1000)
    shots: int = fields.count(1, most=1000)
    queries: int = fields.count(15, most=1000)
    unseen: int | None = fields.count(None, least=2, optional=True)
    size: int = fields.count(64, least=8, most=1024)
    pictures: int = fields.count(30, most=100_000)
    seed: int = fields.seed()
    noise: int = fields.seed()
    episodes: int = fields.count(200, most=1_000_000)
    iterations: int = fields.count(200)
    tasks: int = fields.count(4, most=10_000)
    updates: int = fields.count(5, most=1000)
    inner_rate: float | None = fields.positive(None, optional=True)
    trunk_rate: float | None = fields.positive(None, optional=True)
    outer_rate: float = fields.positive(1e-3)
    first_order: bool = False
    penalty_weight: float = fields.positive(10.0)
    device: str = "cpu"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method not in METHODS:
            raise UnknownNameError("few-shot method", self.method, METHODS)

    @property
    def step_size(self) -> float:
        """The head's rate in the inner loop, also where nobody says."""
        if self.inner_rate is not None:
            return self.inner_rate
        return 0.01 if self.method == "maml" and self.backbone != SMALL_CNN else 0.1

    @property
    def trunk_step_size(self) -> float:
        """The trunk's rate in MAML's inner loop, also where nobody says.

        Deviation: Finn et al. 2017 have one rate for all layers. One that lets a head learn in a few
            steps wrecks a trunk that knows something; one that spares the trunk leaves the head behind.
        """
        if self.trunk_rate is not None:
            return self.trunk_rate
        return 0.003 if self.backbone == SMALL_CNN else 1e-4

    @property
    def learns(self) -> bool:
        """Whether something is learned on tasks before it is judged."""
        return self.method in LEARNED

    @property
    def trunk_stands(self) -> bool:
        """Whether the trunk stays as it is, so that its features can be kept."""
        return self.method not in ("maml", "anil")
