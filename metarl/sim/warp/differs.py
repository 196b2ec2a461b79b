"""What mujoco-warp is known to compute otherwise than MuJoCo, in models that have it."""

from __future__ import annotations

import logging

import mujoco

_PYRAMID = mujoco.mjtCone.mjCONE_PYRAMIDAL.value
_PLANE, _CAPSULE = mujoco.mjtGeom.mjGEOM_PLANE.value, mujoco.mjtGeom.mjGEOM_CAPSULE.value
_MUCH = 3  # dimensions of a contact with friction

_log = logging.getLogger(__name__)
_told: set[str] = set()


def differences(model: mujoco.MjModel) -> list[str]:
    """List what in a model will go another way, a line each.

    Args:
        model: The compiled model.
    """
    found = []
    if model.opt.cone == _PYRAMID and _meet(model, _PLANE, _CAPSULE):
        found.append(
            "the friction pyramid of a capsule that stands steeply on a plane is turned about its"
            ' axis, so such contacts differ from MuJoCo\'s (with cone="elliptic" they do not)'
        )
    return found


def tell_differences(model: mujoco.MjModel) -> None:
    """Say them, each once in a process."""
    for line in differences(model):
        if line not in _told:
            _told.add(line)
            _log.warning("physics 'warp': %s", line)


def _meet(model: mujoco.MjModel, one: int, other: int) -> bool:
    """Whether some geom of one type and some of another may touch with friction."""
    pairs = zip(model.pair_geom1, model.pair_geom2, model.pair_dim)
    for first, second, dim in pairs:
        if dim >= _MUCH and {*model.geom_type[[first, second]].tolist()} == {one, other}:
            return True
    ones, others = ((model.geom_type == kind).nonzero()[0] for kind in (one, other))
    for i in ones:
        for k in others:
            dims = max(model.geom_condim[i], model.geom_condim[k])
            met = (
                model.geom_contype[i] & model.geom_conaffinity[k]
                or model.geom_contype[k] & model.geom_conaffinity[i]
            )
            if met and dims >= _MUCH and model.geom_bodyid[i] != model.geom_bodyid[k]:
                return True
    return False
