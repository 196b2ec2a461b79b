"""How food cooks: a small model, pure functions over N worlds.

A stove's knob sets a heat that the pan follows with a lag; food that lies in the pan takes it
up, faster when stirred, and goes from raw (0) over golden (0.5) to burnt (1). Salt and liquid
only accumulate. Heat is a share of the stove's full heat, doneness has no unit.

Source: our own model. The lag is Newton's law of heating; doneness grows like the extent of a
reaction of order zero, in proportion to heat above the one at which nothing happens.
"""

from __future__ import annotations

import numpy as np

RAW, GOLDEN, BURNT = 0.0, 0.5, 1.0
COLD = 0.15  # share of full heat below which food only gets warm
SHAKEN_G = 0.7  # salt in a control step at full tilt and full shake, coarseness 1 [g]
FULL_SHAKE_M_S = 0.2
STIRRED = 0.5  # by how much stirring speeds cooking up, at most


def follow(
    now: np.ndarray, target: np.ndarray, lag_s: np.ndarray | float, dt_s: float
) -> np.ndarray:
    """Let a pan's heat follow what the stove gives, exactly over a time step.

    Args:
        now: Heat of the pan [1], (N,).
        target: Heat that the stove gives [1], (N,).
        lag_s: Time constant [s], > 0, (N,) or a number.
        dt_s: Time step [s].
    """
    return target + (now - target) * np.exp(-dt_s / lag_s)


def cook(
    doneness: np.ndarray,
    heat: np.ndarray,
    rate_1_s: np.ndarray | float,
    dt_s: float,
    *,
    stirred: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Cook food that lies in the pan.

    Args:
        doneness: 0 raw, 0.5 golden, 1 burnt, (N,).
        heat: Heat of the pan where the food lies, 0 where it lies elsewhere [1], (N,).
        rate_1_s: Doneness gained in a second at full heat [1/s], (N,) or a number.
        dt_s: Time step [s].
        stirred: How well it is stirred, 0 to 1.
    Returns:
        The new doneness, at most 1.
    """
    strength = np.maximum(heat - COLD, 0.0) / (1.0 - COLD)
    gained = rate_1_s * strength * (1.0 + STIRRED * stirred) * dt_s
    return np.minimum(doneness + gained, BURNT)


def shaken_g(down: np.ndarray, speed_m_s: np.ndarray, coarseness: np.ndarray) -> np.ndarray:
    """Salt that leaves a shaker in a control step [g], (N,).

    Args:
        down: How far its mouth points down, -1 to 1, (N,).
        speed_m_s: How fast it is moved up or down [m/s], (N,).
        coarseness: How readily salt leaves it [1], (N,).
    """
    shake = np.abs(speed_m_s) / FULL_SHAKE_M_S
    rate = ((down - 0.5) / 0.4).clip(0.0, 1.0) * (shake - 0.1).clip(0.0, 1.0)
    return SHAKEN_G * coarseness * rate


def colours(doneness: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Mix the colours of food as it cooks.

    Args:
        doneness: (N,).
        stops: RGB of raw, golden and burnt food (`Tint.stops`), (3, 3) or (N, 3, 3).
    Returns:
        RGB, (N, 3).
    """
    raw, golden, burnt = np.moveaxis(stops, -2, 0)
    first = (doneness[:, None] / GOLDEN).clip(0.0, 1.0)
    second = ((doneness[:, None] - GOLDEN) / (BURNT - GOLDEN)).clip(0.0, 1.0)
    return raw + (golden - raw) * first + (burnt - golden) * second
