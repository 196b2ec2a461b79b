"""From what a file says to a benchmark: names are checked, and what every table needs is put beside."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from metarl.adapt.protocol import Protocol
from metarl.benchmark.beside import with_beside
from metarl.benchmark.design import Arm, Benchmark, Checkpoints, Recipe, Start, StartOf, Table
from metarl.benchmark.parsing import Sections, checkpoints_of, seeds_of
from metarl.benchmark.sections import (
    ArmSection,
    FamilySection,
    OnSection,
    StartSection,
    place,
)
from metarl.errors import ConfigError, MetaRLError, UnknownNameError, shown
from metarl.methods import (
    adapting_config,
    defaults_of,
    get_adapting,
    get_training,
    method_names,
    takes_several,
    training_config,
    training_names,
)
from metarl.names import with_physics
from metarl.registry import family_class
from metarl.runs.config import configure, read_section, require_settings

_OWN = (
    "seed",
    "iterations",
    "max_seconds",
)  # of a config: a file says them elsewhere, or not at all


def define(sections: Sections, name: str, *, modules: Collection[str] | None = ()) -> Benchmark:
    """Hold a file against what is installed.

    Args:
        sections: What it says.
        name: The file's, for messages and where there is no title.
        modules: Modules that it may have imported for its families, as ``module:name``; None: families
            are not looked up, as where finished cells are read.
    Raises:
        ConfigError: If a name is unknown, a setting is none of its method's, or a place has no effect; the
            message names file and place.
    """
    try:
        return _define(sections, name, modules)
    except MetaRLError as error:
        raise ConfigError(f"{name}: {error}") from error


def _define(sections: Sections, name: str, modules: Collection[str] | None) -> Benchmark:
    file = sections.file
    tables = tuple(_table(sections, table, modules) for table in sections.families)
    met = {arm.name for table in tables for arm in table.arms}
    for arm in sections.arms:
        if arm not in met:
            raise ConfigError(f"{place('arms', arm)} meets no family; name it in arms of one")
    if modules is not None:
        for table in tables:  # what loads torch comes last: a mistake is told at once
            _require_whole(table)
    return Benchmark(file.title or Path(name).stem, file.about, tables, file.without)


def _require_whole(table: Table) -> None:
    """Check what the settings of a method must keep together, and that what it trains adapts."""
    if isinstance(table.start, Recipe):
        where = place("families", table.name, "start")
        _at(where, _configure, table.start.method, table.start.settings)
    for arm in table.arms:
        where = place("arms", arm.repeats or arm.name)
        if arm.trains:
            _at(where, get_adapting, arm.method)
            _at(where, _configure, arm.method, arm.settings)


def _configure(method: str, settings: Mapping[str, Any]) -> None:
    training = get_training(method)
    configure(training.config, {**defaults_of(training), **settings})


def _table(sections: Sections, name: str, modules: Collection[str] | None) -> Table:
    file, said, where = sections.file, sections.families[name], place("families", name)
    family = with_physics(said.family or name, file.physics or None)
    if modules is not None:
        _require_family(family, where, modules)
    protocol = Protocol(**{**file.protocol, **said.protocol})
    seeds = seeds_of(file.seeds, "seeds")
    if said.seeds is not None:
        seeds = seeds_of(said.seeds, f"{where}.seeds")
    start = _start(sections, name, said)
    names = said.arms or tuple(sections.arms)
    arms = [_arm(sections, arm, name, seeds) for arm in names if not sections.arms[arm].repeats]
    arms += [
        _repeating(sections.arms[arm], arm, arms) for arm in names if sections.arms[arm].repeats
    ]
    arms = with_beside(arms, seeds, file.without)
    if not arms:
        raise ConfigError(f"{where} has no arm; expected one at least")
    return Table(
        name=name, family=family, start=start, seeds=seeds, protocol=protocol, arms=tuple(arms),
        metric=said.metric, ceiling="ceiling" not in file.without,
    )  # fmt: skip


def _require_family(family: str, where: str, modules: Collection[str]) -> None:
    """Look a family up; what would be imported for it must be known to whoever runs the file."""
    module, colon, _ = family.partition(":")
    if colon and module not in modules:
        raise ConfigError(
            f"{where} is of the module {module}, and a file has nothing imported by itself; add --modules"
            f" {module} if you know it"
        )
    _at(where, family_class, family)


def _start(sections: Sections, name: str, said: FamilySection) -> Start:
    where = place("families", name, "start")
    if not isinstance(said.start, Mapping):
        return _named(sections, name, checkpoints_of(said.start, where), where)
    recipe = read_section(said.start, StartSection, where)
    _require_trains(recipe.method, where)
    _require_settings(training_config(recipe.method), recipe.settings, f"{where}.settings")
    before = None
    if recipe.start:
        before = _named(sections, name, (recipe.start,), f"{where}.start")
    return Recipe(
        method=recipe.method, iterations=recipe.iterations, settings=_values(recipe.settings),
        start=before,
    )  # fmt: skip


def _named(
    sections: Sections, table: str, names: Sequence[str], where: str
) -> Checkpoints | StartOf:
    """Tell another table's name from checkpoints."""
    if not names:
        raise ConfigError(
            f"{where} is empty; expected a checkpoint, a table's name, or how it is trained"
        )
    if names[0] not in sections.families:
        return Checkpoints(tuple(names))
    if len(names) > 1 or names[0] == table:
        raise ConfigError(
            f"{where} is {shown(names[0])}, a table; expected one other table, or checkpoints"
        )
    return StartOf(names[0])


