"""Write the page about the families: pictures, on every robot, and tables of what varies.

    python docs/tour.py

Pictures are single frames of the scripted experts at work (of the trained references, or of random
play, on the published standards); tables are read from the code, the ranges of each split from
tasks that were drawn.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from PIL import Image

from metarl.adapt.adaptation import act_with
from metarl.errors import CheckpointError
from metarl.family import TaskFamily
from metarl.film.episode import episode_frames, film_renderer
from metarl.registry import (
    family_class,
    family_names,
    make_family,
    option_names,
    robot_class,
    robot_names,
)
from metarl.runs.policies import load_policy, read_checkpoint
from metarl.runs.shipped import reference
from metarl.sim.worlds import Worlds
from metarl.streams import Streams
from metarl.types import SPLITS, variations

FOLDER = Path(__file__).parent
REFERENCES = FOLDER.parent / "benchmarks/results/references.json"
WIDTH, HEIGHT = 400, 300  # of each picture [pixels]
MOMENT = 0.55  # share of the episode after which the picture is taken
DRAWN = 4096  # tasks of each split whose ranges are shown
GAP = 0.05  # share of a range without a task that is shown as a gap
PAGE = "families.md"
DISH, GIF_SIZE, GIF_STEPS, GIF_MS = "tomato-egg-soup", (360, 270), 8, 100


def picture(name: str, **options: str) -> np.ndarray:
    """Draw the expert at work, else the trained reference, else random play, (H, W, 3)."""
    family = make_family(name, **options)
    trained = None
    if not family.has_expert():
        with suppress(CheckpointError):  # none is shipped
            trained = load_policy(read_checkpoint(reference(name)))
    worlds = Worlds(family, 1, seed=5, task_visible=trained is not None)
    obs, rng = worlds.reset(), np.random.default_rng(0)
    learned = act_with(trained, dict(trained.named_parameters())) if trained else None
    for _ in range(round(MOMENT * family.horizon)):
        chance = rng.uniform(-1.0, 1.0, (1, worlds.spec.action_dim))
        act = learned(obs) if learned else worlds.expert() if family.has_expert() else chance
        obs = worlds.step(act).obs
        if worlds.done.any():
            obs = worlds.reset()
    model, data = worlds.world()
    mujoco.mj_forward(model, data)
    with film_renderer(worlds, width=WIDTH, height=HEIGHT) as renderer:
        return renderer.frame(model, data)


def row_of_pictures(name: str) -> str:
    """Draw a family on every robot that it takes, side by side; returns the file's name."""
    takes = "robot" in option_names(family_class(name))
    frames = [picture(name, robot=r) for r in robot_names()] if takes else [picture(name)]
    path = FOLDER / "pictures" / f"{name.replace('/', '-')}.jpg"
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.concatenate(frames, axis=1)).save(path, quality=88)
    return f"pictures/{path.name}"


def facts(family: TaskFamily[Any]) -> Iterator[str]:
    """Yield how long an episode is, what success is and how the robot is moved."""
    seconds = family.horizon * family.control_dt_s
    said = [f"{family.horizon} control steps, {seconds:g} s."]
    if "control" in option_names(type(family)):
        said.append("Moved by the hand or by the joints.")
    if family.same_test:
        said.append("A published standard: train and test are the same tasks.")
    yield " ".join(said)
    yield ""
    judged = (inspect.getdoc(family.success) or "").partition("\n\n")[0].replace("\n", " ")
    yield f"**Success:** {judged[0].lower()}{judged[1:]}"
    yield ""
    measured = {row["family"]: row for row in json.loads(REFERENCES.read_text())["families"]}
    if row := measured.get(family.id):
        known, (chance, idle) = (
            row["reference"]["return"],
            (round(row[who]["return"]["mean"], 1) + 0.0 for who in ("random", "still")),
        )
        yield (
            f"**Reference:** a policy that sees its task, trained by PPO and shipped, earns a return"
            f" of {known['mean']:.1f} [{known['mean_low']:.1f}, {known['mean_high']:.1f}]; random"
            f" actions {chance:g}, none {idle:g}."
        )
        yield ""


def table(family: TaskFamily[Any]) -> Iterator[str]:
    """Yield the rows of a family's variations."""
    yield "| variation | what | unit | seen | train | test | far |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    drawn = {s: family.sample(Streams.from_seed(0, DRAWN), DRAWN, s) for s in SPLITS}
    for name, v in variations(family.task_type).items():
        values = [np.asarray(getattr(task, name), float) for task in drawn.values()]
        ranges = [_ranges(one.reshape(DRAWN, -1)) for one in values]
        seen = "hidden" if v.hidden else "visible"
        yield f"| `{name}` | {v.doc} | {v.unit} | {seen} | {' | '.join(ranges)} |"


def _ranges(columns: np.ndarray) -> str:
    texts = [_range(column) for column in columns.T]
    if len(texts) > 3:  # a skill's own fields
        return f"{len(texts)} numbers, {_span(columns.min(), columns.max())}"
    return "; ".join(texts if len(set(texts)) > 1 else texts[:1])


