"""N environments of others, stepped together: the same face as any worlds."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, cast

import mujoco
import numpy as np

from metarl.errors import CheckpointError, ConfigError, SimulationError
from metarl.family import broken
from metarl.physics import MUJOCO
from metarl.sim.blame import asks
from metarl.sim.given import as_array, checked_saved
from metarl.sim.groups import Group
from metarl.sim.outside.benches import Benches, Elsewhere, Here
from metarl.sim.outside.family import OutsideFamily, environment_error, require_environment
from metarl.sim.outside.process import Place
from metarl.sim.outside.scene import OutsideScene
from metarl.sim.replay.alone import One
from metarl.sim.scene import Scene
from metarl.sim.verdict import Judge
from metarl.sim.worlds import Worlds
from metarl.streams import Streams
from metarl.types import take

_SEEDS = 2**31  # what every generator of random numbers takes
_NAME = "environment"
_log = logging.getLogger(__name__)


class OutsideWorlds(Worlds):
    """N environments of others with their tasks; see `Worlds` and `OutsideFamily`.

    What cannot go on, its numbers being no longer finite or its process lost, is truncated and
    counted as diverged, as a world is whose physics left the finite numbers.

    ``num_threads`` is the number of worker processes, where there are any.
    """

    has_models: ClassVar[bool] = False
    benches: Benches
    scene: OutsideScene

    # Making -------------------------------------------------------------------------------

    @property
    def _theirs(self) -> OutsideFamily[Any]:
        """The family, which says where environments come from."""
        return cast(OutsideFamily[Any], self.family)

    def _build(self) -> None:
        if not isinstance(self.family, OutsideFamily):
            raise ConfigError(f"{self.family!r} is no OutsideFamily; make_worlds makes its worlds")
        if self.physics != MUJOCO:
            known = self.family.id or type(self.family).__name__
            raise ConfigError(
                f"physics is {self.physics!r}; the environments of {known} bring their own: leave it out"
            )
        require_environment(self._theirs)
        self.models: dict[str, mujoco.MjModel] = {}
        self.substeps = 0
        self.scene = OutsideScene(self.num_worlds, self._theirs.readings)
        self.benches = self._open()
        self._seeds = np.zeros(self.num_worlds, np.int64)  # of their episodes
        self._given = np.zeros((0, self.num_worlds, 0))  # (T, N, A), t steps into their episodes
        self._groups = [_All(self.scene)]

    def _open(self) -> Benches:
        family = self._theirs
        if not isinstance(family.environment, str) or not family.interpreter:
            return Here(family.environment, family.settings, family.readings, self._broken())
        place = Place(
            family.interpreter, family.environment, json.dumps(dict(family.settings)),
            tuple(family.readings), float(family.patience_s),
        )  # fmt: skip
        return Elsewhere(place, self.num_worlds, self.num_threads, self._broken())

    def _broken(self) -> Callable[[str, str], Any]:
        family = self._theirs  # not these worlds, which would hold themselves alive

        def error(what: str, said: str) -> Any:
            return environment_error(family, what, said)

        return error

    def _require_ranges(self) -> None:
        if idle := self.scene.unlimited:
            raise environment_error(
                self._theirs, "action_space",
                f"has no finite range for actions {idle}; actions in [-1, 1] are scaled to it: wrap"
                " the environment, or define act()",
            )  # fmt: skip

    def _prepare(self) -> None:
        self._pool, self._alone = None, None
        self._judge = Judge(self.family)

    # Tasks and episodes -------------------------------------------------------------------

    def _regroup(self) -> dict[str, np.ndarray]:
        return {_NAME: np.zeros(0, int)}

    def _configure(self, group: Group, ids: np.ndarray, changed: np.ndarray) -> None:
        if not len(ids):
            return
        handed = self._theirs.handed(take(self.task, ids))
        rows = isinstance(handed, Mapping) and all(
            isinstance(x, np.ndarray) and x.ndim and len(x) == len(ids) for x in handed.values()
        )
        if not rows:
            raise broken(self.family, "handed", f"gave no arrays of {len(ids)} rows by name")
        self.scene.declare(self.benches.assign(ids, handed))
        if not len(self._given):
            shape = (self.family.horizon, self.num_worlds, self.scene.num_actuators)
            self._given = np.zeros(shape)

    def _begin(self, ids: np.ndarray) -> None:
        if not len(ids):
            return
        rng = self.streams[ids]
        seeds = rng.integers(_SEEDS)
        self.streams.put(ids, rng)
        self._begin_by(ids, seeds)

    def _begin_by(self, ids: np.ndarray, seeds: np.ndarray) -> None:
        """Begin episodes by given seeds."""
        self._seeds[ids] = seeds
        self.elapsed[ids] = 0
        with self._over_if_it_fails():
            good = self.scene.write_start(ids, self.benches.reset(ids, seeds))
        if not good.all():
            bad = ids[~good].tolist()[:10]
            said = f"gave an observation that is not finite in worlds {bad}"
            raise environment_error(self._theirs, "reset()", said)

    # A control step -----------------------------------------------------------------------

    def _moved(self) -> Iterator[tuple[Group, np.ndarray | None]]:
        ids, scene = np.arange(self.num_worlds), self.scene
        with self._over_if_it_fails():
            method, name, rows = scene.wrote_no_numbers(np.ones(self.num_worlds, bool))
            if name:
                said = f"wrote {name} that is not finite in worlds {rows.tolist()[:10]}"
                raise broken(self.family, method, said)
            self._given[self.elapsed - 1, ids] = scene.ctrl
            given, lost = self.benches.step(ids, scene.ctrl)
        failed = lost.copy()
        if not lost.all():
            failed[~lost] = ~scene.write(ids[~lost], given)
        scene.forget(ids[lost])
        yield self._groups[0], failed if failed.any() else None

    def _start_again(self, group: Group, failed: np.ndarray) -> None:
        if not self.num_diverged:
            _log.warning(
                "%s: the episode of world %d cannot go on; it is truncated. This is said once; such"
                " worlds are counted as diverged",
                self.family.id or type(self.family).__name__, np.flatnonzero(failed)[0],
            )  # fmt: skip
        self.num_diverged += int(failed.sum())

    def _late(self) -> np.ndarray:
        return super()._late() | self.scene.truncated

    @asks
    def step_alone(self, action: np.ndarray) -> One:
        """The same as `step` for a world alone, in plain numbers; see `Worlds.step_alone`."""
        if self.num_worlds != 1:
            raise ConfigError(f"step_alone is for one world; there are {self.num_worlds}")
        step = self.step(as_array(action, "actions must be an array of numbers")[None])
        terms = {name: float(values[0]) for name, values in step.terms.items()}
        return One(
            step.obs[0], float(step.reward[0]), bool(step.terminated[0]), bool(step.truncated[0]),
            bool(step.success[0]), bool(step.diverged[0]), terms, float(step.score[0]),
        )  # fmt: skip

    @property
    def not_replayed(self) -> str:
        """Empty: there is nothing to replay."""
        return ""

    @contextlib.contextmanager
    def _over_if_it_fails(self) -> Iterator[None]:
        """End all episodes if something goes wrong, since some worlds have moved and some have not."""
        try:
            yield
        except BaseException:
            self.done[:] = True
            raise

    # State --------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """What a copy is made of: its environments are others, in the same place of their episodes."""
        parts = ("benches", "scene", "_groups", "_judge", "_pool", "_alone", "_given")
        kept = {name: value for name, value in vars(self).items() if name not in parts}
        return kept | {"saved": self.state_dict()}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        """Go on."""
        saved = kept.pop("saved")
        vars(self).update(kept)
        self._build()
        self._prepare()
        self.load_state_dict(saved)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on: how each episode began, and what was done in it."""
        running = ~self.done
        longest = int(self.elapsed[running].max(initial=0))
        return {
            "state": [np.concatenate(list(self.scene.obs.values()), axis=1)],
            "seeds": self._seeds.copy(),
            "given": self._given[:longest] * running[:, None],
            "keys": self.streams.keys.copy(),
            "counters": self.streams.counters.copy(),
            "elapsed": self.elapsed.copy(),
            "done": self.done.copy(),
            "task": {k: np.array(v) for k, v in vars(self.task).items()},
        }

    @asks
    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue from a `state_dict`: episodes that had not ended are played again up to there.

        Raises:
            CheckpointError: If it is of others, or an episode does not go as it went.
        """
        keys, counters, elapsed, done, seeds = (
            checked_saved(saved[name], now, name)
            for name, now in [
                ("keys", self.streams.keys),
                ("counters", self.streams.counters),
                ("elapsed", self.elapsed),
                ("done", self.done),
                ("seeds", self._seeds),
            ]
        )
        self.assign(type(self.task)(**saved["task"]))
        running = np.flatnonzero(~done)
        longest = int(elapsed[running].max(initial=0))
        if elapsed.min() < 0 or (longest and longest >= len(self._given)):
            raise CheckpointError(
                f"elapsed of this state is {elapsed.min()} to {longest} control steps of episodes that"
                f" go on; expected 0 to {len(self._given) - 1}"
            )
        given = checked_saved(saved["given"], self._given[:longest], "given")
        (state,) = saved["state"]
        now = np.concatenate(list(self.scene.obs.values()), axis=1)
        self._play_again(running, seeds, elapsed, given, checked_saved(state, now, "state"))
        self.streams, self.elapsed, self.done = Streams(keys, counters), elapsed, done
        self._seeds = seeds
        self.obs = self._observe()

    def _play_again(
        self,
        running: np.ndarray,
        seeds: np.ndarray,
        elapsed: np.ndarray,
        given: np.ndarray,
        state: np.ndarray,
    ) -> None:
        """Bring episodes to where they were, and see that they are there."""
        self._given[: len(given)] = given
        if len(running):
            self._begin_by(running, seeds[running])
        for t in range(len(given)):
            ids = running[elapsed[running] > t]
            answer, lost = self.benches.step(ids, given[t, ids])
            if lost.any():
                raise SimulationError("a worker was lost while episodes were played again; retry")
            self.scene.write(ids, answer)
        start = 0
        over = np.setdiff1d(np.arange(self.num_worlds), running)
        for name, values in self.scene.obs.items():
            there = state[:, start : start + values.shape[1]].astype(values.dtype)
            start += values.shape[1]
            values[over] = there[over]
            if (values != there).any():
                bad = np.flatnonzero((values != there).any(axis=1)).tolist()[:10]
                raise CheckpointError(
                    f"{self.family.id}: the episodes of worlds {bad} do not go as they went: {name} is"
                    " another, though seed, task and actions are the same; the environment draws from"
                    " elsewhere than reset(seed=...), or has changed"
                )

    # Pictures -----------------------------------------------------------------------------

    def picture(self, i: int) -> np.ndarray:
        """Let a world draw itself: RGB, shape (H, W, 3), uint8."""
        return self.benches.render(i)

    def world(self, i: int = 0) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """Refuse: these are no worlds of MuJoCo's, or of another one.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(
            f"{self.family.id}: its worlds are environments of others, not MuJoCo models that can be"
            " looked into; films show what these draw of themselves"
        )

    def model_name(self, i: int = 0) -> str:
        """One name for all."""
        return _NAME


class _All(Group):
    """All worlds, in their order.

    Args:
        scene: What the family sees of them.
    """

    def __init__(self, scene: OutsideScene):
        self.name, self.num_threads = _NAME, 1
        self.scene = cast(Scene, scene)  # a family sees its own kind
        self._seat(np.arange(scene.num_worlds), scene.num_worlds)
