"""Small PEARL, and families whose episodes are short: of one a mass alone is hidden."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from toy import Reach

from metarl.meta.pearl.config import PearlConfig
from metarl.types import varies

TINY = PearlConfig(
    num_tasks=2, episodes=2, updates=2, encoder_steps=3, encoder_tasks=2, replay=2,
    policy_epochs=1, iterations=4, hidden=(8,), encoder_hidden=(8,),
)  # fmt: skip


class Short(Reach):
    horizon = 8


@dataclass(frozen=True)
class HalfTask:
    goal_m: np.ndarray = varies("m", (-0.2, -0.2), (0.2, 0.2), hidden=False)
    mass_kg: np.ndarray = varies("kg", 1.0, 3.0, hidden=True)


class Half(Short):
    """The goal is in view, and a mass is not."""

    task_type = HalfTask

    def sample(self, rng, n, split):
        return HalfTask(rng.uniform(-0.2, 0.2, size=2), rng.uniform(1.0, 3.0))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
