"""`kitchen/skills` and `kitchen/repertoire`: one family over skills, two of them held out."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import mujoco
import numpy as np

from metarl.registry import register
from metarl.sim.scene import Scene
from metarl.streams import Streams
from metarl.types import Split, label, num_tasks, put, take, variations, varies
from metarl_kitchen.add import Add
from metarl_kitchen.cover import Cover
from metarl_kitchen.flip import Flip
from metarl_kitchen.heat import Heat
from metarl_kitchen.kitchen import KitchenFamily
from metarl_kitchen.pour import Pour
from metarl_kitchen.season import MIDDLE_M, Season
from metarl_kitchen.serve import Serve
from metarl_kitchen.soak import Soak
from metarl_kitchen.sprinkle import Sprinkle
from metarl_kitchen.stir import Stir

TRAIN = (Season, Heat, Add, Stir, Cover, Serve)
HELD_OUT = (Pour, Flip)
THINGS = ("pot", "pan", "plate", "lid", "stove", "board", "food")

# What a skill sees, in blocks of one meaning: the thing that is to be taken (its way from the hand,
# place and motion first), a knob, what runs from a tool, pieces that a tool pushes.
BLOCKS = {"thing": 19, "knob": 3, "flow": 5, "pieces": 33}
SEES = {
    "season": ("flow",),
    "heat": ("thing", "knob"),
    "add": ("thing",),
    "stir": ("pieces",),
    "cover": ("thing",),
    "serve": ("thing",),
    "pour": ("flow",),
    "flip": ("thing",),
    "sprinkle": ("flow",),
    "soak": ("thing",),
}
TO_KNOB = 3  # columns of `thing` that a knob fills


class Slot(NamedTuple):
    """Columns of a task block that mean the same in every skill.

    Args:
        name: What they mean.
        block: ``seen`` or ``unseen``.
        columns: Which.
    """

    name: str
    block: str
    columns: tuple[int, ...]


FROM = Slot("from", "seen", (0, 1))
TO = Slot("to", "seen", (2, 3))
SIZE = Slot("size", "seen", (4, 5, 6))
WIDTH = Slot("width", "seen", (4,))
MORE = Slot("more", "seen", (7, 8))
FILL = Slot("fill", "seen", (7,))
BRIM = Slot("brim", "seen", (7,))
SPOUT = Slot("spout", "seen", (5, 6))
WHERE = Slot("where", "unseen", (0, 1))
AMOUNT = Slot("amount", "unseen", (2,))
PACE = Slot("pace", "unseen", (3,))
MASS = Slot("mass", "unseen", (4,))
FRICTION = Slot("friction", "unseen", (5,))
STRENGTH = Slot("strength", "unseen", (6,))
MASSES = Slot("masses", "unseen", (4, 6, 7))
NUM_SEEN, NUM_HIDDEN = 9, 8

# Places on the counter, on one scale in all skills: seen where things are taken from, unseen where
# they are wanted.
HALF_M = 0.35
PLACES = {
    "season": {"pot_m": WHERE},
    "heat": {"knob_m": FROM},
    "add": {"food_m": FROM, "pan_m": WHERE},
    "stir": {"pan_m": TO},
    "cover": {"lid_m": FROM, "seen_m": TO},
    "serve": {"pan_m": FROM, "plate_m": TO},
    "pour": {"pot_m": WHERE},
    "flip": {"pan_m": FROM},
    "sprinkle": {"pot_m": WHERE},
    "soak": {"dish_m": FROM},
}
# Everything else, each scaled from its own range.
NUMBERS = {
    "season": {"wanted_g": AMOUNT, "coarseness": PACE},
    "heat": {"target_rad": AMOUNT, "stiffness": STRENGTH},
    "add": {"size_m": SIZE, "mass_kg": MASS, "friction": FRICTION},
    "stir": {
        "radius_m": SIZE,
        "vigour_m_s": PACE,
        "heat": AMOUNT,
        "mass_kg": MASSES,
        "friction": FRICTION,
    },
    "cover": {
        "offset_m": WHERE,
        "knob_m": WIDTH,
        "mass_kg": MASS,
        "friction": FRICTION,
    },
    "serve": {
        "food_m": MORE,
        "spot_m": WHERE,
        "size_m": SIZE,
        "mass_kg": MASS,
        "friction": FRICTION,
        "stands_n": AMOUNT,
        "strength": STRENGTH,
    },
    "pour": {
        "wanted_ml": AMOUNT,
        "viscosity": PACE,
        "fill_ml": FILL,
        "radius_m": WIDTH,
    },
    "flip": {"size_m": SIZE, "mass_kg": MASS, "friction": FRICTION, "rate_1_s": PACE},
    "sprinkle": {
        "wanted_g": AMOUNT,
        "coarseness": PACE,
        "spout_m": SPOUT,
        "brim_rad": BRIM,
    },
    "soak": {"size_m": SIZE, "mass_kg": MASS, "friction": FRICTION, "soak_s": PACE},
}


@dataclass(frozen=True, eq=False)  # each is itself: `_own` remembers by it
class SkillsTask:
    """A task of some skill in terms that all skills share, each in [-1, 1]; see `PLACES`."""

    seen: np.ndarray = varies(
        "1",
        (-1.0,) * NUM_SEEN,
        (1.0,) * NUM_SEEN,
        hidden=False,
        doc="place, size, what else is seen",
    )
    unseen: np.ndarray = varies(
        "1",
        (-1.0,) * NUM_HIDDEN,
        (1.0,) * NUM_HIDDEN,
        hidden=True,
        doc="where to, how much, how fast; mass, friction, strength",
    )
    model: np.ndarray = label("which skill, and which of its models")


class _Part(NamedTuple):
    """A skill's models among all models.

    Args:
        name: Of the skill.
        family: The skill.
        first: Index of its first model.
        models: How many it has.
        chooses: Whether a task of its own says on which of them it runs.
    """

    name: str
    family: KitchenFamily[Any]
    first: int
    models: int
    chooses: bool


@register("kitchen/skills")
class Skills(KitchenFamily[SkillsTask]):
    """Six skills to train on, pouring and flipping held out, behind one interface.

    Observations are the robot's, what the skill sees in blocks that skills share (zeros where it
    sees nothing of the kind), and which things stand in the scene. Tasks are described in shared
    terms, too; where a thing is wanted is always hidden here. Rewards are the skill's, its terms
    weighted and summed.
    """

    task_type = SkillsTask
    horizon = 60
    weights = {"skill": 1.0}
    train_skills: ClassVar[tuple[type[KitchenFamily[Any]], ...]] = TRAIN
    test_skills: ClassVar[tuple[type[KitchenFamily[Any]], ...]] = HELD_OUT

    def __init__(
        self, *, robot: str = "panda", control: str = "hand", site: str = "", home: str = ""
    ):
        super().__init__(robot=robot, control=control, site=site, home=home)
        self.parts: list[_Part] = []
        self._part_of: list[_Part] = []  # by model
        self._sources: dict[str, Any] = {}
        for cls in (*self.train_skills, *self.test_skills):
            family = cls(robot=robot, control=control, site=site, home=home)
            own = family.models()
            name = cls.id.rpartition("/")[2]
            chooses = any(f.name == "model" for f in fields(cls.task_type))
            self.parts.append(_Part(name, family, len(self._sources), len(own), chooses))
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

    def kinds(self, task: SkillsTask) -> list[str]:
        """Which skill it is."""
        return [self._part_of[model].name for model in task.model]

    def _parts_of(self, split: Split) -> list[_Part]:
        known = len(self.train_skills)
        return self.parts[:known] if split == "train" else self.parts[known:]

    def _own(self, task: SkillsTask) -> tuple[KitchenFamily[Any], Any]:
        """The skill of a scene's tasks, which share one model, and the tasks as its own."""
        part = self._part_of[int(task.model[0])]
        return part.family, _own(part, task)

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
        """The whole robot, what the skill sees, and what stands in the scene."""
        family, own = self._own(task)
        sees, seen = SEES[self._part_of[int(task.model[0])].name], family.things(worlds, own)
        n = worlds.num_worlds
        blocks = {name: np.zeros_like(seen, shape=(n, width)) for name, width in BLOCKS.items()}
        if "knob" in sees:
            blocks["thing"][:, :TO_KNOB], blocks["knob"][:] = np.split(seen, [TO_KNOB], axis=1)
        else:
            blocks[sees[0]][:, : seen.shape[1]] = seen
        stands = _furnishing(worlds.model, "grip" in family.still)
        stands = np.broadcast_to(stands, (len(seen), len(stands)))
        return {"robot": self.robot.observe(worlds), **blocks, "scene": stands}

    def terms(self, worlds: Scene, task: SkillsTask, action: np.ndarray) -> dict[str, np.ndarray]:
        """The skill's reward."""
        family, own = self._own(task)
        terms = family.terms(worlds, own, action)
        reward = np.zeros(worlds.num_worlds)
        for name, values in terms.items():
            reward = reward + family.weights[name] * values
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
        """Which skill it is, and what the skill says."""
        family, own = self._own(task)
        return [f"{family.id.rpartition('/')[2]}: {told}" for told in family.caption(worlds, own)]


