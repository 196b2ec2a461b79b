"""What a checkpoint's family was when it was trained, and what has changed since.

Not the source's text: comments change often and mean nothing. What counts is the interface, and the
numbers of a short episode with fixed tasks and actions.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from metarl.errors import ChangedFamilyWarning, CheckpointError
from metarl.physics import MUJOCO
from metarl.names import without_physics
from metarl.runs.checkpoint import release
from metarl.runs.reading import is_number
from metarl.types import variations

if TYPE_CHECKING:
    from metarl.family import TaskFamily
    from metarl.runs.checkpoint import Checkpoint
    from metarl.sim.worlds import Worlds

FINGERPRINT = "interface"  # in a checkpoint's meta
_WORLDS, _STEPS, _SEED = 4, 3, 0
_DIGITS = 6
_RELATIVE, _ABSOLUTE = 1e-3, 1e-5  # what machines and releases of physics may differ by
_PROBE, _MADE_BY = "probe", "made-by"


def fingerprint(family: TaskFamily[Any]) -> dict[str, Any]:
    """Describe a family by its interface and by what a short episode of it gives.

    Args:
        family: The family; a few of its worlds are made and stepped, by MuJoCo whatever its name
            says, so that what was trained on one physics can be compared on another.
    Returns:
        JSON values.
    """
    from metarl.sim.kinds import make_worlds
    from metarl.sim.worlds import Worlds

    worlds = make_worlds(
        family, _WORLDS, seed=_SEED, task_visible=True, num_threads=1, physics=MUJOCO
    )
    spec, package = worlds.spec, type(family).__module__.partition(".")[0]
    fields = variations(family.task_type)
    return {
        "blocks": dict(spec.blocks),
        "action_dim": spec.action_dim,
        "horizon": spec.horizon,
        "control_dt_s": spec.control_dt_s,
        "weights": {name: float(weight) for name, weight in family.weights.items()},
        "task": {
            name: {
                "unit": field.unit,
                "low": np.ravel(field.low).tolist(),
                "high": np.ravel(field.high).tolist(),
                "hidden": field.hidden,
            }
            for name, field in fields.items()
        },
        _PROBE: _probe(worlds),
        _MADE_BY: {
            "package": package,
            "version": str(getattr(sys.modules.get(package), "__version__", release())),
        },
    }


def family_differences(checkpoint: Checkpoint, family: TaskFamily[Any]) -> list[str]:
    """List what has changed of a family since a checkpoint was trained on it.

    Args:
        checkpoint: The checkpoint.
        family: The family of that name, as it is now.
    Returns:
        One line per change, both values in it; empty if there is none, if the checkpoint is of
        another family, or older than fingerprints.
    """
    then = checkpoint.meta.get(FINGERPRINT)
    was = checkpoint.meta.get("family")
    if not isinstance(then, Mapping) or not isinstance(was, str):
        return []
    if without_physics(was) != without_physics(family.id):
        return []
    now = fingerprint(family)
    lines = [
        f"{name} was {_shown(old)}, is {_shown(new)}"
        for name, old, new in _pairs(_without_probe(then), _without_probe(now))
        if old != new
    ]
    lines += [
        f"{name} of a probe episode was {_shown(old)}, is {_shown(new)}"
        for name, old, new in _pairs({_PROBE: then.get(_PROBE)}, {_PROBE: now[_PROBE]})
        if not _alike(old, new)
    ]
    return lines


def require_unchanged(checkpoint: Checkpoint, family: TaskFamily[Any]) -> None:
    """Check that a checkpoint's family is what it was trained on.

    Raises:
        CheckpointError: If it has changed; the message says how.
    """
    if told := describe_changes(checkpoint, family):
        raise CheckpointError(f"{told}; train anew, or leave out --strict")


def warn_if_changed(checkpoint: Checkpoint, family: TaskFamily[Any]) -> None:
    """Warn if a family has changed since a checkpoint was trained on it."""
    if told := describe_changes(checkpoint, family):
        warnings.warn(told, ChangedFamilyWarning, stacklevel=3)


def describe_changes(checkpoint: Checkpoint, family: TaskFamily[Any]) -> str:
    """Say in one line what has changed of a checkpoint's family; empty if nothing has."""
    found = family_differences(checkpoint, family)
    if not found:
        return ""
    more = f"; and {len(found) - _MOST} more" if len(found) > _MOST else ""
    made = checkpoint.meta[FINGERPRINT].get(_MADE_BY)
    by = f" by {made.get('package')} {made.get('version')}" if isinstance(made, Mapping) else ""
    return (
        f"{family.id} has changed since this checkpoint was trained on it{by}:"
        f" {'; '.join(found[:_MOST])}{more}"
    )


_MOST = 6  # changes in a line


def _probe(worlds: Worlds) -> dict[str, list[float | None]]:
    """Run a few steps with fixed actions; two sums of each block and one of each reward term."""
    found: dict[str, list[float | None]] = {}
    obs, spec = worlds.reset(), worlds.spec
    for step in range(_STEPS + 1):
        for name in spec.blocks:
            values = obs[:, spec.slice(name)].astype(np.float64).ravel()
            # The first sum tells which column a number stands in, the second how large all are.
            sums = (values @ np.cos(np.arange(1, len(values) + 1)), np.abs(values).sum())
            found.setdefault(f"observation {name}", []).extend(map(_rounded, sums))
        if step == _STEPS or worlds.done.any():
            break
        each = np.arange(_WORLDS * spec.action_dim).reshape(_WORLDS, spec.action_dim)
        done = worlds.step(0.5 * np.sin(1.0 + each + 7.0 * step))
        obs = done.obs
        for name, term in done.terms.items():
            found.setdefault(f"reward {name}", []).append(_rounded(np.sum(term, dtype=float)))
    return found


def _rounded(value: Any) -> float | None:
    return float(f"{float(value):.{_DIGITS}g}") if np.isfinite(value) else None


def _without_probe(interface: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in interface.items() if name not in (_PROBE, _MADE_BY)}


def _pairs(old: Any, new: Any, place: str = "") -> list[tuple[str, Any, Any]]:
    """Line up two nested tables: (place, old, new) for every entry of either."""
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return [(place, old, new)]
    return [
        pair
        for name in dict.fromkeys([*old, *new])
        for pair in _pairs(
            old.get(name), new.get(name), name if place in ("", _PROBE) else f"{place} {name}"
        )
    ]


def _alike(old: Any, new: Any) -> bool:
    if not (isinstance(old, list) and isinstance(new, list) and len(old) == len(new)):
        return False
    if not all(map(is_number, (*old, *new))):  # a family whose numbers are not finite
        return old == new
    return np.allclose(old, new, rtol=_RELATIVE, atol=_ABSOLUTE)


def _shown(value: Any) -> str:
    if value is None:
        return "absent"
    if isinstance(value, list) and len(value) == 1:
        return _shown(value[0])
    text = ", ".join(f"{x:.4g}" for x in value) if _is_numbers(value) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_number, value))
