"""Train a policy by any method: what `metarl train` runs."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metarl.ambient import steady
from metarl.cluster.instance import Cluster
from metarl.errors import ConfigError, counted, printable, require, shown
from metarl.learn.config import require_fits
from metarl.learn.following import (
    by_strategy,
    require_no_start,
    require_start,
    require_strategy,
    usual_exploration,
)
from metarl.learn.start import Start, start_from
from metarl.machine import require_device
from metarl.methods import (
    Training,
    defaults_of,
    get_training,
    require_families,
    require_split,
)
from metarl.names import (
    full_name,
    physics_of,
    says_physics,
    split_name,
    with_physics,
    without_physics,
)
from metarl.registry import make_family
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.command import own_command
from metarl.runs.config import CONFIG_FILE, NO_FIELDS, configure, read_json
from metarl.runs.run import WORKERS, latest_checkpoint

_MANY = 1_000_000  # iterations of a run that ends by the clock


@steady(num_threads=1)  # small networks: a second thread gains nothing, and stalls when busy
def train(
    family: str | Sequence[str],
    method: str,
    *,
    seed: int | None = None,
    max_seconds: float | None = None,
    iterations: int | None = None,
    out: Path | str,
    resume: bool = False,
    backend: str | None = None,
    device: str | None = None,
    start: Path | str | Checkpoint | None = None,
    mapping: Sequence[str] = (),
    names: Sequence[str] = (),
    statistics: Path | str | None = None,
    strategy: str | None = None,
    num_threads: int = 0,
    ray: str | None = None,
    workers: int | None = None,
    physics: str | None = None,
    **options: Any,
) -> Path:
    """Train a policy in a run folder.

    Args:
        family: Name of the family, or names of several, for a method that takes them.
        method: One of `metarl.methods.training_names`.
        seed: Of everything that is drawn; None: 0.
        max_seconds: Training time [s]; None: the method's own budget.
        iterations: Iterations; None: the method's own number.
        out: The run folder.
        resume: Go on with the run in it, by default to the end of its own budget; what is not given
            is as the run has it, its physics as well.
        backend: ``torch`` or ``learn2learn``, for methods that differentiate an inner loop; None:
            ``torch``.
        device: Where the networks live; None: the CPU.
        start: A policy to start from, of this or another family or of others, as
            `metarl.sources.read_source` takes it; the networks take its widths, and what it learned
            of blocks that this family observes too.
        mapping: Which of its columns and actions go where, as for `metarl.sources.carry`.
        names: Which tensor of a file of others is which, as for `metarl.sources.read_source`.
        statistics: Of the observations in such a file, likewise.
        strategy: What of the policy is taken, and how it learns, one of `metarl.methods.rule_names`;
            None: everything goes on learning.
        num_threads: Physics threads; 0 takes every core. It changes no result.
        ray: Split the tasks of every iteration over workers on Ray: ``local``, on this machine, or a
            cluster's address, as for `metarl.cluster.instance.Cluster`. Results are the same up to the
            order in which numbers are added up. None: without Ray.
        workers: How many; None: one a core, and one a task at most.
        physics: What moves the worlds of every family, one of `metarl.physics.PHYSICS`; None: as their
            names say, else as the run that is resumed has it, else MuJoCo.
        options: Other fields of the method's config, and of the strategy's.
    Returns:
        The newest checkpoint.
    Raises:
        UnknownNameError: If there is no such method or strategy.
        ConfigError: If an option is unknown, of another type, out of range, or without effect.
    """
    out = Path(out)
    start = Path(start) if isinstance(start, str) else start
    statistics = Path(statistics) if isinstance(statistics, str) else statistics
    training = get_training(method)
    if strategy is not None:
        require_strategy(training.config, method, strategy)
    if device is not None:
        require_device(device)
    cluster = _cluster(ray, workers, method)
    names_given = [family] if isinstance(family, str) else list(family)
    if physics is not None:
        names_given = [with_physics(name, physics) for name in names_given]
    elif resume:
        names_given = _as_before(out, names_given)
    require_families(method, names_given)
    families = [make_family(name) for name in names_given]
    made, began = families[0], None
    saved = _saved(out) if resume else None
    given = _given(seed=seed, device=device, backend=backend, strategy=strategy)
    asked = {**by_strategy(training.config, options, strategy, saved), **given}
    if saved is not None:
        _require_same_run(out, method, " + ".join(each.id for each in families))
    elif start is not None:
        require_no_start(method)
        began = start_from(
            start, made, mapping=mapping, names=names, statistics=statistics, seed=seed or 0
        )
    else:
        require_start(asked)
    config = configure(
        training.config,
        {
            **_defaults(training, asked, began),
            **(saved or {}),
            **asked,
            **_budget(iterations, max_seconds),
        },
    )
    require_fits(config, sum(each.horizon for each in families))
    if config.normalised and began is None and saved is None:
        raise ConfigError("normalised is True; only a policy to start from brings statistics along")
    began = began and began.under(config)
    from rich.console import Console

    from metarl.learn.loop import train as run_loop
    from metarl.nn.policy import LOG_STD_RANGE

    initial = None if began is None else began.tensors
    trained_on = families if training.several else made
    trainer = training.trainer(trained_on, config, initial=initial, num_threads=num_threads)
    trainer.method = method  # several may share a trainer
    console = Console(stderr=True)
    low, high = LOG_STD_RANGE
    spread = getattr(config, "log_std", None)
    if spread is not None and not low <= spread <= high:
        console.print(
            f"log_std {spread:g} acts as {low if spread < low else high:g}: a policy's spread stays"
            f" within {low:g} .. {high:g}",
            soft_wrap=True,
        )
    if training.several:
        console.print(printable(trainer.said), markup=False, highlight=False, soft_wrap=True)
    if began is not None:
        console.print(
            "\n".join(map(printable, str(began).split("\n"))),
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    with cluster or contextlib.nullcontext():
        if cluster is not None:
            split = trainer.split_over(cluster, names_given[0], workers)
            console.print(_tell(split, _workers_before(out) if resume else None), soft_wrap=True)
        run_loop(
            trainer,
            out,
            resume=resume,
            command=own_command(),
            console=console,
            start=began,
        )
    latest = latest_checkpoint(out)
    assert latest is not None  # the loop has just saved one
    return out / "checkpoints" / f"step-{latest[0]:08d}.safetensors"


def _cluster(ray: str | None, workers: int | None, method: str) -> Cluster | None:
    """Where workers are to be, if there are any; nothing is started yet.

    Raises:
        MissingDependencyError: If Ray is asked for and not installed.
        ConfigError: If the address is none, the method cannot be split, or nobody asked for Ray.
    """
    require_workers(ray, workers)
    if ray is None:
        return None
    require_split(method)
    return Cluster(ray, workers, goes_on="what is saved goes on with --resume")


def require_workers(ray: str | None, workers: int | None) -> None:
    """Check that workers have somewhere to be.

    Raises:
        ConfigError: If there is no Ray, or no worker.
    """
    if ray is None and workers is not None:
        raise ConfigError("--workers has no effect without --ray; add --ray, or leave it out")
    require(workers is None or workers >= 1, "workers", workers, "an integer >= 1")


def _workers_before(folder: Path) -> int | None:
    """How many workers did the newest checkpoint of a run, 0 if none; None: there is no checkpoint."""
    latest = latest_checkpoint(folder)
    return None if latest is None else latest[1].meta.get(WORKERS, 0)


def _tell(split: Any, before: int | None) -> str:
    """Say how tasks are split, and if that was otherwise before."""
    if before in (None, split.size):
        return str(split)
    were = "no workers" if not before else counted(before, "worker")
    return (
        f"{split}; this run had {were} before: numbers are the same up to the order in which they are"
        " added up"
    )


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def require_effect(config: type[Any], backend: str | None) -> None:
    """Refuse a backend where nothing asks for one.

    Raises:
        ConfigError: If the config has no such field.
    """
    if backend is not None and "backend" not in {f.name for f in dataclasses.fields(config)}:
        raise ConfigError(
            f"backend {backend!r} has no effect: this method differentiates no inner loop; leave it"
            " out"
        )


def _defaults(training: Training, asked: Mapping[str, Any], began: Start | None) -> dict[str, Any]:
    """What the fields are that nobody gave: the method's own, those of a backend, of a start."""
    require_effect(training.config, asked.get("backend"))
    usual, found = defaults_of(training), dict[str, Any]()
    for name, values in training.variants.items():
        found |= values.get(asked.get(name, usual[name]), {})
    found |= training.settings
    if began is not None:
        found |= began.network  # another one would leave next to nothing of it
    if began is not None and "exploration" in {f.name for f in dataclasses.fields(training.config)}:
        found["exploration"] = usual_exploration(began, asked)
    return found


