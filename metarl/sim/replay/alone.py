"""A world alone: what its family says of a control step, in plain numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from metarl.family import TaskFamily
from metarl.sim.blocks import ObservationStack
from metarl.sim.replay.program import Replay
from metarl.sim.scene import Scene
from metarl.sim.verdict import Judge
from metarl.types import Step

_LOW, _HIGH = -np.ones(1, np.float32), np.ones(1, np.float32)


class One(NamedTuple):
    """What one control step of one world gave; see `Step`."""

    obs: np.ndarray  # (D,) float32
    reward: float
    terminated: bool
    truncated: bool
    success: bool
    diverged: bool
    terms: dict[str, float]
    score: float

    def step(self) -> Step:
        """The same with a row for the world."""
        return Step(
            self.obs[None].copy(), np.array([self.reward], np.float32),
            np.array([self.terminated]), np.array([self.truncated]), np.array([self.success]),
            np.array([self.diverged]),
            {name: np.array([x], np.float32) for name, x in self.terms.items()},
            np.array([self.score], np.float32),
        )  # fmt: skip


class _Known(NamedTuple):
    """Of what all is known, and who says whether what both functions read is still the same."""

    scene: Scene
    task: Any
    kind: str
    holds: Callable[[], bool]


class Alone:
    """A family before and after the physics of one world.

    Args:
        family: The family.
        judge: Who asks it.
        stack: Who stacks its observations.
    """

    def __init__(self, family: TaskFamily[Any], judge: Judge, stack: ObservationStack):
        def act(scene: Any, task: Any, action: Any) -> tuple[Any, ...]:
            family.act(scene, task, np.minimum(np.maximum(action, _LOW), _HIGH))
            return ()

        def judged(scene: Any, task: Any, action: Any) -> tuple[Any, ...]:
            action = np.minimum(np.maximum(action, _LOW), _HIGH)
            found = judge.judge(scene, task, action)
            blocks = stack.clipped(family.observe(scene, task), family)
            whole = np.concatenate(list(blocks.values()), axis=1)
            one = (found.reward(), found.terminated, found.success, found.score)
            return whole, *one, *found.terms.values()

        self._act, self._judge = Replay(act, family.task_type), Replay(judged, family.task_type)
        self._stack, self._family = stack, family
        self._known: _Known | None = None

    @property
    def why_not(self) -> str:
        """Why the family is asked with NumPy in every step, if it is."""
        return self._act.why_not or self._judge.why_not

    def step(
        self,
        scene: Scene,
        task: Any,
        action: np.ndarray,
        row: list[float],
        advance: Callable[[], bool],
        late: bool,
    ) -> One:
        """Act, advance, and judge.

        Args:
            scene: The world's.
            task: Its task, one row.
            action: Finite, (1, A).
            row: Its numbers.
            advance: Runs the physics; says whether the world has diverged.
            late: Whether the time is up.
        """
        same = self._is_same(scene, task, action) and self._act.again(row) is not None
        if not same:
            self._known = None
            self._act(scene, task, action, row)
        diverged = advance()
        numbers = self._judge.again(row) if same and not diverged else None
        if numbers is None:
            numbers = self._judge(scene, task, action, row)
            self._know(scene, task, action, same or diverged)
        if diverged:
            numbers = [[type(x)(0) for x in part] for part in numbers]
        seen, (reward,), (terminated,), (success,), (score,), *terms = numbers
        obs = self._stack.blank()[0]
        obs[: len(seen)] = seen
        return One(
            obs, reward, terminated, (late or diverged) and not terminated, success, diverged,
            {name: x for name, (x,) in zip(self._family.weights, terms)}, score,
        )  # fmt: skip

    def _is_same(self, scene: Scene, task: Any, action: np.ndarray) -> bool:
        """Whether all that both functions read is as in the last step.

        It is asked once a step: where programs act, no code of the family's runs until it is judged.
        """
        known = self._known
        if known is None or known.task is not task or known.scene is not scene:
            return False
        return known.kind == action.dtype.char and self._act.task_holds() and known.holds()

    def _know(self, scene: Scene, task: Any, action: np.ndarray, ran: bool) -> None:
        """Note that both functions were done by programs after what they read was compared.

        Args:
            scene: The world's.
            task: Its task.
            action: The action.
            ran: Whether something was not compared in this step, or compared too early.
        """
        act, judge = self._act.sure, self._judge.sure
        self._known = None
        if not ran and act is not None and judge is not None and not judge.moves:
            self._known = _Known(scene, task, action.dtype.char, judge.holds_with(act))
