"""N worlds of a family, stepped together: the only face that learners see."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from mujoco.batch import SimulationError as BatchError

from metarl.errors import ConfigError, FamilyError, ShapeError
from metarl.family import TaskFamily
from metarl.sim.blocks import ObservationStack, make_spec
from metarl.sim.groups import Group, count_substeps, group_worlds
from metarl.sim.scene import VELOCITY_STAGE, Scene, compile_model
from metarl.streams import Streams
from metarl.types import SPLITS, Split, Step, num_tasks, put, take

# BADQPOS, BADQVEL, BADQACC
_BAD = slice(int(mujoco.mjtWarning.mjWARN_BADQPOS), int(mujoco.mjtWarning.mjWARN_BADQACC) + 1)


class Worlds:
    """N worlds of one family with their tasks.

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
    """

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
    ):
        if num_worlds < 1:
            raise ConfigError(f"num_worlds must be at least 1, got {num_worlds}")
        self.family = family
        self.num_worlds = num_worlds
        self.num_threads = num_threads
        self.task_visible = task_visible
        self.models = {
            name: compile_model(source, f"{family.id or type(family).__name__} ({name})")
            for name, source in family.models().items()
        }
        self.streams = Streams.from_seed(seed, num_worlds, first_stream)
        self.substeps = count_substeps(family, self.models)
        self.elapsed = np.zeros(num_worlds, np.int64)
        self.done = np.ones(num_worlds, bool)  # nobody may step before the first reset
        self._groups: list[Group] = []
        self.task: Any = None
        self.assign(self.sample(split))
        self._reset_physics(np.arange(num_worlds))
        self.spec = make_spec(family, self._groups[0].scene, self._task_of(self._groups[0]))
        self._stack = ObservationStack(self.spec, family.task_type)
        self._stack.show(self.task, task_visible)

    # Tasks ------------------------------------------------------------------------------

    def sample(self, split: Split, ids: np.ndarray | None = None) -> Any:
        """Draw one task for each world (of `ids`) from its own stream."""
        if split not in SPLITS:
            raise ConfigError(f"unknown split {split!r}; valid: {', '.join(SPLITS)}")
        ids = self._ids(ids)
        rng = self.streams[ids]
        task = self.family.sample(rng, len(ids), split)
        self.streams.put(ids, rng)
        return task

    def assign(self, task: Any, ids: np.ndarray | None = None) -> None:
        """Hand tasks to worlds; their episodes end here and wait for `reset`.

        Args:
            task: One row a world (of `ids`).
            ids: Which worlds, sorted; omitted, all.
        Raises:
            ShapeError: If the rows do not match the worlds.
        """
        ids = self._ids(ids)
        if num_tasks(task) != len(ids):
            raise ShapeError(f"assign got {num_tasks(task)} tasks for {len(ids)} worlds")
        whole = self.task is None or len(ids) == self.num_worlds
        self.task = take(task, slice(None)) if whole else put(self.task, ids, task)
        old, self._groups = self._groups, self._grouped()
        self.done[ids] = True
        for group in self._groups:
            kept = any(group is g for g in old)
            self._configure(group, ids if kept else group.ids)
            if not kept:
                group.carry_over(old)
        if hasattr(self, "_stack"):
            self._stack.show(self.task, self.task_visible)

    def _configure(self, group: Group, ids: np.ndarray) -> None:
        mine, local = group.among(ids)
        if len(mine):
            group.scene.restore_model_fields(local)
            self.family.configure(group.scene, local, take(self.task, mine))
            group.scene.derive_constants(local)

    def _grouped(self) -> list[Group]:
        model = getattr(self.task, "model", None)
        model = np.zeros(self.num_worlds, int) if model is None else np.asarray(model)
        if model.min() < 0 or model.max() >= len(self.models):
            raise FamilyError(
                f"{self.family.id}: sample() gave models {np.unique(model).tolist()}; models() has"
                f" {len(self.models)}: {', '.join(self.models)}"
            )
        return group_worlds(self.models, model, self._groups, self.num_threads)

    # Episodes ---------------------------------------------------------------------------

    def reset(self, ids: np.ndarray | None = None) -> np.ndarray:
        """Start new episodes of the same tasks.

        Args:
            ids: Which worlds, sorted; omitted, all.
        Returns:
            Observations of all worlds, (N, D) float32.
        """
        ids = self._ids(ids)
        self._reset_physics(ids)
        self.elapsed[ids] = 0
        self.done[ids] = False
        self.obs = self._observe()
        return self.obs.copy()

    def _reset_physics(self, ids: np.ndarray) -> None:
        rng = self.streams[ids]
        for group in self._groups:
            mine, local = group.among(ids)
            if not len(mine):
                continue
            where = np.searchsorted(ids, mine)
            own = rng[where]
            group.scene.batch.reset(local, stage=mujoco.mjtStage.mjSTAGE_NONE.value)
            self.family.reset(group.scene, local, take(self.task, mine), own)
            group.scene.batch.forward(local, stage=VELOCITY_STAGE)
            rng.put(where, own)
        self.streams.put(ids, rng)

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
        action = self._checked(action)
        diverged = np.zeros(self.num_worlds, bool)
        for group in self._groups:
            self.family.act(group.scene, self._task_of(group), action[group.rows])
            diverged[group.rows] = self._advance(group.scene)
        if diverged.any():
            self._reset_physics(np.flatnonzero(diverged))
        self.elapsed += 1
        return self._outcome(action, diverged)

    def _advance(self, scene: Scene) -> np.ndarray:
        failed = np.zeros(scene.num_worlds, bool)
        try:
            scene.batch.step(nstep=self.substeps, stage=VELOCITY_STAGE)
        except BatchError as error:
            failed[error.ids] = True
        warned = scene.batch.warning[:, _BAD, 1]
        if warned.any() or not np.isfinite(scene.batch.state.sum()):
            failed |= warned.any(axis=1)
            failed |= ~np.isfinite(scene.batch.state.sum(axis=1))
        return failed

    def _outcome(self, action: np.ndarray, diverged: np.ndarray) -> Step:
        n = self.num_worlds
        reward = np.zeros(n, np.float32)
        success, terminated = np.zeros(n, bool), np.zeros(n, bool)
        score = np.zeros(n, np.float32)
        terms = {name: np.zeros(n, np.float32) for name in self.family.weights}
        for group in self._groups:
            scene, task, rows = group.scene, self._task_of(group), group.rows
            self.family.advance(scene, task)
            for name, values in self.family.terms(scene, task, action[rows]).items():
                if name not in terms:
                    raise FamilyError(
                        f"{self.family.id}: terms() gave {name!r}; weights has {', '.join(terms)}"
                    )
                terms[name][rows] = self.family.weights[name] * values
            success[rows] = self.family.success(scene, task)
            terminated[rows] = self.family.failure(scene, task)
            graded = type(self.family).score is not TaskFamily.score
            score[rows] = self.family.score(scene, task) if graded else success[rows]
        obs = self._observe()
        if diverged.any():
            obs[diverged] = self.obs[diverged]
            for values in (*terms.values(), success, terminated, score):
                values[diverged] = 0
        for values in terms.values():
            reward += values
        truncated = ((self.elapsed >= self.family.horizon) | diverged) & ~terminated
        self.done = terminated | truncated
        self.obs = obs
        return Step(obs.copy(), reward, terminated, truncated, success, diverged, terms, score)

    def expert(self) -> np.ndarray:
        """Ask the family's scripted expert for actions, (N, A)."""
        parts = [self.family.expert(g.scene, self._task_of(g)) for g in self._groups]
        return self._scatter(parts, self.spec.action_dim)

    # State ------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on; arrays are copies."""
        return {
            "state": [g.scene.batch.state.copy() for g in self._groups],
            "keys": self.streams.keys.copy(),
            "counters": self.streams.counters.copy(),
            "elapsed": self.elapsed.copy(),
            "done": self.done.copy(),
            "task": {k: np.array(v) for k, v in vars(self.task).items()},
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue from a `state_dict` of worlds of the same family and number."""
        self.assign(type(self.task)(**saved["task"]))
        for group, state in zip(self._groups, saved["state"], strict=True):
            group.scene.batch.state[:] = state
            group.scene.batch.forward(stage=VELOCITY_STAGE)
        self.streams = Streams(np.array(saved["keys"]), np.array(saved["counters"]))
        self.elapsed = np.array(saved["elapsed"])
        self.done = np.array(saved["done"])
        self.obs = self._observe()

    def world(self, i: int = 0) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """One world as MuJoCo's own objects, to render it or to look inside."""
        scene, local = self.place(i)
        return scene.batch.get_model(local), scene.batch.get_data(local)

    def caption(self, i: int = 0) -> str:
        """What the family says of a world in a film."""
        group = next((g for g in self._groups if g.local[i] >= 0), self._groups[0])
        return self.family.caption(group.scene, self._task_of(group))[int(group.local[i])]

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

    def _task_of(self, group: Group) -> Any:
        return self.task if len(self._groups) == 1 else take(self.task, group.ids)

    def _observe(self) -> np.ndarray:
        obs = self._stack.blank()
        for group in self._groups:
            blocks = self.family.observe(group.scene, self._task_of(group))
            self._stack.write(obs, group.rows, blocks, self.family)
        return obs

    def _scatter(self, parts: list[np.ndarray], width: int) -> np.ndarray:
        out = np.zeros((self.num_worlds, width), np.float32)
        for group, part in zip(self._groups, parts):
            out[group.rows] = part
        return out

    def _ids(self, ids: np.ndarray | None) -> np.ndarray:
        if ids is None:
            return np.arange(self.num_worlds)
        ids = np.asarray(ids)
        if ids.dtype == bool and ids.shape == (self.num_worlds,):
            ids = np.flatnonzero(ids)
        if ids.size == 0:
            ids = np.zeros(0, int)
        if ids.ndim != 1 or ids.dtype.kind not in "iu":
            raise ShapeError(
                f"world ids must be integers of shape (n,) or a mask of shape"
                f" ({self.num_worlds},), got {ids.dtype} {ids.shape}"
            )
        if ids.size and (
            ids.min() < 0 or ids.max() >= self.num_worlds or (np.diff(ids) <= 0).any()
        ):
            raise ShapeError(
                f"world ids must be sorted, unique and in [0, {self.num_worlds}), got {ids}"
            )
        return ids

    def _checked(self, action: np.ndarray) -> np.ndarray:
        action = np.asarray(action)
        want = (self.num_worlds, self.spec.action_dim)
        if action.dtype.kind not in "fiu":
            raise ShapeError(f"actions must be numbers of shape {want}, got dtype {action.dtype}")
        if action.shape != want:
            raise ShapeError(f"actions must have shape {want}, got {action.shape}")
        if not np.isfinite(action).all():
            bad = np.flatnonzero(~np.isfinite(action).all(axis=1))
            raise ShapeError(
                f"actions are not finite in worlds {bad.tolist()[:10]}; no world moved"
            )
        if self.done.any():
            bad = np.flatnonzero(self.done)
            raise ShapeError(
                f"the episodes of worlds {bad.tolist()[:10]} have ended; call reset(ids) first"
            )
        return np.clip(action, -1.0, 1.0)