def _range(values: np.ndarray) -> str:
    """The values, where there are few; else the intervals between which there are gaps."""
    few = np.unique(values)
    if len(few) < 5:
        return " or ".join(f"{value:.3g}" for value in few)
    gaps = np.flatnonzero(np.diff(few) > GAP * (few[-1] - few[0]))
    starts, ends = [0, *(gaps + 1)], [*gaps, len(few) - 1]
    return ", ".join(_span(few[low], few[high]) for low, high in zip(starts, ends))


def _span(low: float, high: float) -> str:
    if low == high:
        return f"{low:.3g}"
    digits = 2 - math.floor(math.log10(max(abs(low), abs(high))))
    return f"{round(low, digits) + 0.0:g} to {round(high, digits) + 0.0:g}"


def skills(family: Any) -> Iterator[str]:
    """Yield the rows of a family's skills, and in which split they are."""
    from metarl_kitchen.skills import NUMBERS, PLACES

    yield "A task is a task of one skill, told in numbers that mean the same in every skill. Places are on"
    yield "one scale. Other numbers are scaled from the skill's own range to -1 to 1, and are zero where the"
    yield "skill has none. Where a thing is wanted is always hidden."
    yield ""
    yield "| skill | split | seen | unseen |"
    yield "| --- | --- | --- | --- |"
    for split, families in (("train", family.train_skills), ("test, far", family.test_skills)):
        for cls in families:
            name = cls.id.rpartition("/")[2]
            cells = dict.fromkeys(("seen", "unseen"), "")
            for field, slot in {**PLACES[name], **NUMBERS[name]}.items():
                cells[slot.block] += f"{slot.name} `{field}`, "
            seen, unseen = (text.removesuffix(", ") for text in cells.values())
            yield f"| [`{cls.id}`](#{cls.id.replace('/', '')}) | {split} | {seen} | {unseen} |"


def recipes(_: Any) -> Iterator[str]:
    """Yield the rows of the dishes' recipes."""
    from metarl_kitchen.dishes.recipes import DISHES, UNITS

    yield "| dish | split | steps |"
    yield "| --- | --- | --- |"
    for name, recipe in DISHES.items():
        steps = []
        for stage in recipe.stages:
            about = recipe.foods[stage.piece].name if stage.skill in ("add", "serve") else ""
            amount = f"{stage.amount:g} {UNITS.get(stage.skill, '')}" if stage.amount else about
            steps.append(f"{stage.skill} {amount}".strip())
        yield f"| {name} | {'test' if recipe.held_out else 'train'} | {', '.join(steps)} |"


def robots() -> Iterator[str]:
    """Yield the rows of the robots."""
    yield "| robot | joints | kinematics |"
    yield "| --- | --- | --- |"
    for name in robot_names():
        cls = robot_class(name)
        yield f"| `{name}` | {len(cls.joints)}: {', '.join(cls.joints)} | {cls.source} |"


def film(path: Path) -> None:
    """Make a small film of a dish that the expert cooks, several times as fast as it is."""
    worlds = Worlds(make_family("kitchen/dishes", dish=DISH), 1, seed=5)
    frames = []

    def act(obs: np.ndarray) -> np.ndarray:
        return worlds.expert()

    with film_renderer(worlds) as renderer:
        for number, frame in enumerate(episode_frames(worlds, act, renderer)):
            if number % GIF_STEPS == 0:
                frames.append(Image.fromarray(frame).resize(GIF_SIZE, Image.Resampling.LANCZOS))
    several = np.concatenate([np.asarray(frame) for frame in frames[:: len(frames) // 6]])
    palette = Image.fromarray(several).quantize(200, method=Image.Quantize.FASTOCTREE)
    small = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    small[0].save(path, save_all=True, append_images=small[1:], duration=GIF_MS, loop=0)


def page() -> Iterator[str]:
    """Yield the lines of the page."""
    yield "# Families, robots, dishes"
    yield ""
    yield "Every family, with a picture, what counts as success, and what differs from task to task."
    yield ""
    yield "- **Pictures** show the scripted expert at work, with the robots"
    yield f"  {', '.join(robot_names())} from left to right. (In `classic/` it is the trained reference; where there is"
    yield "  neither, the robot moves at random.)"
    yield "- **Ranges** are those of each split. A range in several parts has gaps: the tasks in between are held"
    yield "  out for test."
    yield "- **Hidden** variations are not shown to a policy that has to adapt."
    yield ""
    yield f"`python docs/tour.py` makes this page from the code, and from {DRAWN:,} tasks drawn of each split."
    yield ""
    yield from robots()
    for name in family_names():
        doc = (inspect.getdoc(family_class(name)) or "").partition("\n")[0]
        yield from ("", f"## {name}", "", doc, "", f"![{name}]({row_of_pictures(name)})", "")
        family = make_family(name)
        yield from facts(family)
        yield from table(family)
        if name in PARTS:
            yield ""
            yield from PARTS[name](family)


PARTS = {"kitchen/dishes": recipes, "kitchen/skills": skills, "kitchen/repertoire": skills}

if __name__ == "__main__":
    (FOLDER / PAGE).write_text("\n".join(page()) + "\n")
    film(FOLDER / f"{DISH}.gif")
    print(f"wrote {FOLDER / PAGE}")
