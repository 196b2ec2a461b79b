"""Run forward or backward, or at a wanted speed: the half-cheetah of MAML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import mujoco
import numpy as np

from metarl.registry import register
from metarl.sim.scene import Scene
from metarl.streams import Streams
from metarl.types import Split, varies
from metarl_classic.runner import RunnerFamily, gymnasium_model, scale_mass

Task = TypeVar("Task")

X, SPEED, STEADY = 0, 1, 2  # columns of userdata: [m], [m/s], [m/s]
NUM_USERDATA = 3
STEADY_RATE = 0.1  # weight of the newest control step in the steady speed
CONTROL_COST = 0.05
RUNS_M_S = 1.0  # steady speed that counts as running in the wanted direction
SPEED_M_S, FAR_M_S = (0.0, 2.0), (2.0, 3.0)
SLIPPERY = (0.3, 0.7)  # friction of the far split


class CheetahFamily(RunnerFamily[Task]):
    """The half-cheetah; no episode ends early.

    Userdata holds the forward velocity as Gymnasium averages it over a control step, and
    its running mean over about half a second, by which success is judged.

    Deviation from the released code of MAML: a control step lasts 0.05 s, as in Gymnasium,
    not 0.01 s, at the same horizon; the torso's centre of mass is not observed; the
    velocity is the root's over a control step, not the torso's at its end; resets are as
    noisy as Gymnasium's.
    """

    cameras = ("film",)
    hidden_qpos = 1

    def models(self) -> dict[str, mujoco.MjSpec]:
        """Gymnasium's half-cheetah, with a camera and a light that run beside it."""
        spec = gymnasium_model("half_cheetah.xml")
        scale_mass(spec)
        spec.nuserdata = NUM_USERDATA
        track = mujoco.mjtCamLight.mjCAMLIGHT_TRACKCOM
        spec.delete(spec.lights[0])
        spec.body("torso").add_light(
            type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, mode=track,
            pos=[0, 0, 3], dir=[0, 0, -1], diffuse=[0.8, 0.8, 0.8],
        )  # fmt: skip
        spec.visual.map.shadowclip = 0.3  # a smaller map: no specks on the floor
        spec.body("torso").add_camera(
            name="film", mode=track,
            pos=[0, -3.5, 0.9], xyaxes=[1, 0, 0, 0, 0.22, 1],
        )  # fmt: skip
        return {"half_cheetah": spec}

    def reset(self, worlds: Scene, ids: np.ndarray, task: Task, rng: Streams) -> None:
        """Stand near the origin, with Gymnasium's noise."""
        super().reset(worlds, ids, task, rng)
        worlds.userdata[ids] = 0.0
        worlds.userdata[ids, X] = worlds.qpos[ids, 0]

    def advance(self, worlds: Scene, task: Task) -> None:
        """Measure the forward velocity over the control step."""
        memory, x = worlds.userdata, worlds.qpos[:, 0]
        memory[:, SPEED] = (x - memory[:, X]) / self.control_dt_s
        memory[:, STEADY] += STEADY_RATE * (memory[:, SPEED] - memory[:, STEADY])
        memory[:, X] = x


@dataclass(frozen=True)
class DirectionTask:
    """Where to run, and on what."""

    direction: np.ndarray = varies("1", -1.0, 1.0, hidden=True, doc="1 forward, -1 backward")
    friction: np.ndarray = varies(
        "1", SLIPPERY[0], 1.0, hidden=True, doc="share of the usual friction; 1 unless far"
    )


@register("classic/cheetah-direction")
class CheetahDirection(CheetahFamily[DirectionTask]):
    """Run forward or backward, as fast as possible.

    Two tasks only, the same in train and test. There is no direction outside them, so the
    far split is slippery: both directions with 0.3 to 0.7 of the usual friction.

    Source: Finn, Abbeel, Levine 2017, arXiv:1703.03400, section 5.3 (goal direction,
    horizon 200); control cost from its code, cbfinn/maml_rl half_cheetah_env_rand_direc.py.
    """

    task_type = DirectionTask
    weights = {"velocity": 1.0, "control": -CONTROL_COST}

    def sample(self, rng: Streams, n: int, split: Split) -> DirectionTask:
        """Toss a coin; the far split also draws the friction."""
        direction = np.where(rng.uniform() < 0.5, -1.0, 1.0)
        friction = rng.uniform(*SLIPPERY) if split == "far" else np.ones(n)
        return DirectionTask(direction, friction)

    def in_split(self, task: DirectionTask, split: Split) -> np.ndarray:
        """Say which tasks belong to a split, (n,) bool."""
        return (task.friction < 1.0) == (split == "far")

    def configure(self, worlds: Scene, ids: np.ndarray, task: DirectionTask) -> None:
        """Give each world its friction: the floor's and the robot's alike."""
        worlds.model_field("geom_friction")[ids] *= task.friction[:, None, None]

    def terms(
        self, worlds: Scene, task: DirectionTask, action: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Velocity in the wanted direction [m/s]; squared controls."""
        return {
            "velocity": task.direction * worlds.userdata[:, SPEED],
            "control": np.square(action).sum(axis=1),
        }

    def success(self, worlds: Scene, task: DirectionTask) -> np.ndarray:
        """Run the wanted way, faster than 1 m/s over about the last half second.

        The papers report returns alone; this threshold is ours.
        """
        return task.direction * worlds.userdata[:, STEADY] > RUNS_M_S


@dataclass(frozen=True)
class VelocityTask:
    """How fast to run."""

    speed_m_s: np.ndarray = varies(
        "m/s", SPEED_M_S[0], FAR_M_S[1], hidden=True, doc="wanted forward velocity"
    )


@register("classic/cheetah-velocity")
class CheetahVelocity(CheetahFamily[VelocityTask]):
    """Run at a wanted speed, uniform in [0, 2] m/s; far in [2, 3].

    Circulating copies draw from [0, 3], as jonasrothfuss/ProMP does, or charge twice the
    control cost, as Gymnasium does for running.

    Source: Finn, Abbeel, Levine 2017, arXiv:1703.03400, section 5.3 (goal velocity,
    horizon 200); control cost from its code, cbfinn/maml_rl half_cheetah_env_rand.py.
    """

    task_type = VelocityTask
    weights = {"error": -1.0, "control": -CONTROL_COST}

    def sample(self, rng: Streams, n: int, split: Split) -> VelocityTask:
        """Draw the wanted speed."""
        return VelocityTask(rng.uniform(*(FAR_M_S if split == "far" else SPEED_M_S)))

    def in_split(self, task: VelocityTask, split: Split) -> np.ndarray:
        """Say which tasks belong to a split, (n,) bool."""
        return (task.speed_m_s >= FAR_M_S[0]) == (split == "far")

    def terms(self, worlds: Scene, task: VelocityTask, action: np.ndarray) -> dict[str, np.ndarray]:
        """How far the velocity is from the wanted one [m/s]; squared controls."""
        return {
            "error": np.abs(worlds.userdata[:, SPEED] - task.speed_m_s),
            "control": np.square(action).sum(axis=1),
        }

    def success(self, worlds: Scene, task: VelocityTask) -> np.ndarray:
        """Be within a fifth of the wanted speed over about the last half second.

        The papers report returns alone; this threshold is ours.
        """
        error = np.abs(worlds.userdata[:, STEADY] - task.speed_m_s)
        return error < 0.2 * task.speed_m_s
