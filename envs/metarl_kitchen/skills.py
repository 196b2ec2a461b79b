"""`kitchen/skills`: one family over skills, two of them held out."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from metarl.registry import register
from metarl.sim.scene import Scene
from metarl.streams import Streams
from metarl.types import Split, Variation, label, num_tasks, put, take, variations, varies
from metarl_kitchen.add import Add
from metarl_kitchen.cover import Cover
from metarl_kitchen.flip import Flip
from metarl_kitchen.heat import Heat
from metarl_kitchen.kitchen import KitchenFamily
from metarl_kitchen.pour import Pour
from metarl_kitchen.season import Season
from metarl_kitchen.serve import Serve
from metarl_kitchen.stir import Stir

TRAIN = (Season, Heat, Add, Stir, Cover, Serve)
HELD_OUT = (Pour, Flip)
NUM_SEEN, NUM_HIDDEN, NUM_OBJECT = 9, 6, 33  # columns that every skill's own fit into
THINGS = ("pot", "pan", "plate", "lid", "stove", "board", "food")


@dataclass(frozen=True)
class SkillsTask:
    """A task of some skill: its own fields, scaled to [-1, 1], in as many columns for all."""

    seen: np.ndarray = varies(
        "1", (-1.0,) * NUM_SEEN, (1.0,) * NUM_SEEN, hidden=False, doc="the skill's visible fields"
    )
    unseen: np.ndarray = varies(
        "1", (-1.0,) * NUM_HIDDEN, (1.0,) * NUM_HIDDEN, hidden=True, doc="its hidden fields"
    )
    model: np.ndarray = label("which skill, and which of its models")


class _Part(NamedTuple):
    """A skill's models among all models.

    Args:
        family: The skill.
        first: Index of its first model.
        models: How many it has.
    """

    family: KitchenFamily[Any]
    first: int
    models: int


@register("kitchen/skills")
class Skills(KitchenFamily[SkillsTask]):
    """Six skills to train on, pouring and flipping held out, behind one interface.

    Observations are the robot's, the skill's own object block padded with zeros, and which
    things stand in the scene. Rewards are the skill's, its terms weighted and summed.
    """

    task_type = SkillsTask
    horizon = 60
    weights = {"skill": 1.0}

    def __init__(
        self, *, robot: str = "panda", control: str = "hand", site: str = "", home: str = ""
    ):
        super().__init__(robot=robot, control=control, site=site, home=home)
        self.parts: list[_Part] = []
        self._part_of: list[_Part] = []  # by model
        self._sources: dict[str, Any] = {}
        self._last: dict[
            int, tuple[SkillsTask, Any]
        ] = {}  # by model: tasks, and as the skill's own
        self._stands: dict[int, np.ndarray] = {}  # by model: what stands in the scene
        for cls in (*TRAIN, *HELD_OUT):
            family = cls(robot=robot, control=control, site=site, home=home)
            own = family.models()
            name = cls.id.rpartition("/")[2]
            self.parts.append(_Part(family, len(self._sources), len(own)))
            self._part_of += [self.parts[-1]] * len(own)
            for key, source in own.items():
                self._sources[name if len(own) == 1 else f"{name}-{key}"] = source

    def models(self) -> dict[str, Any]:
        """Every model of every skill."""
        return dict(self._sources)

    # Tasks ------------------------------------------------------------------------------

    def sample(self, rng: Streams, n: int, split: Split) -> SkillsTask:
        """Draw skills of the split, then a task of each; held-out skills in their own ranges."""
        parts = self._parts_of(split)
        pick = np.minimum((rng.uniform() * len(parts)).astype(int), len(parts) - 1)
        rows = np.zeros((n, NUM_SEEN)), np.zeros((n, NUM_HIDDEN))
        task = SkillsTask(*rows, np.zeros(n, int))
        for k, part in enumerate(parts):
            ids = np.flatnonzero(pick == k)
            if len(ids):
                own = rng[ids]
                drawn = part.family.sample(own, len(ids), "far" if split == "far" else "train")
                rng.put(ids, own)
                task = put(task, ids, _pack(part, drawn))
        return task

    def in_split(self, task: SkillsTask, split: Split) -> np.ndarray:
        """Say which tasks belong to a split, (n,) bool."""
        inside = np.zeros(len(task.model), bool)
        for part in self._parts_of(split):
            ids = np.flatnonzero(
                (task.model >= part.first) & (task.model < part.first + part.models)
            )
            if len(ids):
                own = _unpack(part, take(task, ids))
                inside[ids] = part.family.in_split(own, "far" if split == "far" else "train")
        return inside

    def _parts_of(self, split: Split) -> list[_Part]:
        return self.parts[: len(TRAIN)] if split == "train" else self.parts[len(TRAIN) :]

    def _own(self, task: SkillsTask) -> tuple[KitchenFamily[Any], Any]:
        """The skill of a scene's tasks, which share one model, and the tasks as its own."""
        model = int(task.model[0])
        part = self._part_of[model]
        if model not in self._last or self._last[model][0] is not task:
            self._last[model] = task, _unpack(part, task)  # once for all of an episode's calls
        return part.family, self._last[model][1]

    # The skill's own --------------------------------------------------------------------

    def configure(self, worlds: Scene, ids: np.ndarray, task: SkillsTask) -> None:
        """As the skill does."""
        family, own = self._own(task)
        family.configure(worlds, ids, own)

    def reset(self, worlds: Scene, ids: np.ndarray, task: SkillsTask, rng: Streams) -> None:
        """As the skill does."""
        family, own = self._own(task)
        family.reset(worlds, ids, own, rng)

    def act(self, worlds: Scene, task: SkillsTask, action: np.ndarray) -> None:
        """As the skill does: some hold the grip or the tilt still."""
        family, own = self._own(task)
        family.act(worlds, own, action)

    def advance(self, worlds: Scene, task: SkillsTask) -> None:
        """As the skill does."""
        family, own = self._own(task)
        family.advance(worlds, own)

    def observe(self, worlds: Scene, task: SkillsTask) -> dict[str, np.ndarray]:
        """The whole robot, the skill's object block, and what stands in the scene."""
        family, own = self._own(task)
        model = int(task.model[0])
        if model not in self._stands:
            self._stands[model] = _furnishing(worlds, family)
        seen = family.things(worlds, own)
        padded = np.zeros((len(seen), NUM_OBJECT))
        padded[:, : seen.shape[1]] = seen
        return {
            "robot": self.robot.observe(worlds),
            "object": padded,
            "scene": np.broadcast_to(self._stands[model], (len(seen), len(self._stands[model]))),
        }

    def terms(self, worlds: Scene, task: SkillsTask, action: np.ndarray) -> dict[str, np.ndarray]:
        """The skill's reward."""
        family, own = self._own(task)
        terms = family.terms(worlds, own, action)
        reward = np.zeros(worlds.num_worlds)
        for name, values in terms.items():
            reward += family.weights[name] * values
        return {"skill": reward}

    def success(self, worlds: Scene, task: SkillsTask) -> np.ndarray:
        """As the skill judges."""
        family, own = self._own(task)
        return family.success(worlds, own)

    def hand_expert(self, worlds: Scene, task: SkillsTask) -> np.ndarray:
        """As the skill's expert does."""
        family, own = self._own(task)
        return family.hand_expert(worlds, own)

    def expert(self, worlds: Scene, task: SkillsTask) -> np.ndarray:
        """As the skill's expert does, with any robot."""
        family, own = self._own(task)
        return family.expert(worlds, own)

    def caption(self, worlds: Scene, task: SkillsTask) -> list[str]:
        """Which skill it is."""
        family, _ = self._own(task)
        return [family.id.rpartition("/")[2]] * worlds.num_worlds


