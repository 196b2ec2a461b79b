"""What every trained policy's checkpoint says and holds, whoever trained it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarl.errors import CheckpointError
from metarl.runs.reading import is_count, is_number
from metarl.types import Spec

if TYPE_CHECKING:
    from torch import Tensor


def describe(
    method: str, family: str, spec: Spec, config: Any, *, steps: int, seconds: float
) -> dict[str, Any]:
    """Write down what a policy is for and how it came about, as JSON types.

    Args:
        method: The trainer's name.
        family: The family's.
        spec: Of the worlds it acts in.
        config: The trainer's frozen dataclass.
        steps: Control steps of training.
        seconds: Wall time of training [s].
    """
    return {
        "method": method,
        "family": family,
        "blocks": dict(spec.blocks),
        "action_dim": spec.action_dim,
        "config": dataclasses.asdict(config),
        "steps": steps,
        "seconds": seconds,
    }


def require_described(path: Path, meta: Any) -> None:
    """Check what a checkpoint says of itself, as far as `describe` or a run wrote it.

    Args:
        path: The file, for the message.
        meta: Its meta; whatever else it holds is its owner's business.
    Raises:
        CheckpointError: If something is of another type than was ever written.
    """
    if not isinstance(meta, dict):
        raise CheckpointError(f"{path} has a {type(meta).__name__} for its meta, expected a table")
    config = meta.get("config")
    known = config if isinstance(config, dict) else {}
    said = [(name, meta[name], _DESCRIBED[name]) for name in _DESCRIBED.keys() & meta.keys()]
    said += [(f"config.{name}", known[name], _CONFIG[name]) for name in _CONFIG.keys() & known]
    for name, value, (valid, what) in sorted(said, key=lambda row: row[0]):
        if not valid(value):
            raise CheckpointError(
                f"{path} says {name} is {str(value)[:80]!r}, expected {what}; it was not written"
                " by metarl, or was changed since: use another checkpoint"
            )


def _is_table(valid: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(valid, value.values()))


_Known = Mapping[str, tuple[Callable[[Any], bool], str]]
_TEXT = (lambda value: isinstance(value, str), "a text")
_COUNT = (is_count, "an integer >= 0")
_YES_OR_NO = (lambda value: type(value) is bool, "true or false")
_ANYTHING = (_is_table(lambda value: True), "a table")
_DESCRIBED: _Known = {
    "method": _TEXT,
    "family": _TEXT,
    "blocks": (_is_table(is_count), "a table of widths"),
    "action_dim": _COUNT,
    "config": _ANYTHING,
    "steps": _COUNT,
    "seconds": (lambda value: is_number(value) and value >= 0, "a number >= 0"),
    "step": _COUNT,
    "metrics": (_is_table(lambda v: v is None or is_number(v)), "a table of numbers"),
    "made-with": _ANYTHING,
    "interface": _ANYTHING,
}
_CONFIG: _Known = {
    "seed": (lambda value: type(value) is int and value >= 0, "an integer >= 0"),
    "task_visible": _YES_OR_NO,
    "squash": _YES_OR_NO,
    "normalised": _YES_OR_NO,
    "activation": _TEXT,
}


def annealed(config: Any, iteration: int, seconds: float) -> float:
    """Compute the share of a learning rate that is left near the end of a budget.

    Args:
        config: With ``iterations``, ``max_seconds`` [s] or None, and ``anneal``, the share of
            the budget, at its end, over which the rate falls linearly to 0.
        iteration: How many iterations are done.
        seconds: How long they took [s].
    Returns:
        In [0, 1].
    """
    left = 1.0 - spent(config, iteration, seconds)
    return max(0.0, min(1.0, left / config.anneal)) if config.anneal > 0.0 else 1.0


def spent(config: Any, iteration: int, seconds: float) -> float:
    """Compute the share of a budget that is spent, at least 0; arguments as for `annealed`."""
    share = iteration / config.iterations
    if config.max_seconds is not None:
        share = max(share, seconds / config.max_seconds)
    return share


def join(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Name a part's tensors ``PREFIX.NAME``, detached."""
    return {f"{prefix}.{name}": tensor.detach() for name, tensor in tensors.items()}


def part(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Pick the tensors that `join` named, by their own names."""
    start = f"{prefix}."
    return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
