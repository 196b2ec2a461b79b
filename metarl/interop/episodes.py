"""What every environment shares: its family, its seed, and how its next episodes start."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metarl.errors import ConfigError, ShapeError, UnknownNameError, require
from metarl.family import TaskFamily
from metarl.names import split_name
from metarl.physics import OPTION
from metarl.registry import family_class, make_family, option_names
from metarl.sim.kinds import make_worlds
from metarl.streams import Streams, checked_seed
from metarl.types import Split, take

OPTIONS = ("task", "new_task")  # of `reset`


def build_family(
    family: TaskFamily[Any] | str, options: Mapping[str, Any], environment: type
) -> TaskFamily[Any]:
    """Build an environment's family.

    Args:
        family: A family or its registered name.
        options: What the environment was given beyond its own keywords.
        environment: The environment's class.
    Raises:
        UnknownNameError: If neither the environment nor its family has such a keyword.
        ConfigError: If an option is given twice, or what is given is no family.
    """
    named, valid = {}, []
    if isinstance(family, str):
        named = split_name(family)[1]
        valid = [*option_names(family_class(family)), OPTION]
    elif not isinstance(family, TaskFamily):
        raise ConfigError(f"family is {family!r}; expected a TaskFamily object or a family's name")
    for name in options:
        if name not in valid:
            own = [p.name for p in inspect.signature(environment).parameters.values()]
            own = [n for n in own if n not in ("family", "options")]
            raise UnknownNameError(f"keyword of {environment.__name__}", name, own + valid)
        if name in named:
            raise ConfigError(f"{name} is given twice, in {family!r} and as {options[name]!r}")
    return make_family(family, **options) if isinstance(family, str) else family


def checked_options(options: Any, valid: Sequence[str] = OPTIONS) -> dict[str, Any]:
    """Read the options of a reset.

    Raises:
        ConfigError: If there is an unknown one, or two that contradict each other.
    """
    if not isinstance(options or {}, Mapping):
        raise ConfigError(f"reset options are {options!r}; expected a dict of {', '.join(valid)}")
    options = dict(options or {})
    if unknown := [str(name) for name in options if name not in valid]:
        raise ConfigError(f"unknown reset options {', '.join(unknown)}; valid: {', '.join(valid)}")
    new_task = options.get("new_task")
    if new_task is not None and not isinstance(new_task, (bool, np.bool_)):
        raise ConfigError(f"reset option new_task is {new_task!r}; expected True or False")
    if new_task is not None and options.get("task") is not None:
        raise ConfigError("reset options task and new_task contradict each other; give one of them")
    return options


class Episodes:
    """Worlds that know how their next episodes start; `reseed` them before the first.

    Args:
        family: The family.
        num_worlds: N.
        split: Where new tasks come from.
        task_visible: Show hidden task fields in the ``task`` block.
        num_threads: Physics threads; 0 takes every core.
        new_task: Draw a new task for every episode; else keep the first.
    """

    def __init__(
        self,
        family: TaskFamily[Any],
        num_worlds: int,
        *,
        split: Split,
        task_visible: bool,
        num_threads: int = 1,
        new_task: bool,
    ):
        for name, flag in (("task_visible", task_visible), ("new_task_every_episode", new_task)):
            require(isinstance(flag, (bool, np.bool_)), name, flag, "True or False")
        whole = isinstance(num_threads, (int, np.integer)) and not isinstance(num_threads, bool)
        require(whole and num_threads >= 0, "num_threads", num_threads, "an integer >= 0; 0 is all")
        self.family = family
        self.split = split
        self.new_task = new_task
        self.fixed: dict[int, Any] = {}  # world -> the task of its every episode
        self.worlds = make_worlds(
            family, num_worlds, task_visible=task_visible, num_threads=num_threads, split=split
        )

    def reseed(self, seed: int | Sequence[int | None]) -> None:
        """Start the worlds' streams again, and draw new tasks where they are kept.

        Args:
            seed: One seed for all worlds, or one a world (None leaves its stream alone).
        """
        worlds, ids = self.worlds, np.arange(self.worlds.num_worlds)
        held_out = self.split != "train"
        if isinstance(seed, Sequence):
            if len(seed) != worlds.num_worlds:
                raise ShapeError(f"got {len(seed)} seeds for {worlds.num_worlds} worlds")
            own = {i: checked_seed(value) for i, value in enumerate(seed) if value is not None}
            ids = np.array(list(own), int)
            streams = [Streams.from_seed(value, 1, held_out=held_out) for value in own.values()]
            worlds.streams.put(ids, Streams(np.array([own.keys[0] for own in streams], np.uint64)))
        else:
            worlds.streams = Streams.from_seed(seed, worlds.num_worlds, held_out=held_out)
        if not self.new_task and len(ids):
            worlds.assign(worlds.sample(self.split, ids), ids)

    def start(
        self, ids: np.ndarray | None = None, *, task: Any = None, new_task: bool | None = None
    ) -> np.ndarray:
        """Start new episodes.

        Args:
            ids: Which worlds, sorted; omitted, all.
            task: Their tasks; omitted, fixed, drawn or kept.
            new_task: Whether to draw tasks, for this once.
        Returns:
            Observations of all worlds, (N, D) float32.
        """
        self._prepare(ids, task, new_task)
        return self.worlds.reset(ids)

    def start_each(self, options: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Start new episodes in all worlds, each with options of its own, checked ones."""
        plain = [i for i, own in enumerate(options) if not own]
        if plain:
            self._prepare(np.array(plain), None, None)
        for i in set(range(len(options))) - set(plain):
            self._prepare(np.array([i]), options[i].get("task"), options[i].get("new_task"))
        return self.worlds.reset()

    def _prepare(self, ids: np.ndarray | None, task: Any, new_task: bool | None) -> None:
        if task is None and new_task is None and self.fixed:
            ids = np.arange(self.worlds.num_worlds) if ids is None else ids
            for i in self.fixed.keys() & set(ids.tolist()):
                self.worlds.assign(self.fixed[i], np.array([i]))
            ids = np.setdiff1d(ids, list(self.fixed))
        if task is None and (self.new_task if new_task is None else new_task):
            task = self.worlds.sample(self.split, ids)
        if task is not None:
            self.worlds.assign(task, ids)

    def fix(self, i: int, task: Any) -> None:
        """Use a task (one row) in a world's every episode from the next on; None: as before."""
        if task is None:
            self.fixed.pop(i, None)
        else:
            self.fixed[i] = self.one_task(task)

    def one_task(self, task: Any) -> Any:
        """Check that a task is one row of this family's.

        Raises:
            TaskError: If it is not, or leaves its range.
        """
        return take(self.worlds.checked_tasks(task, 1, "set_task"), slice(None))
