"""A family whose worlds are environments that others wrote."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np

from metarl.errors import FamilyError
from metarl.family import TaskFamily, broken

Task = TypeVar("Task")
_PATIENCE_S = 10.0


class OutsideFamily(TaskFamily[Task]):
    """Tasks for a `gymnasium.Env` that can be handed one: a subclass says which, and draws them.

    Needed are `task_type`, `horizon`, `control_dt_s`, `environment` and `sample`. Observations,
    reward and success are as the environment gives them, unless methods say otherwise; each of these
    sees an `OutsideScene` of N environments: their ``obs``, ``reward``, ``terminated``, ``info``.

    An episode is begun by ``reset(seed=...)`` with a seed from its world's stream: an environment that
    draws everything from it gives the same numbers for the same seed, wherever it runs, and a saved
    state goes on bit for bit, for its episode is played again up to there.

    Attributes:
        environment: What makes one: a callable, ``module:name``, or ``path/of/file.py:name`` (a text
            where another interpreter runs it). Has it a parameter ``task``, it is called for every
            task; else the environment must have ``set_task``. Either is given `handed`'s row as a
            dict of arrays.
        interpreter: The Python in which environments run, in a process a core; empty: in this
            process, one after the other. Never read it from a file, or from an option of the
            family: it says which program is started.
        settings: Further keyword arguments of what makes environments, JSON values.
        readings: Entries of `info` that are read after each step, numbers or truth values.
        patience_s: How long a worker process may give no sign of life [s]; one environment's
            longest step, with something to spare.
    """

    environment: ClassVar[Callable[..., Any] | str]
    interpreter: str = ""
    settings: Mapping[str, Any] = {}
    readings: ClassVar[tuple[str, ...]] = ("success",)
    patience_s: ClassVar[float] = _PATIENCE_S
    weights: ClassVar[Mapping[str, float]] = {"reward": 1.0}

    def handed(self, task: Task) -> Mapping[str, np.ndarray]:
        """What environments are given of their tasks, n rows; default: every field."""
        return {f.name: np.asarray(getattr(task, f.name)) for f in dataclasses.fields(task)}  # type: ignore[arg-type]

    def models(self) -> Mapping[str, Any]:
        """None: what happens in these worlds is the environments' doing."""
        return {}

    def reset(self, worlds: Any, ids: np.ndarray, task: Task, rng: Any) -> None:
        """Nothing: an environment begins its episodes itself."""

    def observe(self, worlds: Any, task: Task) -> Mapping[str, np.ndarray]:
        """The environments' observations; a part each, or ``observation``."""
        return dict(worlds.obs)

    def terms(self, worlds: Any, task: Task, action: np.ndarray) -> Mapping[str, np.ndarray]:
        """The environments' reward."""
        return {"reward": worlds.reward}

    def success(self, worlds: Any, task: Task) -> np.ndarray:
        """Where ``info["success"]`` is true."""
        if "success" not in worlds.info:
            raise broken(self, "readings", "has no 'success'; add it, or define success()")
        return worlds.info["success"] > 0

    def failure(self, worlds: Any, task: Task) -> np.ndarray:
        """Where the environment terminated, for better or worse."""
        return worlds.terminated.copy()


def require_environment(family: OutsideFamily[Any]) -> None:
    """Check what an outside family says of its environments.

    Raises:
        FamilyError: If it says nothing, or something of another type.
    """
    entry = getattr(family, "environment", None)
    wanted = "a callable, 'module:name' or 'path/of/file.py:name'"
    if isinstance(entry, str):
        if not all(entry.rpartition(":")[::2]):
            raise broken(family, "environment", f"is {entry!r}; expected {wanted}")
    elif not callable(entry):
        raise broken(family, "environment", f"is {entry!r}; expected {wanted}")
    elif family.interpreter:
        raise broken(
            family, "environment",
            f"is {entry!r}, which the interpreter {family.interpreter} cannot be handed; expected"
            " 'module:name' or 'path/of/file.py:name'",
        )  # fmt: skip
    try:
        json.dumps(dict(family.settings))
    except (TypeError, ValueError) as error:
        if family.interpreter:
            said = f"is {family.settings!r}; expected JSON values by name: {error}"
            raise broken(family, "settings", said) from error
    if not isinstance(family.patience_s, int | float) or not 0.0 < family.patience_s < 1e6:
        raise broken(family, "patience_s", f"is {family.patience_s!r}; expected seconds above 0")


def environment_error(family: OutsideFamily[Any], what: str, said: str) -> FamilyError:
    """Make the error that an environment does not do what it must."""
    known = family.id or type(family).__name__
    its = " of its environment" if what.endswith(("()", "_space")) else ""
    return FamilyError(f"{known}: {what}{its} {said}")
