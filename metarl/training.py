"""Methods by name: what `metarl train --method NAME` runs."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from metarl.errors import UnknownNameError
from metarl.registry import make_family
from metarl.runs import latest_checkpoint


def _ppo(family: Any, options: dict[str, Any], initial: Any) -> Any:
    from metarl.rl.ppo import PpoConfig, PpoTrainer

    options.pop("backend", None)
    return PpoTrainer(family, PpoConfig(**options), initial=initial)


def _maml(family: Any, options: dict[str, Any], initial: Any) -> Any:
    from metarl.meta.maml import MamlConfig, MamlTrainer

    if options.get("backend") == "learn2learn":
        plain = {"learn_rates": False, "context_rate": None, "inner_clip": None}
        options = {"inner_rate": 0.01, **options, **plain}
    return MamlTrainer(family, MamlConfig(**options), initial=initial)


METHODS: dict[str, Callable[[Any, dict[str, Any], Any], Any]] = {"ppo": _ppo, "maml": _maml}


def train(
    family: str,
    method: str,
    *,
    seed: int = 0,
    max_seconds: float | None = None,
    iterations: int | None = None,
    out: Path,
    resume: bool = False,
    backend: str = "torch",
    device: str = "cpu",
    start: Path | None = None,
    **options: Any,
) -> Path:
    """Train a policy in a run folder.

    Args:
        family: Name of the family.
        method: ``ppo`` or ``maml``.
        seed: Of everything that is drawn.
        max_seconds: Training time [s]; None: the method's own budget.
        iterations: Iterations; None: the method's own number.
        out: The run folder.
        resume: Go on with the run in it.
        backend: ``torch`` or ``learn2learn``, for methods that differentiate an inner loop.
        device: Where the networks live.
        start: Checkpoint of a policy to start from; the networks take its widths.
        options: Other fields of the method's config.
    Returns:
        The newest checkpoint.
    Raises:
        UnknownNameError: If there is no such method.
    """
    if method not in METHODS:
        raise UnknownNameError("method", method, METHODS)
    import torch
    from rich.console import Console

    from metarl.training_loop import train as run_loop

    torch.set_num_threads(1)  # small networks: a second thread gains nothing, and stalls when busy
    given = {"seed": seed, "device": device, "backend": backend, "max_seconds": max_seconds}
    if iterations is not None:
        given["iterations"] = iterations
    elif max_seconds is not None:
        given["iterations"] = 1_000_000
    initial, hidden = _initial(start)
    if hidden is not None:
        given["hidden"] = hidden  # other widths would leave next to nothing of the start
    trainer = METHODS[method](make_family(family), {**given, **options}, initial)
    run_loop(
        trainer,
        out,
        resume=resume,
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),  # no folder of this machine
        console=Console(stderr=True),
    )
    found = latest_checkpoint(out)
    assert found is not None  # the loop has just saved one
    return out / "checkpoints" / f"step-{found[0]:08d}.safetensors"


def _initial(start: Path | None) -> tuple[dict[str, Any] | None, tuple[int, ...] | None]:
    """The policy's tensors of a checkpoint, and the widths of its layers."""
    if start is None:
        return None, None
    from metarl.policies import read_checkpoint

    found = read_checkpoint(start)
    hidden = found.meta.get("config", {}).get("hidden")
    prefix = "policy."
    tensors = {n.removeprefix(prefix): t for n, t in found.tensors.items() if n.startswith(prefix)}
    return tensors, None if hidden is None else tuple(hidden)
