"""The one plug-in contract: what a task family fulfils."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np

from metarl.errors import ConfigError, FamilyError
from metarl.physics import MUJOCO
from metarl.types import SPLITS, Split

if TYPE_CHECKING:
    from metarl.sim.scene import Scene
    from metarl.streams import Streams

Task = TypeVar("Task")


class TaskFamily(Generic[Task]):
    """A distribution over tasks that share one observation and one action interface.

    A family is stateless: everything about a world lives in its physics state (its
    `userdata` included), everything about a task in the frozen task dataclass. Each
    method works on N worlds at once; row i never looks at row j.

    A world alone (a single Gymnasium environment) is several times as fast where `act`, `advance`,
    `observe`, `terms`, `success`, `failure` and `score` pass arrays of the scene and of the task
    through NumPy alone, since that is then replayed without NumPy. A new array that such are
    written into is made by ``np.zeros_like(x, shape=...)``; ``float(x)`` and ``worlds.batch`` do
    not do. `metarl check` says what stands in the way.

    Keyword arguments of its constructor, all of them texts with defaults, are the options that
    may stand behind its name (``kitchen/add@robot=ur5e``).

    Attributes:
        id: The registered name, set by `register`, with the options it was built with.
        task_type: The task dataclass; its fields are declared with `types.varies`, and an
            optional field ``model`` (`types.label`) picks the model of a task.
        horizon: Control steps in an episode.
        control_dt_s: Control period [s]; a multiple of each model's time step.
        weights: Weight of each named reward term.
        film_camera: The camera of films and pictures.
        cameras: Cameras that may be observed; environments that observe pixels take the first one.
        beside_pictures: Those blocks of `observe` that stay where pixels are observed: no camera
            shows them (the robot's joints, a recipe).
        idle_actions: Actions that do nothing here (a grip that holds a tool for good).
        same_test: Declares ``test = train`` (published standards); results say so.
        splits: The splits that it has; a published standard may have none that is far.
        same_start: Declares that every episode of a task begins alike (published standards).
        listed: Whether lists of all families show it; it has its name in any case.
        narrowed: Its tasks are some of a wider family's, whose observations it keeps; some of
            them may then never change.
        physics: What moves its worlds (`metarl.physics`), as its name says; a family need not know.
    """

    id: str = ""
    task_type: ClassVar[type]
    horizon: ClassVar[int] = 100
    control_dt_s: ClassVar[float] = 0.05
    weights: ClassVar[Mapping[str, float]] = {}
    film_camera: ClassVar[str | int] = -1
    cameras: ClassVar[tuple[str, ...]] = ()
    beside_pictures: ClassVar[tuple[str, ...]] = ("robot",)
    idle_actions: tuple[int, ...] = ()
    same_test: ClassVar[bool] = False
    splits: ClassVar[tuple[Split, ...]] = SPLITS
    same_start: ClassVar[bool] = False
    listed: ClassVar[bool] = True
    narrowed: bool = False
    physics: str = MUJOCO

    # Required ---------------------------------------------------------------------------

    def models(self) -> Mapping[str, Any]:
        """Build the models: name -> MjSpec, MJCF text, or path of an MJCF file."""
        raise _missing(self, "models")

    def sample(self, rng: Streams, n: int, split: Split) -> Task:
        """Draw n tasks of a split, row i from stream i alone."""
        raise _missing(self, "sample")

    def reset(self, worlds: Scene, ids: np.ndarray, task: Task, rng: Streams) -> None:
        """Write the initial state of the worlds `ids` (qpos, qvel, ctrl, userdata).

        Args:
            worlds: The scene; its state is the model's default for `ids`.
            ids: Which worlds, shape (n,).
            task: Their tasks, n rows.
            rng: Their streams, n rows.
        """
        raise _missing(self, "reset")

    def observe(self, worlds: Scene, task: Task) -> Mapping[str, np.ndarray]:
        """Return named blocks, each (N, D_i), bounded, without hidden fields."""
        raise _missing(self, "observe")

    def terms(self, worlds: Scene, task: Task, action: np.ndarray) -> Mapping[str, np.ndarray]:
        """Return the named reward terms after a step, each (N,), before weighting."""
        raise _missing(self, "terms")

    def success(self, worlds: Scene, task: Task) -> np.ndarray:
        """Judge each world, (N,) bool; it counts at the last control step."""
        raise _missing(self, "success")

    # Optional ---------------------------------------------------------------------------

    def columns(self) -> Mapping[str, Sequence[str]]:
        """Name the columns of observation blocks; a block may be left out.

        A policy that is carried to another family takes along what it knew of columns with the same
        name in a block of the same name, wherever they stand. Without names a block goes along if it
        is as wide.
        """
        return {}

    def configure(self, worlds: Scene, ids: np.ndarray, task: Task) -> None:
        """Write per-world model fields (`worlds.model_field`) of the worlds `ids`."""

    def act(self, worlds: Scene, task: Task, action: np.ndarray) -> None:
        """Turn actions in [-1, 1], (N, A), into `worlds.ctrl`; default: the control ranges."""
        worlds.ctrl[:] = worlds.ctrl_mid + action * worlds.ctrl_half

    def action_dim(self, num_actuators: int) -> int:
        """Return the number of actions; default: one per actuator."""
        return num_actuators

    def advance(self, worlds: Scene, task: Task) -> None:
        """Advance state beyond physics (in `worlds.userdata`), once a control step."""

    def failure(self, worlds: Scene, task: Task) -> np.ndarray:
        """Say which worlds have failed for good, (N,) bool -> terminated."""
        return np.zeros(worlds.num_worlds, bool)

    def score(self, worlds: Scene, task: Task) -> np.ndarray:
        """Grade each world in [0, 1]; default: success."""
        return self.success(worlds, task).astype(np.float32)

    def expert(self, worlds: Scene, task: Task) -> np.ndarray:
        """Return scripted actions, (N, A); it may look at hidden fields."""
        raise _missing(self, "expert")

    def caption(self, worlds: Scene, task: Task) -> list[str]:
        """Say in one line a world what a film should show beyond the picture; default: nothing."""
        return [""] * worlds.num_worlds

    def kinds(self, task: Task) -> list[str]:
        """Name each task's kind (a skill, a dish), where tables are to say how each kind went.

        Returns:
            A name a task; default: [], all are of one kind.
        """
        return []

    def in_split(self, task: Task, split: Split) -> np.ndarray | None:
        """Say which tasks belong to a split, (n,) bool; None if the family cannot tell."""
        return None

    @classmethod
    def has_expert(cls) -> bool:
        """Whether the family scripts an expert."""
        return cls.expert is not TaskFamily.expert


def timing_fault(family: TaskFamily[Any] | type[TaskFamily[Any]]) -> str:
    """Say what is wrong with a family's `horizon` and `control_dt_s`; empty if nothing is.

    Of a class, what it computes when it is built is not judged.
    """
    horizon, period = family.horizon, family.control_dt_s
    if not isinstance(horizon, property) and not (
        isinstance(horizon, int | np.integer) and not isinstance(horizon, bool) and horizon >= 1
    ):
        return f"horizon is {horizon!r}; expected a whole number of control steps, at least 1"
    if not isinstance(period, property) and not (
        isinstance(period, float | int | np.number) and 0.0 < period < np.inf
    ):
        return f"control_dt_s is {period!r}; expected a control period [s] above 0"
    return ""


def require_split(family: TaskFamily[Any], split: str) -> None:
    """Check that a family has a split.

    Raises:
        ConfigError: If it has not; lists those that it has.
    """
    if split not in SPLITS:
        raise ConfigError(f"unknown split {split!r}; valid: {', '.join(SPLITS)}")
    if split not in family.splits:
        raise ConfigError(f"{family.id} has no split {split!r}; it has {', '.join(family.splits)}")


def broken(family: TaskFamily[Any], method: str, said: str) -> FamilyError:
    """Make the error that a method of a family does not keep the contract.

    Args:
        family: The family.
        method: Which of its methods.
        said: What it did, for example ``"gave None, expected ..."``.
    """
    known = f"{family.id}: " if family.id else ""
    return FamilyError(f"{known}{method}() of {_origin(family)} {said}")


def _missing(family: TaskFamily[Any], method: str) -> FamilyError:
    return FamilyError(
        f"{_origin(family)} does not define {method}();"
        " the required methods are models, sample, reset, observe, terms, success"
    )


def _origin(family: TaskFamily[Any]) -> str:
    return f"{type(family).__module__}.{type(family).__name__}"