@register("kitchen/repertoire")
class Repertoire(Skills):
    """As `kitchen/skills`, with two more skills to train on, each a variation of one that is known.

    Sugar runs from pourers of many shapes as soon as they are tilted (`kitchen/sprinkle`), where the
    shaker of `kitchen/season` is always the same. Slices of bread are turned over in beaten egg, in
    plates and pans of many heights (`kitchen/soak`). Held out are the same two.
    """

    train_skills = (*TRAIN, Sprinkle, Soak)


@lru_cache(maxsize=32)  # by model
def _furnishing(model: mujoco.MjModel, tool: bool) -> np.ndarray:
    """Whether a tool is in the hand, and which things stand there, (1 + T,)."""
    names = {model.body(i).name for i in range(model.nbody)}
    names |= {model.geom(i).name for i in range(model.ngeom)}
    return np.array([tool, *(any(n.startswith(t) for n in names) for t in THINGS)], float)


def _slots(part: _Part) -> dict[str, tuple[Slot, np.ndarray, np.ndarray]]:
    """Where each field of a skill's task goes: its slot, and the value of 0 and of 1 there."""
    found = {}
    for name, slot in PLACES[part.name].items():
        found[name] = slot, MIDDLE_M, np.full(2, HALF_M)
    ranges = variations(part.family.task_type)
    for name, slot in NUMBERS[part.name].items():
        low, high = (
            np.atleast_1d(np.asarray(x, float)) for x in (ranges[name].low, ranges[name].high)
        )
        found[name] = slot, (low + high) / 2.0, (high - low) / 2.0
    return found