def _budget(iterations: int | None, max_seconds: float | None) -> dict[str, Any]:
    """The fields of the budget that are given."""
    if iterations is None and max_seconds is None:
        return {}
    if iterations is not None:
        return {"iterations": iterations, "max_seconds": max_seconds}
    return {"iterations": _MANY, "max_seconds": max_seconds}


def _saved(folder: Path) -> dict[str, Any] | None:
    """The config of the run in a folder, by field; None if there is none."""
    if not (folder / CONFIG_FILE).exists():
        return None
    saved = read_json(folder / CONFIG_FILE)
    return {name: value for name, value in saved.items() if name not in NO_FIELDS}


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


def _as_before(folder: Path, names: Sequence[str]) -> list[str]:
    """Names whose physics is that of the run in a folder, where they do not say one."""
    latest = latest_checkpoint(folder)
    was = None if latest is None else latest[1].meta.get("family")
    if not isinstance(was, str):
        return list(names)
    known = was.split(" + ")
    given = [without_physics(name) for name in names]
    bare = [full_name(base.rpartition(":")[2], more) for base, more in map(split_name, given)]
    if [*map(without_physics, known)] != bare:
        return list(names)
    return [
        name if says_physics(name) else with_physics(name, physics_of(of))
        for name, of in zip(names, known)
    ]


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
        except (ValueError, RecursionError) as error:  # thousands of digits or of brackets
            raise ConfigError(
                f"setting {shown(pair)}; expected a value of a sane length"
            ) from error
    return settings


def setting_text(value: Any) -> str:
    """Write a JSON value as `parse_settings` reads it, without spaces: ``1e-05``, ``[64,64]``, ``tanh``."""
    if isinstance(value, str) and value.isidentifier():
        [read] = parse_settings([f"_={value}"]).values()
        if read == value:
            return value
    return json.dumps(value, separators=(",", ":"))
