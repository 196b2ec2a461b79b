"""Write the page about the families: pictures, on every robot, and tables of what varies.

    python docs/tour.py

Pictures are single frames of the scripted experts at work (of random play where there is no
expert); tables are read from the code, the ranges of each split from tasks that were drawn.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from PIL import Image

from metarl.family import TaskFamily
from metarl.registry import (
    family_class,
    family_names,
    make_family,
    option_names,
    robot_class,
    robot_names,
)
from metarl.sim.film import episode_frames, film_renderer
from metarl.sim.worlds import Worlds
from metarl.streams import Streams
from metarl.types import SPLITS, variations

FOLDER = Path(__file__).parent
WIDTH, HEIGHT = 400, 300  # of each picture [pixels]
MOMENT = 0.55  # share of the episode after which the picture is taken
DRAWN = 4096  # tasks of each split whose ranges are shown
PAGE = "families.md"
DISH, GIF_SIZE, GIF_STEPS, GIF_MS = "tomato-egg-soup", (360, 270), 8, 100


def picture(name: str, **options: str) -> np.ndarray:
    """Draw the expert at work, or random play, (H, W, 3)."""
    family = make_family(name, **options)
    worlds = Worlds(family, 1, seed=5)
    worlds.reset()
    rng = np.random.default_rng(0)
    for _ in range(round(MOMENT * family.horizon)):
        random = rng.uniform(-1.0, 1.0, (1, worlds.spec.action_dim))
        worlds.step(worlds.expert() if family.has_expert() else random)
        if worlds.done.any():
            worlds.reset()
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


def table(family: TaskFamily[Any]) -> Iterator[str]:
    """Yield the rows of a family's variations."""
    yield "| variation | what | unit | seen | train | test | far |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    drawn = {s: family.sample(Streams.from_seed(0, DRAWN), DRAWN, s) for s in SPLITS}
    for name, v in variations(family.task_type).items():
        ranges = [_range(np.asarray(getattr(task, name), float)) for task in drawn.values()]
        seen = "hidden" if v.hidden else "visible"
        yield f"| `{name}` | {v.doc} | {v.unit} | {seen} | {' | '.join(ranges)} |"


def _range(values: np.ndarray) -> str:
    columns = values.reshape(len(values), -1)
    ends = columns.min(0).round(3) + 0.0, columns.max(0).round(3) + 0.0
    pairs = [f"{low:g} to {high:g}" for low, high in zip(*ends)]
    return ", ".join(pairs if len(set(pairs)) > 1 else pairs[:1])


def recipes() -> Iterator[str]:
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
    yield "Made by `python docs/tour.py`: pictures are frames of the scripted experts (of random"
    yield f"play in `classic/`), on the robots {', '.join(robot_names())} from left to right; tables"
    yield f"come from the code, the ranges of each split from {DRAWN:,} tasks that were drawn. Where"
    yield "train and test share a range, cells of it (or whole skills and dishes) are held out."
    yield ""
    yield from robots()
    for name in family_names():
        doc = (inspect.getdoc(family_class(name)) or "").partition("\n")[0]
        yield from ("", f"## {name}", "", doc, "", f"![{name}]({row_of_pictures(name)})", "")
        yield from table(make_family(name))
        if name == "kitchen/dishes":
            yield ""
            yield from recipes()


if __name__ == "__main__":
    (FOLDER / PAGE).write_text("\n".join(page()) + "\n")
    film(FOLDER / f"{DISH}.gif")
    print(f"wrote {FOLDER / PAGE}")
