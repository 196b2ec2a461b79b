"""Families of the environments in `strangers`, here and in another interpreter."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metarl.registry import register
from metarl.sim.outside import OutsideFamily
from metarl.types import varies

FILE = Path(__file__).with_name("strangers.py")


@dataclass(frozen=True)
class CartTask:
    goal_m: np.ndarray = varies("m", (-0.8, -0.8), (0.8, 0.8), hidden=True)


@register("outside/cart")
class CartFamily(OutsideFamily[CartTask]):
    """Push a cart to a hidden place; in this interpreter."""

    task_type = CartTask
    horizon = 40
    control_dt_s = 0.05
    environment = f"{FILE}:Cart"

    def sample(self, rng, n, split):
        away = rng.uniform(0.6, 0.8) if split == "far" else rng.uniform(0.3, 0.6)
        angle = rng.uniform(0.0, np.pi) + np.pi * (split == "test")
        return CartTask(away[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1))

    def expert(self, worlds, task):
        seen = worlds.obs["observation"]
        return np.clip(4.0 * (task.goal_m - seen[:, :2]) - 0.4 * seen[:, 2:], -1.0, 1.0)


@register("outside/cart-elsewhere")
class CartElsewhere(CartFamily):
    """The same in worker processes."""

    interpreter = sys.executable
