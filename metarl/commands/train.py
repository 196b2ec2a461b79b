"""`metarl train`: names are checked before anything slow is loaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metarl.cluster.instance import require_ray
from metarl.commands.output import say
from metarl.commands.policies import require_source, tell_changes
from metarl.errors import ConfigError, UnknownNameError, unknown
from metarl.machine import require_device
from metarl.methods import (
    require_families,
    require_split,
    rules_config,
    strategy_names,
    training_config,
    training_names,
)
from metarl.names import slug, with_physics
from metarl.registry import family_class, make_family
from metarl.runs.shipped import find_checkpoint


def train(
    family: tuple[str, ...],
    method: str,
    *,
    seed: int | None,
    max_seconds: float | None,
    iterations: int | None,
    out: Path | None,
    resume: bool,
    backend: str | None,
    device: str | None,
    start: Path | None,
    strategy: str | None,
    strict: bool,
    workers: int | None,
    ray: str | None,
    map: tuple[str, ...],
    names: tuple[str, ...],
    statistics: Path | None,
    set: tuple[str, ...],
    physics: str | None = None,
) -> int:
    """Train a policy on the training tasks of a family, or of several.

    Returns:
        The exit status.
    Raises:
        MetaRLError: If a name is unknown, a value out of range, or training cannot go on.
    """
    settings = _settings_of(method, set, backend, family[0] if family else "FAMILY", strategy)
    require_families(method, family)
    if ray is not None:
        require_split(method)
        require_ray(ray)
    moved = tuple(with_physics(name, physics) for name in family)
    require_source(start is not None, "no --from", map, names, statistics)
    from metarl.learn.config import require_fits
    from metarl.learn.following import require_no_start, require_start
    from metarl.learn.train import require_workers
    from metarl.runs.config import CONFIG_FILE, configure

    require_workers(ray, workers)
    horizon = sum(family_class(name).horizon for name in moved)
    if device is not None:
        require_device(device)
    if not resume:
        asked = {**settings, "strategy": strategy} if strategy is not None else settings
        if start is None:
            require_start(asked)
        require_fits(configure(training_config(method), asked), horizon)
    if start is not None:
        require_no_start(method)
        start = find_checkpoint(start, family[0])
    from metarl.learn.train import train as train_policy

    folder = out or default_folder(moved, method, seed or 0, strategy)
    if resume and not (folder / CONFIG_FILE).exists():
        say(f"no run in {folder} to go on with; starting one")
    elif resume and start is not None:
        say(f"{folder} goes on from its own checkpoint; --from {start} plays no part any more")
    source: dict[str, Any] = {"names": names, "statistics": statistics}
    _tell_changes(folder, resume, start, family, source, strict=strict)
    written = train_policy(
        family,
        method,
        seed=seed,
        max_seconds=max_seconds,
        iterations=iterations,
        out=folder,
        resume=resume,
        backend=backend,
        device=device,
        start=start,
        mapping=map,
        **source,
        strategy=strategy,
        ray=ray,
        workers=workers,
        physics=physics,
        **settings,
    )
    say(f"wrote {written}")
    return 0


def _tell_changes(
    folder: Path,
    resume: bool,
    start: Path | None,
    families: tuple[str, ...],
    source: dict[str, Any],
    *,
    strict: bool,
) -> None:
    """Say if what a training begins with was trained on a family that has changed since."""
    from metarl.runs.run import latest_checkpoint
    from metarl.runs.several import of_family
    from metarl.sources import read_source

    latest = latest_checkpoint(folder) if resume else None
    if latest is not None:
        for family in map(make_family, families):
            tell_changes(of_family(latest[1], family), family, strict=strict)
    elif start is not None:
        made = make_family(families[0])
        tell_changes(read_source(start, family=made, **source), made, strict=strict)


def _settings_of(
    method: str, pairs: tuple[str, ...], backend: str | None, family: str, strategy: str | None
) -> dict[str, Any]:
    """Check a method's name and what is set of it, before its family or torch are loaded."""
    if method not in (names := training_names()):
        if method in strategy_names():
            raise ConfigError(
                f"{method} trains nothing, it adapts what others trained: metarl adapt CHECKPOINT"
                f" {family} --strategy {method}; to train, choose one of {', '.join(names)}"
            )
        raise UnknownNameError("method", method, names)
    from metarl.learn.following import by_strategy, require_strategy
    from metarl.learn.train import parse_settings, require_effect
    from metarl.runs.config import require_settings

    settings, config = parse_settings(pairs), training_config(method)
    if strategy is not None:
        require_strategy(config, method, strategy)
        own = rules_config(strategy)
        valid = {f.name for f in (*dataclasses.fields(config), *dataclasses.fields(own))}
        for name in settings:
            if name not in valid:
                raise ConfigError(f"--set: {unknown('setting', name, valid)}")
        settings = by_strategy(config, settings, strategy)
        require_settings(own, settings.get("strategy_settings", {}))
    require_settings(config, settings)
    require_effect(config, backend)
    return settings


def default_folder(
    families: Sequence[str], method: str, seed: int, strategy: str | None = None
) -> Path:
    """Name a run's folder, for example ``runs/kitchen-season-maml-s0``; of many families by the first."""
    how = method if strategy is None else f"{method}-{strategy}"
    names = "-".join(map(slug, families))
    if len(names) > _LONGEST:
        names = f"{slug(families[0])}-and-{len(families) - 1}-more"
    return Path("runs") / f"{names}-{how}-s{seed}"


_LONGEST = 80  # letters of families in a folder's name