def _require_trains(method: str, where: str) -> None:
    """Check that a method trains on one family."""
    if method not in training_names():
        if method in method_names():
            raise ConfigError(
                f"{where}: {method} trains nothing; expected one of {', '.join(training_names())}"
            )
        raise ConfigError(f"{where}: {UnknownNameError('method', method, training_names())}")
    if takes_several(method):
        raise ConfigError(
            f"{where}: {method} trains on several families at once; expected one that does not"
        )


def _arm(sections: Sections, name: str, table: str, seeds: tuple[int, ...]) -> Arm:
    said, where = sections.arms[name], place("arms", name)
    on = sections.on.get((name, table), OnSection())
    method = said.method or name
    if method not in method_names():
        hint = "" if said.method else "; an arm of another name says which it is with method = ..."
        raise ConfigError(f"{where}: {UnknownNameError('method', method, method_names())}{hint}")
    trains = method in training_names()
    checkpoint = checkpoints_of(on.checkpoint or said.checkpoint, f"{where}.checkpoint")
    here = place("arms", name, "on", table)
    _require_effect(said, trains, bool(said.checkpoint), where)
    _require_effect(on, trains, bool(checkpoint), here)
    if said.seeds is not None:
        seeds = seeds_of(said.seeds, f"{where}.seeds")
    if on.seeds is not None:
        seeds = seeds_of(on.seeds, f"{here}.seeds")
    _check_settings(method, trains, said.settings, f"{where}.settings")
    _check_settings(method, trains, on.settings, f"{here}.settings")
    settings = {**_values(said.settings), **_values(on.settings)}
    if trains:
        _require_trains(method, where)
    elif (config := adapting_config(method)) is not None:
        _at(where, configure, config, settings)
    if trains and checkpoint:  # of another training
        return Arm(name=name, method=method, seeds=seeds, trains=True, checkpoint=checkpoint)
    return Arm(
        name=name, method=method, seeds=seeds, settings=settings, trains=trains,
        iterations=on.iterations or said.iterations, fresh=said.fresh, checkpoint=checkpoint,
    )  # fmt: skip


def _require_effect(said: ArmSection | OnSection, trains: bool, given: bool, where: str) -> None:
    """Refuse what would change nothing in a section."""
    if trains and not given:
        return
    why = "the checkpoint is trained already" if trains else "a strategy trains nothing"
    of_training = ("iterations", "fresh", "settings") if trains else ("iterations", "fresh")
    for name in of_training:
        if getattr(said, name, None):
            raise ConfigError(f"{where}.{name} has no effect: {why}; leave it out")


def _check_settings(method: str, trains: bool, settings: Mapping[str, Any], where: str) -> None:
    cls = training_config(method) if trains else adapting_config(method)
    if cls is None:
        if settings:
            raise ConfigError(f"{where}: {method} takes no settings; leave them out")
        return
    _require_settings(cls, settings, where)


def _require_settings(cls: type[Any], settings: Mapping[str, Any], where: str) -> None:
    for name in _OWN:
        if name in settings:
            why = f"{name} stands above settings"
            if name == "max_seconds":
                why = "budgets are iterations, the same on every machine"
            raise ConfigError(f"{where}.{name}: {why}; leave it out")
    require_settings(cls, _values(settings), where)


def _values(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a file sets; TOML has no word for nothing, so that ``"none"`` stands for it."""
    return {name: None if value == "none" else value for name, value in settings.items()}


def _repeating(said: ArmSection, name: str, arms: Sequence[Arm]) -> Arm:
    """A control arm."""
    where = f"{place('arms', name)}.repeats"
    if said != ArmSection(repeats=said.repeats):
        raise ConfigError(
            f"{where} stands alone: a control is what it repeats, under another noise"
        )
    twin = next((arm for arm in arms if arm.name == said.repeats), None)
    if twin is None:
        raise ConfigError(
            f"{where}: {UnknownNameError('arm', said.repeats, [a.name for a in arms])}"
        )
    return dataclasses.replace(twin, name=name, repeats=twin.name)


def _at(where: str, check: Any, *values: Any) -> None:
    """Check something; what is wrong is told with its place in the file."""
    try:
        check(*values)
    except MetaRLError as error:
        raise ConfigError(f"{where}: {error}") from error
