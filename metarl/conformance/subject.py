"""The family under test, and what the checks do to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from metarl.errors import MetaRLError
from metarl.family import TaskFamily
from metarl.interop.gym_env import FamilyEnv
from metarl.interop.spaces import Observation
from metarl.sim.kinds import make_worlds
from metarl.sim.models import Kept, compiled_once
from metarl.sim.worlds import Worlds
from metarl.types import Split, Step

Record = Mapping[str, np.ndarray]  # name -> (T, N, ...)
Act = Callable[[Worlds], np.ndarray]  # -> (N, A)

_LONGEST = 100  # control steps of a trajectory that is compared


class Unmet(MetaRLError):
    """A family does not do what it must; the message is the row's detail."""


class Skipped(MetaRLError):
    """The family has nothing to check here; the message says what is missing."""


class NotShown(MetaRLError):
    """Neither holds nor fails: the check looked, and found no proof."""


def expect(condition: object, detail: str) -> None:
    """Fail the check unless the condition holds."""
    if not condition:
        raise Unmet(detail)


@dataclasses.dataclass(frozen=True)
class Subject:
    """A family and how hard it is tested.

    Args:
        family: The family.
        num_tasks: Tasks on which policies are judged.
        judged: How often who succeeded where, as far as it is known: (who, split) -> share.
        compiled: Its models, each compiled once.
    """

    family: TaskFamily[Any]
    num_tasks: int = 64
    judged: dict[tuple[str, Split], float] = dataclasses.field(default_factory=dict)
    compiled: Kept = dataclasses.field(default_factory=dict)

    def worlds(
        self,
        num_worlds: int = 4,
        *,
        seed: int = 0,
        num_threads: int = 1,
        split: Split = "train",
        first_stream: int = 0,
        task_visible: bool = False,
    ) -> Worlds:
        """Make fresh worlds."""
        with compiled_once(self.compiled):
            return make_worlds(
                self.family, num_worlds, seed=seed, num_threads=num_threads, split=split,
                first_stream=first_stream, task_visible=task_visible,
            )  # fmt: skip

    def env(self, observation: Observation, **options: Any) -> FamilyEnv:
        """Make a fresh environment of Gymnasium's."""
        with compiled_once(self.compiled):
            return FamilyEnv(self.family, observation=observation, **options)

    @property
    def num_steps(self) -> int:
        """Control steps of a trajectory that is compared."""
        return min(self.family.horizon, _LONGEST)

    def actions(self, worlds: Worlds, num_steps: int | None = None) -> np.ndarray:
        """Random actions, each held for four control steps, (T, N, A)."""
        steps = num_steps or self.num_steps
        rng = np.random.default_rng(0)
        shape = (-(-steps // 4), worlds.spec.action_dim, worlds.num_worlds)
        return np.repeat(rng.uniform(-1.0, 1.0, shape), 4, axis=0)[:steps].swapaxes(1, 2)


def play(worlds: Worlds, actions: np.ndarray, *, change: int = -1) -> Record:
    """Step worlds through given actions; ended episodes start again.

    Args:
        worlds: They have been reset.
        actions: Shape (T, N, A).
        change: The step before which the even worlds get new tasks; -1 for never.
    Returns:
        Everything that a step reports, each (T, N, ...).
    """
    steps = []
    for t, action in enumerate(actions):
        if t == change:
            even = np.arange(0, worlds.num_worlds, 2)
            worlds.assign(worlds.sample("train", even), even)
            worlds.reset(even)
        steps.append(worlds.step(action))
        if worlds.done.any():
            worlds.reset(worlds.done)
    return record(steps)


def record(steps: list[Step]) -> Record:
    """Stack steps, reward terms as ``terms.name``."""
    names = [f.name for f in dataclasses.fields(Step) if f.name != "terms"]
    out = {name: np.stack([getattr(s, name) for s in steps]) for name in names}
    terms = {f"terms.{k}": np.stack([s.terms[k] for s in steps]) for k in steps[0].terms}
    return out | terms


def expect_equal(a: Record, b: Record, what: str, rows: np.ndarray | slice = slice(None)) -> None:
    """Fail unless two records are bit-identical in some worlds; names the first difference."""
    for name, x in a.items():
        x, y = x[:, rows], b[name][:, rows]
        same = (x == y) | (np.isnan(x) & np.isnan(y)) if x.dtype.kind == "f" else x == y
        if not same.all():
            t, i = np.argwhere(~same)[0][:2]
            raise Unmet(f"{what}: {name} differs first in control step {t + 1}, world {i}")


def episode(worlds: Worlds, act: Act) -> tuple[np.ndarray, np.ndarray]:
    """Run one episode in every world.

    Args:
        worlds: They have been reset.
        act: The policy.
    Returns:
        Success at the episode's last step, (N,) bool; return, (N,).
    """
    alive = np.ones(worlds.num_worlds, bool)
    success, returns = np.zeros_like(alive), np.zeros(worlds.num_worlds)
    for _ in range(worlds.family.horizon):
        step = worlds.step(act(worlds))
        returns += np.where(alive, step.reward, 0.0)
        success |= alive & worlds.done & step.success
        alive &= ~worlds.done
        if not alive.any():
            break
        if worlds.done.any():
            worlds.reset(worlds.done)
    return success, returns
