"""The same held-out task before adaptation and after some updates of it, side by side on film."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import imageio.v3 as imageio

from metarl.adapt.adaptation import State
from metarl.adapt.evaluate import start_adaptation
from metarl.adapt.protocol import Protocol, held_out_tasks
from metarl.ambient import steady
from metarl.errors import counted
from metarl.family import TaskFamily
from metarl.film.captions import tiled_frames
from metarl.film.encoder import check_film, write_film
from metarl.film.episode import episode_frames, film_renderer
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.files import check_output, output_error, write_whole
from metarl.sim.kinds import make_worlds
from metarl.sim.worlds import Worlds
from metarl.types import take

WIDTH, HEIGHT, COLUMNS = 400, 304, 3
FRAMES = 200  # of a side, at most; longer episodes are shown in time lapse


def lapse(family: TaskFamily[Any]) -> int:
    """How many times as fast as life a film of a whole episode is, unless told otherwise."""
    return math.ceil(family.horizon / FRAMES)


@steady(num_threads=1)
def film_adaptation(
    family: TaskFamily[Any],
    method: str,
    checkpoint: Checkpoint,
    protocol: Protocol,
    states: Sequence[State],
    path: Path,
    *,
    task: int = 0,
    every: int | None = None,
    shown: Sequence[int] | None = None,
    settings: Any = None,
) -> dict[int, bool]:
    """Film a task after some updates, side by side; the last frame becomes a PNG.

    Args:
        family: The family.
        method: What adapted.
        checkpoint: What it started from.
        protocol: Where the tasks come from.
        states: The adaptation's state after each update, as `evaluate_adaptation` keeps them.
        path: The film to write, .mp4 or .gif; what is there is replaced.
        task: Which of the protocol's tasks.
        every: Only each so manyth control step has a frame: so many times as fast as life. None:
            as `lapse` says.
        shown: After how many updates each; None: before the first and after the last.
        settings: The method's, as for `evaluate_adaptation`.
    Returns:
        Whether the episode on film succeeded, by the number of updates before it.
    Raises:
        OutputError: If film or picture cannot be written there.
        RenderError: If nothing can be drawn.
    """
    check_film(path, overwrite=True)
    check_output(_picture(path), overwrite=True)
    adaptation = start_adaptation(family, method, checkpoint, protocol, settings=settings)
    one = take(held_out_tasks(family, protocol), slice(task, task + 1))
    sides, solved = [], dict[int, bool]()
    every = lapse(family) if every is None else every
    for updates in (0, len(states) - 1) if shown is None else shown:
        worlds = make_worlds(family, 1, seed=protocol.seed, held_out=True)
        worlds.assign(one)
        with film_renderer(worlds, width=WIDTH, height=HEIGHT) as renderer:
            act = adaptation.act_in(worlds, task, states[updates])
            solved[updates] = False

            def note(success: bool, updates: int = updates) -> None:
                solved[updates] = success

            caption = _outcome(worlds, said(updates), note)
            sides.append(list(episode_frames(worlds, act, renderer, caption=caption, every=every)))
    frames = list(tiled_frames(sides, COLUMNS))
    write_film(path, frames, fps=1.0 / family.control_dt_s)
    png = imageio.imwrite("<bytes>", frames[-1], extension=".png")
    try:
        write_whole(_picture(path), png)
    except OSError as error:
        raise output_error(_picture(path), error) from error
    return solved


def said(updates: int) -> str:
    """Say how far adaptation is."""
    return "before" if not updates else f"after {counted(updates, 'update')}"


def _picture(path: Path) -> Path:
    return path.with_suffix(".png")


def _outcome(worlds: Worlds, label: str, note: Callable[[bool], None]) -> Callable[[int, Any], str]:
    def caption(done: int, step: Any) -> str:
        ended = step is not None and worlds.done[0]
        if ended:
            note(bool(step.success[0]))
        outcome = ("success" if step.success[0] else "failure") if ended else ""
        return f"{label}  ·  {done * worlds.family.control_dt_s:.1f} s  {outcome}"

    return caption
