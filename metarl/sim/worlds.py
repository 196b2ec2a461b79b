"""N worlds of a family, stepped together: the only face that learners see."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import mujoco
import numpy as np

from metarl.errors import ConfigError, ShapeError, require
from metarl.family import TaskFamily, broken, require_split
from metarl.machine import require_worlds_fit
from metarl.physics import MUJOCO
from metarl.plugins import written
from metarl.sim.batches import maker_of
from metarl.sim.blame import asks, require_methods
from metarl.sim.blocks import ObservationStack, make_spec
from metarl.sim.given import TaskCheck, as_array, checked_action, checked_ids, checked_saved
from metarl.sim.groups import Group, count_substeps, group_worlds, stepped
from metarl.sim.heard import listen, tell
from metarl.sim.models import compile_model
from metarl.sim.replay.alone import Alone, One
from metarl.sim.scene import Scene
from metarl.sim.verdict import Judge, Verdict, are_numbers, is_number, require_numbers
from metarl.streams import Streams
from metarl.types import Split, Step, put, take

_log = logging.getLogger(__name__)

_ACTIONS = "actions must be an array of numbers"

# Arrays, since these cost a single world a third of what Python's numbers do.
_LOW, _HIGH = -np.ones(1, np.float32), np.ones(1, np.float32)
_STEP = np.ones(1, np.int64)

# Groups of worlds whose physics runs at once: while one waits for its slowest thread, or for
# Python's lock, another has work for the idle core.
_AHEAD = 2


class Worlds:
    """N worlds of one family with their tasks.

    `metarl.sim.kinds.make_worlds` makes those of any family; this class itself those on MuJoCo.

    Nothing resets by itself: a world whose episode ended waits for `reset`, and stepping
    it before is an error. A world that diverges is truncated, reported, and put into a
    fresh state of the same task at once so that its neighbours run on.

    Args:
        family: The family.
        num_worlds: N.
        seed: Seed of the worlds' streams; world i's trajectory does not depend on N.
        task_visible: Show hidden task fields in the ``task`` block (else zeros).
        num_threads: Physics threads; 0 takes every core.
        split: Where the first tasks, and those of `resample`, come from.
        first_stream: Index of world 0's stream, for a batch that continues another.
        held_out: Draw from streams that no training draws from, whatever the seeds.
        physics: What moves them (`metarl.physics`); None: as the family's name says.
    """

    has_models: ClassVar[bool] = True  # of MuJoCo, which draw them

    @asks
    def __init__(
        self,
        family: TaskFamily[Any],
        num_worlds: int,
        *,
        seed: int = 0,
        task_visible: bool = False,
        num_threads: int = 0,
        split: Split = "train",
        first_stream: int = 0,
        held_out: bool = False,
        physics: str | None = None,
    ):
        self.family = family
        self.physics = family.physics if physics is None else physics
        whole = isinstance(num_worlds, int | np.integer) and not isinstance(num_worlds, bool)
        require(whole and num_worlds >= 1, "num_worlds", num_worlds, "an integer >= 1")
        require_worlds_fit(int(num_worlds), 0, f"num_worlds={num_worlds}")
        require_methods(family)
        self.num_worlds = num_worlds
        self.num_threads = num_threads
        self.task_visible = task_visible
        self._held: dict[str, Group] = {}  # every group that was made
        self._groups: list[Group] = []  # those that have worlds
        self._build()
        self.streams = Streams.from_seed(seed, num_worlds, first_stream, held_out=held_out)
        self.elapsed = np.zeros(num_worlds, np.int64)
        self.done = np.ones(num_worlds, bool)  # nobody may step before the first reset
        self._latest: Step | One | None = None
        self._check = TaskCheck(family, list(self.models))
        self.num_diverged = 0
        self.task: Any = None
        self.assign(self.sample(split))
        self._begin(np.arange(num_worlds))
        if type(family).act is TaskFamily.act:
            self._require_ranges()
        self.spec = make_spec(family, self._groups[0].scene, self._groups[0].task)
        self._stack = ObservationStack(self.spec, family.task_type)
        self._stack.show(self.task, task_visible)
        self._prepare()

    def _build(self) -> None:
        """Make what worlds run on."""
        self._make_batch = maker_of(self.physics)
        listen()
        self.models = _compiled(self.family)
        self.substeps = count_substeps(self.family, self.models)

    def _require_ranges(self) -> None:
        """Check that actions can be scaled."""
        for group in self._groups:
            if group.scene.model.nu:
                group.scene.require_ranges()

    def _prepare(self) -> None:
        """Make what is no part of a copy."""
        several = len(self.models) > 1 and self.num_threads != 1 and self.physics == MUJOCO
        self._pool = ThreadPoolExecutor(_AHEAD) if several else None
        self._judge = Judge(self.family)
        alone = self.num_worlds == 1
        self._alone = Alone(self.family, self._judge, self._stack) if alone else None

    # Tasks ------------------------------------------------------------------------------

    @asks
    def sample(self, split: Split, ids: np.ndarray | None = None) -> Any:
        """Draw one task for each world (of `ids`) from its own stream."""
        require_split(self.family, split)
        ids = self._ids(ids)
        rng = self.streams[ids]
        task = self._check.sampled(self.family.sample(rng, len(ids), split), len(ids), split)
        self.streams.put(ids, rng)
        return task

    def checked_tasks(self, task: Any, n: int, who: str) -> Any:
        """Check that tasks can be assigned, before they are needed.

        Args:
            task: The tasks.
            n: How many rows they must have.
            who: Which method was given them, for the message.
        Returns:
            The same, its fields as arrays.
        Raises:
            TaskError: As `assign`.
        """
        return self._check.given(task, n, who)

    @asks
    def assign(self, task: Any, ids: np.ndarray | None = None) -> None:
        """Hand tasks to worlds; their episodes end here and wait for `reset`.

        Args:
            task: One row a world (of `ids`).
            ids: Which worlds, sorted; omitted, all.
        Raises:
            TaskError: If the rows do not match the worlds, or a field is not of the family's
                width, not finite, or out of its declared range; nothing has changed then.
        """
        ids = self._ids(ids)
        task = self._check.given(task, len(ids), "assign")
        whole = self.task is None or len(ids) == self.num_worlds
        self.task = take(task, slice(None)) if whole else put(self.task, ids, task)
        self.done[ids] = True
        changed = self._regroup()
        for group in self._groups:
            whole = len(self._groups) == 1
            group.task = self.task if whole else take(self.task, group.ids)
            self._configure(group, ids, changed[group.name])
        if hasattr(self, "_stack"):
            self._stack.show(self.task, self.task_visible)

    def _configure(self, group: Group, ids: np.ndarray, changed: np.ndarray) -> None:
        """Give those of some worlds that are in a group their model fields, and go on."""
        mine, local = group.among(ids)
        if len(mine):
            group.scene.restore_model_fields(local)
            self.family.configure(group.scene, local, take(self.task, mine))
            if name := group.scene.field_without_numbers(local):
                raise broken(self.family, "configure", f"wrote {name} that is not finite")
        group.scene.derive_constants(np.union1d(local, changed))
        if len(changed):
            group.scene.forward(changed)

    def _regroup(self) -> dict[str, np.ndarray]:
        model = getattr(self.task, "model", None)
        model = np.zeros(self.num_worlds, int) if model is None else np.asarray(model)
        found = group_worlds(self.models, model, self._held, self.num_threads, self._make_batch)
        self._groups = [group for group, _ in found]
        return {group.name: changed for group, changed in found}

    # Episodes ---------------------------------------------------------------------------

    @asks
    def reset(self, ids: np.ndarray | None = None) -> np.ndarray:
        """Start new episodes of the same tasks.

        Args:
            ids: Which worlds, sorted; omitted, all.
        Returns:
            Observations of all worlds, (N, D) float32.
        """
        ids = self._ids(ids)
        self._begin(ids)
        self.elapsed[ids] = 0
        self.done[ids] = False
        self.obs = self._observe()
        return self.obs.copy()

    def _begin(self, ids: np.ndarray) -> None:
        """Put worlds where an episode begins, by their streams."""
        rng = self.streams[ids]
        for group in self._groups:
            mine, local = group.among(ids)
            if not len(mine):
                continue
            where = np.searchsorted(ids, mine)
            own = rng[where]
            group.scene.batch.reset(local, stage=mujoco.mjtStage.mjSTAGE_NONE.value)
            self.family.reset(group.scene, local, take(self.task, mine), own)
            if name := group.scene.state_without_numbers(local):
                raise broken(self.family, "reset", f"wrote {name} that is not finite")
            group.scene.forward(local)
            rng.put(where, own)
        self.streams.put(ids, rng)

    @asks
    def step(self, action: np.ndarray) -> Step:
        """Advance every world by one control step.

        Args:
            action: In [-1, 1] (clipped), shape (N, A).
        Returns:
            The outcome; see `Step`.
        Raises:
            ShapeError: If the shape is wrong or numbers are not finite; names the worlds.
                No world has moved then.
        """
        if self._alone is not None:
            action = as_array(action, _ACTIONS)
            if action.ndim == 2 and len(action) == 1:
                return self.step_alone(action[0]).step()
        action = self._checked(action)
        for group in self._groups:
            self.family.act(group.scene, group.task, action[group.rows])
        self.elapsed += _STEP
        diverged, obs = np.zeros(self.num_worlds, bool), self._stack.blank()
        parts = []
        for group, failed in self._moved():
            if failed is not None:
                diverged[group.rows] = failed
                self._start_again(group, failed)
            part = self._judge.judge(group.scene, group.task, action[group.rows])
            parts.append((group.rows, part))
            blocks = self.family.observe(group.scene, group.task)
            self._stack.write(obs, group.rows, blocks, self.family)
        self._latest = self._outcome(Verdict.joined(parts, self.num_worlds), obs, diverged)
        tell()
        return self._latest

    def _moved(self) -> Iterator[tuple[Group, np.ndarray | None]]:
        """Advance all worlds; gives each group, and which of it left the finite numbers."""
        pool = self._pool if len(self._groups) > 1 else None
        return stepped(self._groups, self.substeps, pool)

    def _late(self) -> np.ndarray:
        """Whose time is over, (N,) bool."""
        return self.elapsed >= self.family.horizon

    @asks
    def step_alone(self, action: np.ndarray) -> One:
        """The same as `step` for a world alone, in plain numbers.

        Args:
            action: In [-1, 1] (clipped), shape (A,).
        Raises:
            ConfigError: If there are several worlds.
            ShapeError: As `step`.
        """
        if self._alone is None:
            raise ConfigError(f"step_alone is for one world; there are {self.num_worlds}")
        action = as_array(action, _ACTIONS)
        row = action.tolist() if action.dtype.char in "fd" and action.ndim == 1 else []
        if len(row) != self.spec.action_dim or self.done[0] or not math.isfinite(sum(row)):
            action = self._checked(action[None])[0]
            row = action.tolist()
        group = self._groups[0]

        def advance() -> bool:
            failed = group.scene.step(self.substeps)
            if failed is not None:
                self._start_again(group, failed)
            return failed is not None

        elapsed = self.elapsed.item(0) + 1
        self.elapsed[0] = elapsed
        late = elapsed >= self.family.horizon
        one = self._alone.step(group.scene, group.task, action[None], row, advance, late)
        if one.diverged:
            one.obs[:] = self.obs[0]
        if math.isnan(one.obs.dot(one.obs)) or not is_number(one.reward, one.score):
            terms = {name: np.array([x], np.float32) for name, x in one.terms.items()}
            self._require_numbers(one.obs[None], terms, np.array([one.score]))
        self.done[0] = one.terminated or one.truncated
        self.obs[0] = one.obs
        self._latest = one
        tell()
        return one

    @property
    def not_replayed(self) -> str:
        """Why the family of a world alone is asked with NumPy in every step; empty if it is not."""
        return self._alone.why_not if self._alone is not None else "there are several worlds"

    @property
    def latest(self) -> Step | None:
        """What the last control step gave; None before the first."""
        if isinstance(self._latest, One):  # whose observation was given away
            return self._latest._replace(obs=self.obs[0]).step()
        return self._latest

    def _outcome(self, verdict: Verdict, obs: np.ndarray, diverged: np.ndarray) -> Step:
        truncated = self._late()
        if np.count_nonzero(diverged):
            obs[diverged] = self.obs[diverged]
            verdict.clear(diverged)
            truncated |= diverged
        truncated &= ~verdict.terminated
        reward = verdict.reward()
        if np.count_nonzero(np.isnan(obs)) or not are_numbers(reward, verdict.score):
            self._require_numbers(obs, verdict.terms, verdict.score)
        self.done = verdict.terminated | truncated
        self.obs = obs
        return Step(
            obs.copy(), reward, verdict.terminated, truncated, verdict.success,
            diverged, verdict.terms, verdict.score,
        )  # fmt: skip

    def _start_again(self, group: Group, failed: np.ndarray) -> None:
        """Put worlds that left the finite numbers into a fresh state; told once, counted always.

        Raises:
            FamilyError: If physics did not, and the family wrote what is not finite.
        """
        self._blame(group, failed)
        ids = np.sort(group.ids[failed])
        if not self.num_diverged:
            _log.warning(
                "%s: world %d diverged: its physics left the finite numbers; it is truncated and"
                " starts again. This is said once; such worlds are counted as diverged",
                self.family.id or type(self.family).__name__, ids[0],
            )  # fmt: skip
        self.num_diverged += len(ids)
        self._begin(ids)

    def _blame(self, group: Group, suspects: np.ndarray) -> None:
        method, name, rows = group.scene.wrote_no_numbers(suspects)
        if name:
            bad = np.sort(group.ids[rows]).tolist()[:10]
            most = f", or beyond {mujoco.mjMAXVAL:g}," if name == "ctrl" else ""
            said = f"wrote {name} that is not finite{most} in worlds {bad}"
            raise broken(self.family, method, said)

    def _require_numbers(
        self, obs: np.ndarray, terms: Mapping[str, np.ndarray], score: np.ndarray
    ) -> None:
        """Say which method of the family gave what is no number."""
        for group in self._groups:
            self._blame(group, np.ones(len(group.ids), bool))
        self._stack.require_numbers(obs, self.family)
        require_numbers(self.family, terms, score)

    @asks
    def expert(self) -> np.ndarray:
        """Ask the family's scripted expert for actions, (N, A).

        Raises:
            FamilyError: If it gives anything else, or numbers that are not finite.
        """
        parts = []
        for group in self._groups:
            given = self.family.expert(group.scene, group.task)
            shape = (group.scene.num_worlds, self.spec.action_dim)
            if not isinstance(given, np.ndarray) or given.dtype.kind not in "fiu":
                said = f"gave {written(given)}; expected numbers of shape {shape}"
                raise broken(self.family, "expert", said)
            if given.shape != shape or not np.isfinite(given).all():
                what = "not finite" if given.shape == shape else f"of shape {given.shape}"
                said = f"gave numbers {what}; expected finite ones of shape {shape}"
                raise broken(self.family, "expert", said)
            parts.append(given)
        return self._scatter(parts, self.spec.action_dim)

    # State ------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """What a copy is made of: it goes on bit for bit, with physics and threads of its own."""
        return {k: v for k, v in vars(self).items() if k not in ("_alone", "_pool", "_judge")}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        """Go on."""
        vars(self).update(saved)
        self._prepare()

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on; arrays are copies."""
        return {
            "state": [g.scene.batch.state[np.argsort(g.ids)] for g in self._groups],
            "keys": self.streams.keys.copy(),
            "counters": self.streams.counters.copy(),
            "elapsed": self.elapsed.copy(),
            "done": self.done.copy(),
            "task": {k: np.array(v) for k, v in vars(self.task).items()},
        }

    @asks
    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue from a `state_dict` of worlds of the same family and number.

        Raises:
            CheckpointError: If it is of others.
        """
        keys, counters, elapsed, done = (
            checked_saved(saved[name], now, name)
            for name, now in [
                ("keys", self.streams.keys),
                ("counters", self.streams.counters),
                ("elapsed", self.elapsed),
                ("done", self.done),
            ]
        )
        self.assign(type(self.task)(**saved["task"]))
        for group, state in zip(self._groups, saved["state"], strict=True):
            now = group.scene.batch.state
            now[np.argsort(group.ids)] = checked_saved(state, now, "state")
            group.scene.forward()
        self.streams, self.elapsed, self.done = Streams(keys, counters), elapsed, done
        self.obs = self._observe()

    def world(self, i: int = 0) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """One world as MuJoCo's own objects, to render it or to look inside."""
        scene, local = self.place(i)
        return scene.batch.get_model(local), scene.batch.get_data(local)

    def picture(self, i: int) -> np.ndarray:
        """Let a world draw itself, where it is no model of MuJoCo's.

        Raises:
            ConfigError: If it is one: `film_renderer` draws these.
        """
        raise ConfigError(f"world {i} is a MuJoCo model; metarl.film draws it")

    @asks
    def caption(self, i: int = 0) -> str:
        """What the family says of a world in a film."""
        group = next((g for g in self._groups if g.local[i] >= 0), self._groups[0])
        told, n = self.family.caption(group.scene, group.task), group.scene.num_worlds
        if not isinstance(told, list | tuple) or len(told) != n:
            raise broken(
                self.family, "caption", f"gave {written(told)}; expected a list of {n} texts"
            )
        line = told[int(group.local[i])]
        if not isinstance(line, str):
            raise broken(self.family, "caption", f"gave {written(line)}; expected a text")
        return line

    def place(self, i: int) -> tuple[Scene, int]:
        """The scene in which a world runs, and its row there."""
        for group in self._groups:
            if 0 <= i < self.num_worlds and group.local[i] >= 0:
                return group.scene, int(group.local[i])
        raise ConfigError(f"world must be in [0, {self.num_worlds}), got {i}")

    def model_name(self, i: int = 0) -> str:
        """The name of the model on which a world runs."""
        scene, _ = self.place(i)
        return next(g.name for g in self._groups if g.scene is scene)

    # ------------------------------------------------------------------------------------

    def _observe(self) -> np.ndarray:
        obs = self._stack.blank()
        for group in self._groups:
            blocks = self.family.observe(group.scene, group.task)
            self._stack.write(obs, group.rows, blocks, self.family)
        self._stack.require_numbers(obs, self.family)
        return obs

    def _scatter(self, parts: list[np.ndarray], width: int) -> np.ndarray:
        out = np.zeros((self.num_worlds, width), np.float32)
        for group, part in zip(self._groups, parts):
            out[group.rows] = part
        return out

    def _ids(self, ids: np.ndarray | None) -> np.ndarray:
        return np.arange(self.num_worlds) if ids is None else checked_ids(ids, self.num_worlds)

    def _checked(self, action: np.ndarray) -> np.ndarray:
        action = checked_action(action, (self.num_worlds, self.spec.action_dim))
        if np.count_nonzero(self.done):
            bad = np.flatnonzero(self.done)
            raise ShapeError(
                f"the episodes of worlds {bad.tolist()[:10]} have ended; call reset(ids) first"
            )
        return np.minimum(np.maximum(action, _LOW), _HIGH)


def _compiled(family: TaskFamily[Any]) -> dict[str, mujoco.MjModel]:
    models = family.models()
    if not isinstance(models, Mapping) or not models:
        said = f"gave {written(models)}; expected name -> model, one at least"
        if isinstance(models, Mapping):
            said += " (make_worlds makes the worlds of a family that has none)"
        raise broken(family, "models", said)
    name = family.id or type(family).__name__
    return {key: compile_model(source, f"{name} ({key})") for key, source in models.items()}
