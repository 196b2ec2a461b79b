"""Methods by name: how something is trained, how it meets new tasks, or both.

One module each, imported only when it is asked for. A method from outside is a `Method` in any
module, named in the entry-point group ``metarl.methods`` of its package.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metarl.built_in import CONFIGS, RULES, SETTINGS, SEVERAL, SPLIT, STRATEGIES, TRAINED
from metarl.errors import ConfigError, UnknownNameError, describe, is_interrupt
from metarl.plugins import entry_points

GROUP = "metarl.methods"

_BUILT_IN = {**TRAINED, **STRATEGIES}
USUAL_STRATEGY = "fine-tune"  # of what was not trained to adapt
SCRATCH, TAUGHT = "scratch", "-dagger"  # the baseline; behind a strategy that an expert teaches


@dataclass(frozen=True)
class Training:
    """How a method trains a policy on a family's training tasks.

    Args:
        config: A frozen dataclass of everything that decides what a run computes, a child of
            `metarl.learn.config.TrainConfig`.
        trainer: Makes a `metarl.learn.loop.Trainer` from ``(family, config, initial=None,
            num_threads=0)``.
        settings: Fields of the config whose defaults this method changes.
        needs: What it cannot do without, in a few words; empty: nothing.
        variants: For fields of the config, and for each of their values, which other fields that value
            asks to have other defaults.
        several: Whether it trains on several families at once: its trainer takes a sequence of them, has
            them as ``families``, and says in ``said`` what they share.
        splits: Whether workers may share an iteration's tasks: its trainer then has a method
            ``split_over``, as `metarl.meta.maml.maml.MamlTrainer`.
    """

    config: type[Any]
    trainer: Callable[..., Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    needs: str = ""
    variants: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    several: bool = False
    splits: bool = False


@dataclass(frozen=True)
class Adapting:
    """How a method meets new tasks.

    Args:
        start: Makes a `metarl.adapt.adaptation.Adaptation` from ``(checkpoint, meeting, config)``:
            a `metarl.runs.checkpoint.Checkpoint`, a `metarl.adapt.meeting.Meeting`, and one of
            `config`, or None.
        config: A frozen dataclass of its settings; None: it has none, and goes as it was trained.
        needs: What it cannot do without, in a few words; empty: any checkpoint will do.
        strategy: A child of `metarl.transfer.strategy.Strategy` where it is that and no more: PPO and
            pictures then learn by it too.
    """

    start: Callable[[Any, Any, Any], Any]
    config: type[Any] | None = None
    needs: str = ""
    strategy: Any = None


@dataclass(frozen=True)
class Method:
    """One way to train, to meet new tasks, or both.

    What has a training adapts what it trained itself; what has none adapts any policy, and is a
    strategy.

    Args:
        doc: One line.
        training: How it trains; None: it does not.
        adapting: How it meets new tasks; None: what it trained is adapted by a strategy.
        source: Where it was published: author, year, where.
        acting: Makes a `metarl.types.Act` from ``(checkpoint, worlds)``, where what it trained acts by
            more than observations and meets no new tasks; None: its policy acts on these alone.
    """

    doc: str
    training: Training | None = None
    adapting: Adapting | None = None
    source: str = ""
    acting: Callable[[Any, Any], Any] | None = None


def method_names() -> list[str]:
    """List every method, built in or from outside, in alphabetical order."""
    return sorted({**_outside(), **_BUILT_IN})


def training_names() -> list[str]:
    """List what can be trained, in alphabetical order; one from outside that is broken counts."""
    return [name for name in method_names() if name in TRAINED or _may(name, "training")]


def strategy_names() -> list[str]:
    """List what adapts any policy, in alphabetical order; one from outside that is broken counts."""
    return [name for name in method_names() if name in STRATEGIES or _may(name, "strategy")]


def rule_names() -> list[str]:
    """List the strategies that are rules over a network's tensors and no more, in alphabetical order:
    PPO and pictures learn by them too."""
    outside = {name for name in strategy_names() if name not in STRATEGIES}
    return sorted({*RULES, *(name for name in outside if _rules_of(name) is not None)})


def rules_config(name: str) -> type[Any]:
    """Look up what can be set of such a strategy alone, without loading more than it.

    Raises:
        UnknownNameError: If there is no such strategy; the message lists the valid ones.
    """
    if name in RULES:
        module = importlib.import_module("metarl.transfer.config")
        return getattr(module, RULES[name][1] or "Settings")
    return rules_of(name).config


def rules_of(name: str) -> Any:
    """Look up such a strategy: a child of `metarl.transfer.strategy.Strategy`.

    Raises:
        UnknownNameError: If there is none; the message lists the valid ones.
    """
    found = _rules_of(name) if name in strategy_names() else None
    if found is None:
        raise UnknownNameError("strategy", name, rule_names())
    return found


def _rules_of(name: str) -> Any:
    try:
        adapting = get_method(name).adapting
    except ConfigError:  # one from outside that is broken
        return None
    found = None if adapting is None else adapting.strategy
    return found if found is not None and found.name == name else None


def get_method(name: str) -> Method:
    """Import a method.

    Raises:
        UnknownNameError: If there is none of that name; the message lists the valid ones.
        ConfigError: If a method from outside cannot be imported, or is no `Method`.
    """
    found = {**_outside(), **_BUILT_IN}.get(name)
    if found is None:
        raise UnknownNameError("method", name, method_names())
    module, _, attribute = found.partition(":")
    if name in _BUILT_IN:
        method = getattr(importlib.import_module(module), attribute)
    else:
        method = _import_outside(name, module, attribute)
    if not isinstance(method, Method):
        raise ConfigError(f"method {name!r}: {found} is no metarl.methods.Method but {method!r}")
    return method


def _import_outside(name: str, module: str, attribute: str) -> Any:
    try:
        return getattr(importlib.import_module(module), attribute)
    except BaseException as error:  # whatever a stranger's module raises, SystemExit included
        if is_interrupt(error):
            raise
        said = describe(error, module.partition(".")[0])
        raise ConfigError(
            f"method {name!r} cannot be imported from {module}:{attribute}: {said}"
        ) from error


def get_training(name: str) -> Training:
    """Look up how a method trains.

    Raises:
        UnknownNameError: If there is no such method.
        ConfigError: If it trains nothing; the message lists what does.
    """
    training = get_method(name).training
    if training is None:
        raise ConfigError(
            f"{name} trains nothing, it adapts what others trained: metarl adapt ... --strategy"
            f" {name}; expected one of {', '.join(training_names())}"
        )
    return training


def training_config(name: str) -> type[Any]:
    """Look up the config of a method that trains; of one that is built in without loading torch.

    Raises:
        UnknownNameError: If there is no such method.
        ConfigError: If it trains nothing; the message lists what does.
    """
    if name not in CONFIGS:
        return get_training(name).config
    module, _, attribute = CONFIGS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def get_adapting(name: str) -> Adapting:
    """Look up how a method meets new tasks.

    Raises:
        UnknownNameError: If there is no such method.
        ConfigError: If it has no way of its own; the message lists the strategies.
    """
    adapting = get_method(name).adapting
    if adapting is None:
        raise ConfigError(
            f"{name!r} has no adaptation of its own; expected one of {', '.join(strategy_names())}"
        )
    return adapting


def takes_several(name: str) -> bool:
    """Whether a method trains on several families at once; of one that is built in without loading it."""
    return name in SEVERAL if name in TRAINED else get_training(name).several


def require_families(name: str, families: Sequence[str]) -> None:
    """Check that a method trains on as many families, before any is loaded.

    Raises:
        UnknownNameError: If there is no such method.
        ConfigError: If it takes one, or one stands there twice.
    """
    if len(families) != 1 and not takes_several(name):
        raise ConfigError(
            f"method {name} trains on one family, not on {len(families)}; for several use --method"
            f" {' or '.join(SEVERAL)}"
        )
    twice = [family for family in families if families.count(family) > 1]
    if twice or not families:
        said = f"family {twice[0]} stands there twice" if twice else "there is no family"
        raise ConfigError(f"{said}; expected families, each once")


def require_split(name: str) -> None:
    """Check that workers may share the tasks of a method, of one that is built in without loading it.

    Raises:
        UnknownNameError: If there is no such method.
        ConfigError: If they may not; the message says of which they may.
    """
    if not (name in SPLIT if name in TRAINED else get_training(name).splits):
        raise ConfigError(
            f"the tasks of {name} cannot be split over workers yet; leave --ray out, or train by one of"
            f" {', '.join(SPLIT)}"
        )


def adapting_config(name: str) -> type[Any] | None:
    """Look up the config of how a method meets new tasks, without loading more than it.

    Raises:
        UnknownNameError: If there is no such method.
        ConfigError: If it has no way of its own.
    """
    if name not in SETTINGS:
        return get_adapting(name).config
    module, _, attribute = SETTINGS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def adapting_of(meta: Mapping[str, Any]) -> Adapting | None:
    """Find the way in which what a checkpoint holds adapts, if its method has one of its own.

    Args:
        meta: The checkpoint's; one that names no method holds a plain policy.
    Raises:
        UnknownNameError: If it is of a method that is not installed.
    """
    return get_method(meta["method"]).adapting if "method" in meta else None


def acting_of(meta: Mapping[str, Any]) -> Callable[[Any, Any], Any] | None:
    """Find what makes a checkpoint's policy act, if its method has something of its own.

    Args:
        meta: The checkpoint's.
    Raises:
        UnknownNameError: If it is of a method that is not installed.
    """
    return get_method(meta["method"]).acting if "method" in meta else None


def choose_adapting(meta: Mapping[str, Any], strategy: str | None = None) -> str:
    """Choose by name how a checkpoint adapts.

    Args:
        meta: The checkpoint's.
        strategy: What is asked for; None: the way it was trained for, or `USUAL_STRATEGY`.
    """
    if strategy is not None:
        return strategy
    return USUAL_STRATEGY if adapting_of(meta) is None else meta["method"]


def defaults_of(training: Training) -> dict[str, Any]:
    """The fields of a training's config, as the method sets them where nobody else does."""
    fields = {f.name: f.default for f in dataclasses.fields(training.config)}
    return {**fields, **training.settings}


def _may(name: str, kind: str) -> bool:
    """Whether a method from outside is of a kind."""
    if name in _BUILT_IN:
        return False
    try:
        method = get_method(name)
    except ConfigError:
        return True
    return (method.training is not None) == (kind == "training")


def _outside() -> dict[str, str]:
    return {entry.name: entry.value for entry in entry_points(group=GROUP)}
