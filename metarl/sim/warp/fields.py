"""Model fields with a value per world: which of them mujoco-warp has, and under which name."""

from __future__ import annotations

from typing import Any

import numpy as np

from metarl.errors import SimulationError

# Fields that move nothing: a picture is drawn from the host's model.
_SEEN = ("mat_", "light_", "cam_", "tex_", "skin_", "vis.")
_SEEN_EXACTLY = {"geom_rgba", "site_rgba", "skin_rgba", "tendon_rgba", "geom_matid", "site_matid"}
# With these the places of geoms that never move change; mujoco-warp computes them only once.
PLACES = {"body_pos", "body_quat", "geom_pos", "geom_quat"}
_IMPRATIO = "opt.impratio"  # kept there as one over its root


def is_seen_only(name: str) -> bool:
    """Whether a field is for the eye alone."""
    return name.startswith(_SEEN) or name in _SEEN_EXACTLY


def holder_of(model: Any, name: str) -> tuple[Any, str] | None:
    """Find where a model on the device has a field.

    Args:
        model: A `mujoco_warp.Model`.
        name: As MjModel calls it, an option with ``opt.`` before it.
    Returns:
        The object and its attribute; None if it has none with values per world.
    """
    owner, _, attribute = name.rpartition(".")
    holder = model.opt if owner else model
    attribute = "impratio_invsqrt" if name == _IMPRATIO else attribute
    array = getattr(holder, attribute, None)
    return (holder, attribute) if getattr(array, "_is_batched", False) else None


def as_there(name: str, values: np.ndarray) -> np.ndarray:
    """A field's values as the device's model has them."""
    return 1.0 / np.sqrt(values) if name == _IMPRATIO else values


def lacks(name: str) -> SimulationError:
    """Say that a field cannot differ between worlds there."""
    return SimulationError(
        f"physics 'warp' has no {name} per world, which this family writes; leave --physics out"
    )