def _pack(part: _Part, own: Any) -> SkillsTask:
    """A skill's tasks as tasks of all skills."""
    n = num_tasks(own)
    blocks = {"seen": np.zeros((n, NUM_SEEN)), "unseen": np.zeros((n, NUM_HIDDEN))}
    for name, (slot, middle, half) in _slots(part).items():
        values = np.asarray(getattr(own, name), float).reshape(n, -1)
        blocks[slot.block][:, slot.columns] = (values - middle) / half
    model = getattr(own, "model", None)
    index = part.first + (np.zeros(n, int) if model is None else np.asarray(model))
    return SkillsTask(**blocks, model=index)


@lru_cache(maxsize=64)  # once for all of an episode's calls; more than there are models
def _own(part: _Part, task: SkillsTask) -> Any:
    return _unpack(part, task)


def _unpack(part: _Part, task: SkillsTask) -> Any:
    """The reverse of `_pack`."""
    values, blocks = {}, {"seen": task.seen, "unseen": task.unseen}
    for name, (slot, middle, half) in _slots(part).items():
        own = middle + half * blocks[slot.block][:, slot.columns]
        values[name] = own if len(slot.columns) > 1 else own[:, 0]
    if part.chooses:
        values["model"] = np.asarray(task.model) - part.first
    return part.family.task_type(**values)
