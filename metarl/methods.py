"""Methods of learning by name: one module each, imported only when it is asked for.

A method from outside is a `Method` in any module, named in the entry-point group
``metarl.methods`` of its package.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any

from metarl.errors import ConfigError, UnknownNameError

GROUP = "metarl.methods"

# Name -> where the method is, as in an entry point.
_BUILT_IN = {
    "ppo": "metarl.rl.ppo:METHOD",
    "dagger": "metarl.rl.dagger:METHOD",
    "maml": "metarl.meta.maml.maml:MAML",
    "maml-trpo": "metarl.meta.maml.trust_region:METHOD",
    "promp": "metarl.meta.maml.promp:METHOD",
    "reptile": "metarl.meta.maml.reptile:METHOD",
    "meta-sgd": "metarl.meta.maml.meta_sgd:METHOD",
    "anil": "metarl.meta.maml.anil:METHOD",
    "rl2": "metarl.meta.rl2.trainer:METHOD",
    "pearl": "metarl.meta.pearl.trainer:METHOD",
    "meta-critic": "metarl.meta.critic.trainer:METHOD",
}


@dataclass(frozen=True)
class Method:
    """How policies are trained, and how what was trained meets new tasks.

    Args:
        doc: One line.
        config: A frozen dataclass of everything that decides what a run computes; it has at
            least ``iterations``, ``max_seconds``, ``seed``, ``hidden``, ``device`` and
            ``task_visible``.
        trainer: Makes a `metarl.learn.loop.Trainer` from ``(family, config, initial=None,
            num_threads=0)``.
        adaptation: Makes a `metarl.adapt.adaptation.Adaptation` from ``(checkpoint, worlds,
            num_tasks=, updates=, generator=)``; None: what was trained has no way of its own
            and is fine-tuned.
        settings: Fields of the config whose defaults this method changes.
    """

    doc: str
    config: type[Any]
    trainer: Callable[..., Any]
    adaptation: Callable[..., Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def method_names() -> list[str]:
    """List every method, built in or from outside, in alphabetical order."""
    return sorted({**_outside(), **_BUILT_IN})


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
    try:
        method = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        if name in _BUILT_IN:
            raise
        raise ConfigError(f"method {name!r} cannot be imported from {found}: {error}") from error
    if not isinstance(method, Method):
        raise ConfigError(f"method {name!r}: {found} is no metarl.methods.Method but {method!r}")
    return method


def adaptation_of(meta: Mapping[str, Any]) -> Callable[..., Any] | None:
    """Find the way in which what a checkpoint holds adapts, if its method has one of its own.

    Args:
        meta: The checkpoint's; one that names no method holds a plain policy.
    Raises:
        UnknownNameError: If it is of a method that is not installed.
    """
    return get_method(meta["method"]).adaptation if "method" in meta else None


def _outside() -> dict[str, str]:
    return {entry.name: entry.value for entry in entry_points(group=GROUP)}
