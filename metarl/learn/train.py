"""Train a policy by any method: what `metarl train` runs."""

from __future__ import annotations

import dataclasses
import inspect
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metarl.errors import ConfigError
from metarl.family import TaskFamily
from metarl.methods import get_method
from metarl.registry import make_family, split_name
from metarl.runs.config import CONFIG_FILE, describe_config, load_config, read_json
from metarl.runs.run import latest_checkpoint
from metarl.runs.trained import part

# What learn2learn's plainest learner can do: one fixed rate for all parameters.
PLAIN = {
    "inner_rate": 0.01,
    "learn_rates": False,
    "context_rate": None,
    "context_std": None,
    "inner_clip": None,
}


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
        method: One of `metarl.methods.method_names`.
        seed: Of everything that is drawn.
        max_seconds: Training time [s]; None: the method's own budget.
        iterations: Iterations; None: the method's own number.
        out: The run folder.
        resume: Go on with the run in it, by default to the end of its own budget.
        backend: ``torch`` or ``learn2learn``, for methods that differentiate an inner loop.
        device: Where the networks live.
        start: Checkpoint of a policy to start from, of this or another family; the networks
            take its widths, and what it learned of blocks that this family observes too.
        options: Other fields of the method's config.
    Returns:
        The newest checkpoint.
    Raises:
        UnknownNameError: If there is no such method.
        ConfigError: If an option is unknown, of another type, or out of range.
    """
    found = get_method(method)
    require_device(device)
    if resume and iterations is None and max_seconds is None:
        iterations, max_seconds = _budget_of(out)
    import torch
    from rich.console import Console

    from metarl.learn.loop import train as run_loop

    torch.set_num_threads(1)  # small networks: a second thread gains nothing, and stalls when busy
    config_class = found.config
    given: dict[str, Any] = {
        **found.settings,
        "seed": seed,
        "device": device,
        "max_seconds": max_seconds,
    }
    if "backend" in {f.name for f in dataclasses.fields(config_class)}:
        given["backend"] = backend
        if backend == "learn2learn":
            given = {**PLAIN, **given}  # what a method is made of stays
    if iterations is not None:
        given["iterations"] = iterations
    elif max_seconds is not None:
        given["iterations"] = 1_000_000
    made = make_family(family)
    initial, hidden = _initial(start, made)
    if hidden is not None:
        given["hidden"] = list(hidden)  # other widths would leave next to nothing of the start
    defaults = describe_config(config_class())
    config = load_config({**defaults, **given, **options}, config_class)
    trainer = found.trainer(made, config, initial=initial)
    trainer.method = method  # several may share a trainer
    if resume:
        _require_same_run(out, method, trainer.family.id)
    run_loop(
        trainer,
        out,
        resume=resume,
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),  # no folder of this machine
        console=Console(stderr=True),
    )
    latest = latest_checkpoint(out)
    assert latest is not None  # the loop has just saved one
    return out / "checkpoints" / f"step-{latest[0]:08d}.safetensors"


def require_device(device: str) -> None:
    """Check that networks can live on a device.

    Raises:
        ConfigError: If torch knows no such device, or finds none here.
    """
    import torch

    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise ConfigError(f"device is {device!r}; expected cpu, cuda or cuda:N") from error
    if kind == "cuda":
        index, count = torch.device(device).index or 0, torch.cuda.device_count()
        if index >= count:
            raise ConfigError(f"device is {device!r}; torch finds {count} GPUs here; use cpu")


def _budget_of(folder: Path) -> tuple[int | None, float | None]:
    """Iterations and seconds of the run in a folder; (None, None) if there is none."""
    if not (folder / CONFIG_FILE).exists():
        return None, None
    saved = read_json(folder / CONFIG_FILE)
    return saved.get("iterations"), saved.get("max_seconds")


def _require_same_run(folder: Path, method: str, family: str) -> None:
    """Refuse to go on with the run of another method or family.

    Raises:
        ConfigError: If its newest checkpoint says so.
    """
    latest = latest_checkpoint(folder)
    if latest is None:
        return
    was = latest[1].meta.get("method"), latest[1].meta.get("family")
    if was != (method, family):
        raise ConfigError(
            f"{folder} is a run of {was[0]} on {was[1]}, not of {method} on {family}; go on with"
            " that, or give another --out"
        )


def parse_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """Read ``NAME=VALUE`` pairs; values are JSON (``1e-3``, ``true``, ``[64, 64]``) or text.

    Raises:
        ConfigError: If there is no ``=``, a name comes twice, or `train` has an argument for it.
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name or name in settings:
            raise ConfigError(f"setting {pair!r}; expected NAME=VALUE, each name once")
        if name in inspect.signature(train).parameters:
            raise ConfigError(f"setting {pair!r}: {name} has an option of its own")
        try:
            settings[name] = json.loads(text)
        except json.JSONDecodeError:
            settings[name] = text
    return settings


def _initial(
    start: Path | None, family: TaskFamily[Any]
) -> tuple[dict[str, Any] | None, tuple[int, ...] | None]:
    """The policy's tensors of a checkpoint, as a family observes, and the widths of its layers."""
    if start is None:
        return None, None
    from metarl.nn.surgery import carry_blocks
    from metarl.runs.policies import read_checkpoint
    from metarl.sim.worlds import Worlds

    found = read_checkpoint(start)
    hidden = found.meta.get("config", {}).get("hidden")
    tensors = part("policy", found.tensors)
    if there := found.meta.get("blocks"):
        strange = split_name(found.meta.get("family", ""))[0] != split_name(family.id)[0]
        here = Worlds(family, 1).spec.blocks
        tensors = carry_blocks(tensors, there, here, strange=("task",) if strange else ())
    return tensors, None if hidden is None else tuple(hidden)
