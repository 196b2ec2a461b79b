"""Everything that decides what a training of modular policies computes; checked before torch is loaded."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from metarl.learn.config import require_default
from metarl.multitask.config import MultiTaskConfig
from metarl.runs import fields

# What learning from rewards asks to have other defaults.
LEARNERS: dict[str, dict[str, Any]] = {
    "dagger": {},
    "ppo": {
        "learning_rate": 1e-3,
        "anneal": 0.0,
        "log_std": -0.7,
        "num_worlds": 128,
        "minibatch": 2048,
    },
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModularConfig(MultiTaskConfig):
    """Everything that decides what a training of modular policies computes.

    Args:
        learner: What pairs of robot and skill are learned from: their experts (dagger) or their rewards
            (ppo).
        cores: A core for each skill (per-skill), or one for all behind a first layer for each (shared).
        encoders: An encoder for each robot, which sees all that is its own (per-robot), or one for all,
            which sees the columns that have the same name in every robot (named).
        encoded: Width of what an encoder tells the cores.
        command: Width of what a core tells the decoders.
        things: Width of a core's first layer, which sees things and task.
        core: Width of its second.
        posture: Width of each of the three layers by which a decoder sees its robot.
        decoder: Width of its last layer.
        blur: Standard deviation of the noise on what encoders tell cores, and cores tell decoders, while
            they learn; each lies in [-1, 1]. It leaves room for what matters alone: for what is to be
            done, and not for who says so. 0: none.
        hindsight: Of imitation: how much commands are drawn to what comes of them. Every decoder then also
            learns which action led to what, in columns that all robots have, whatever was wanted; and
            cores are drawn to command what came of it where their experts acted. So commands mean the same
            to robots that never met. 0: nothing of this.
        horizon: Control steps after which hindsight looks.
        alike: Last actions that mean the same in every robot, which hindsight takes as they are: in the
            kitchen one, the grip.
        weight_decay: Of AdamW, per unit of learning rate.
        hidden: Widths of the critics' layers, which ppo alone has.
    """

    learner: Literal["ppo", "dagger"] = "dagger"
    cores: Literal["per-skill", "shared"] = "per-skill"
    encoders: Literal["per-robot", "named"] = "per-robot"
    encoded: int = fields.count(16, most=fields.WIDEST)
    command: int = fields.count(16, most=fields.WIDEST)
    things: int = fields.count(64, most=fields.WIDEST)
    core: int = fields.count(128, most=fields.WIDEST)
    posture: int = fields.count(64, most=fields.WIDEST)
    decoder: int = fields.count(128, most=fields.WIDEST)
    blur: float = fields.not_negative(0.0)
    hindsight: float = fields.not_negative(0.0)
    horizon: int = fields.count(1)
    alike: int = fields.count(1, least=0)
    weight_decay: float = fields.not_negative(0.0)
    num_worlds: int = fields.count(32)
    minibatch: int = fields.count(512)
    learning_rate: float = fields.positive(2e-3)
    anneal: float = fields.share(0.5)
    log_std: float | None = fields.log_std(-2.0)
    iterations: int = fields.count(100)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.learner == "ppo" or not self.hindsight:
            by_expert = ("hindsight",) if self.learner == "ppo" else ()
            because = "nobody looks back: learner=dagger with a hindsight above 0 does"
            require_default(self, (*by_expert, "horizon", "alike"), because)
