"""One piece of food whose size, mass and friction differ from task to task."""

from __future__ import annotations

import numpy as np

from metarl.sim.scene import Scene

BOX, CYLINDER, ELLIPSOID = range(3)  # shapes, in the order of a family's models


def give_food(
    worlds: Scene,
    ids: np.ndarray,
    size_m: np.ndarray,
    mass_kg: np.ndarray,
    friction: np.ndarray,
    shape: np.ndarray,
) -> None:
    """Write the model fields of the body and geom ``food``.

    Args:
        worlds: The scene.
        ids: Which worlds, (n,).
        size_m: Half extents [m], (n, 3); a cylinder's first two are its radius.
        mass_kg: Mass [kg], (n,).
        friction: Sliding friction [1], (n,).
        shape: `BOX`, `CYLINDER` or `ELLIPSOID`, (n,).
    """
    geom, body = worlds.id("geom", "food"), worlds.id("body", "food")
    round_ = (shape == CYLINDER)[:, None]
    size = np.where(round_, size_m[:, [0, 2, 2]] * [1.0, 1.0, 0.0], size_m)
    worlds.model_field("geom_size")[ids, geom] = size
    worlds.model_field("geom_friction")[ids, geom, 0] = friction
    worlds.model_field("body_mass")[ids, body] = mass_kg
    worlds.model_field("body_inertia")[ids, body] = mass_kg[:, None] * _inertia(size_m, shape)


def _inertia(size_m: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Principal moments of inertia per mass [m^2], (n, 3)."""
    square = size_m**2
    others = square.sum(axis=1, keepdims=True) - square  # b^2 + c^2 for axis a, and so on
    rim, half = square[:, 0], square[:, 2]
    across = rim / 4.0 + half / 3.0
    cylinders = np.stack([across, across, rim / 2.0], axis=1)
    kind = shape[:, None]
    return np.where(kind == CYLINDER, cylinders, others / np.where(kind == ELLIPSOID, 5.0, 3.0))