def _furnishing(worlds: Scene, family: KitchenFamily[Any]) -> np.ndarray:
    """Whether a tool is in the hand, and which things stand there, (1 + T,)."""
    model = worlds.model
    names = {model.body(i).name for i in range(model.nbody)}
    names |= {model.geom(i).name for i in range(model.ngeom)}
    tool = "grip" in family.still
    return np.array([tool, *(any(n.startswith(t) for n in names) for t in THINGS)], float)


def _scaled(values: np.ndarray, v: Variation) -> np.ndarray:
    low, high = np.asarray(v.low, float), np.asarray(v.high, float)
    return 2.0 * (values - low) / (high - low) - 1.0


def _unscaled(values: np.ndarray, v: Variation) -> np.ndarray:
    low, high = np.asarray(v.low, float), np.asarray(v.high, float)
    return low + (high - low) * (values + 1.0) / 2.0


def _pack(part: _Part, own: Any) -> SkillsTask:
    """A skill's tasks as tasks of all skills."""
    n = num_tasks(own)
    blocks = {False: np.zeros((n, NUM_SEEN)), True: np.zeros((n, NUM_HIDDEN))}
    used = {False: 0, True: 0}
    for name, v in variations(type(own)).items():
        values = _scaled(np.asarray(getattr(own, name), float), v).reshape(n, -1)
        start = used[v.hidden]
        used[v.hidden] = start + values.shape[1]
        blocks[v.hidden][:, start : used[v.hidden]] = values
    model = getattr(own, "model", None)
    index = part.first + (np.zeros(n, int) if model is None else np.asarray(model))
    return SkillsTask(blocks[False], blocks[True], index)


def _unpack(part: _Part, task: SkillsTask) -> Any:
    """The reverse of `_pack`."""
    task_type = part.family.task_type
    used, values = {False: 0, True: 0}, {}
    for name, v in variations(task_type).items():
        width = np.size(v.low) if np.ndim(v.low) else 1
        block, start = task.unseen if v.hidden else task.seen, used[v.hidden]
        used[v.hidden] = start + width
        own = block[:, start : used[v.hidden]]
        values[name] = _unscaled(own if np.ndim(v.low) else own[:, 0], v)
    if any(f.name == "model" for f in fields(task_type)):
        values["model"] = np.asarray(task.model) - part.first
    return task_type(**values)
