"""Meta-World's skills and benchmarks as families; its environments run in its own interpreter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np

from metarl.registry import register
from metarl.sim.outside import OutsideFamily
from metarl.streams import Streams
from metarl.types import Split, label, varies
from metarl_metaworld.names import ML10, MT10, SKILLS
from metarl_metaworld.table import INTERPRETER, THERE, Table, tasks_of

LOW_M, HIGH_M = (-0.6, 0.2, -0.1), (0.6, 1.1, 0.7)  # around everything that is a goal
_ROBOT = ("hand x", "hand y", "hand z", "gripper opening")
_OBJECT = tuple(
    f"{which} {name}"
    for which in ("first", "second")
    for name in ("x", "y", "z", "turn x", "turn y", "turn z", "turn w")
)


@dataclass(frozen=True)
class GoalTask:
    """One of a skill's tasks."""

    number: np.ndarray = label("which of the benchmark's tasks")
    goal_m: np.ndarray = varies("m", LOW_M, HIGH_M, hidden=True, doc="where the goal is")


@dataclass(frozen=True)
class Ml10Task:
    """One of a benchmark's tasks: which skill, and where its goal is."""

    number: np.ndarray = label("which of the benchmark's tasks")
    goal_m: np.ndarray = varies("m", LOW_M, HIGH_M, hidden=True, doc="where the goal is")
    skill: np.ndarray = varies(
        "1", (0.0,) * len(ML10), (1.0,) * len(ML10), hidden=True, doc="1 for the skill it is"
    )


@dataclass(frozen=True)
class Mt10Task:
    """Likewise; which skill it is may be seen."""

    number: np.ndarray = label("which of the benchmark's tasks")
    goal_m: np.ndarray = varies("m", LOW_M, HIGH_M, hidden=False, doc="where the goal is")
    skill: np.ndarray = varies(
        "1", (0.0,) * len(MT10), (1.0,) * len(MT10), hidden=False, doc="1 for the skill it is"
    )


Task = TypeVar("Task")


class MetaWorld(OutsideFamily[Task]):
    """What all have in common.

    Tasks are Meta-World's own: fifty of each skill for training and, of a benchmark of learning to
    learn, fifty more that are held out; nothing is far. An episode succeeds if it did at any step, and
    every episode of a task begins alike.
    """

    horizon = 500
    control_dt_s = 0.0125
    environment = f"{THERE}:Skills"
    same_start = True
    narrowed = True  # one observation for all skills, many of which have one object
    listed = False
    splits = ("train", "test")
    needs = INTERPRETER  # for `metarl metaworld install`
    benchmark: ClassVar[str]
    skills: ClassVar[tuple[str, ...]]

    def __init__(self) -> None:
        self.interpreter = INTERPRETER.path()  # else it is told at once that there is none
        self.settings = {"names": list(self.skills)}

    @property
    def table(self) -> Table:
        """All its tasks."""
        return tasks_of(self.benchmark, self.skills)

    def sample(self, rng: Streams, n: int, split: Split) -> Any:
        """Draw from Meta-World's tasks of a split."""
        table = self.table
        there = np.flatnonzero(table.test == (split == "test" and not self.same_test))
        number = there[rng.integers(len(there))]
        found = {"number": number, "goal_m": table.goal_m[number]}
        if len(self.skills) > 1:
            found["skill"] = np.eye(len(self.skills))[table.skill[number]]
        return self.task_type(**found)

    def in_split(self, task: Any, split: Split) -> np.ndarray:
        """Say which tasks belong to a split, (n,) bool."""
        return self.table.test[task.number] == (split == "test" and not self.same_test)

    def handed(self, task: Any) -> Mapping[str, np.ndarray]:
        """Which skill, and where things are."""
        table = self.table
        return {"skill": table.skill[task.number], "places_m": table.places_m[task.number]}

    def observe(self, worlds: Any, task: Any) -> dict[str, np.ndarray]:
        """The hand, up to two objects, and both a step earlier; the goal is the task's own."""
        seen = worlds.obs["observation"]
        return {"robot": seen[:, :4], "object": seen[:, 4:18], "before": seen[:, 18:36]}

    def columns(self) -> dict[str, tuple[str, ...]]:
        """Name the columns."""
        before = tuple(f"{name} before" for name in (*_ROBOT, *_OBJECT))
        return {"robot": _ROBOT, "object": _OBJECT, "before": before}


@register("metaworld/ml10")
class Ml10(MetaWorld[Ml10Task]):
    """Ten skills to learn from, five others to learn; skill and goal are hidden.

    Source: Yu et al. 2019, arXiv:1910.10897; Meta-World 3.1.1.
    """

    task_type = Ml10Task
    benchmark = "ml10"
    skills = ML10


@register("metaworld/mt10")
class Mt10(MetaWorld[Mt10Task]):
    """Ten skills at once; skill and goal may be seen, and there are no held-out tasks.

    Source: Yu et al. 2019, arXiv:1910.10897; Meta-World 3.1.1.
    """

    task_type = Mt10Task
    benchmark = "mt10"
    skills = MT10
    same_test = True


def _register_skill(skill: str) -> None:
    """Register a skill as a family: the benchmark ML1 of Meta-World."""
    said = skill.removesuffix("-v3").replace("-", " ")
    family = type(
        f"Ml1_{skill.replace('-', '_')}",
        (MetaWorld,),
        {
            "__doc__": f"Meta-World's {said}: fifty goals to learn from, fifty others to learn.",
            "__module__": __name__,
            "task_type": GoalTask,
            "benchmark": f"ml1:{skill}",
            "skills": (skill,),
        },
    )
    register(f"metaworld/{skill}")(family)


for _skill in SKILLS:
    _register_skill(_skill)
