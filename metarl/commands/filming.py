"""Films of `metarl watch`: one task after another, many at once, or one task along its updates."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metarl.commands.output import progress_bar, say
from metarl.methods import choose_adapting
from metarl.runs.signals import leave_on_signals

if TYPE_CHECKING:
    from metarl.family import TaskFamily
    from metarl.runs.checkpoint import Checkpoint
    from metarl.sim.worlds import Worlds
    from metarl.types import Act, Split, Step

Ended = tuple[bool, float]  # whether an episode succeeded, and its score
WIDEST = 1280  # of many tasks at once [pixels]
SMALLEST = 160  # of one of them
MOST_AT_ONCE = 36


def film_episodes(
    worlds: Worlds, act: Act, title: str, split: Split, episodes: int, out: Path, *, eye: bool
) -> list[Ended]:
    """Film episodes, each on a task of its own, one after the other.

    Args:
        worlds: A single world, with its task.
        act: The policy.
        title: What stands in every frame.
        split: Where further tasks come from.
        episodes: How many.
        out: The film.
        eye: Whether what a camera sees stands beside: the policy's own, and what it answers, where it
            acts on pictures; else the family's.
    Returns:
        How each episode ended.
    Raises:
        MetaRLError: If nothing can be drawn or written.
    """
    from metarl.film.camera import Camera
    from metarl.film.episode import episode_frames, film_renderer

    results = list[Ended]()

    def caption(done: int, step: Step | None) -> str:
        if step is not None and worlds.done[0]:
            results.append(_ended(worlds, step, 0))
        return "   ".join(part for part in (title, _clock(worlds, done, step, 0)) if part)

    sight = act if eye and hasattr(act, "panel") else None
    camera = Camera(worlds) if eye and sight is None else None

    def one() -> Iterator[np.ndarray]:
        with film_renderer(worlds) as renderer:
            for frame in episode_frames(worlds, act, renderer, caption=caption):
                if sight is not None:
                    frame = _beside(frame, sight.panel(height=frame.shape[0]))
                yield frame if camera is None else _with_eye(frame, camera)

    with contextlib.closing(camera) if camera is not None else contextlib.nullcontext():
        _write(worlds, one, split, episodes, out)
    return results


def film_grid(
    worlds: Worlds, act: Act, title: str, split: Split, episodes: int, out: Path, columns: int
) -> list[Ended]:
    """Film an episode of every world at once, on tasks of their own.

    Args:
        worlds: Their tasks are assigned.
        act: The policy.
        title: What stands in the first frame.
        split: Where further tasks come from.
        episodes: How many of each world, one after the other.
        out: The film.
        columns: How many worlds stand side by side.
    Returns:
        How each episode ended.
    Raises:
        MetaRLError: If nothing can be drawn or written.
    """
    from metarl.film.episode import all_frames, film_renderer

    width = max(SMALLEST, min(400, WIDEST // columns)) // 8 * 8
    results = list[Ended]()

    def caption(i: int, done: int, step: Step | None) -> str:
        if step is not None and worlds.done[i]:
            results.append(_ended(worlds, step, i))
        return _clock(worlds, done, step, i) if done else title

    def one() -> Iterator[np.ndarray]:
        names = {worlds.model_name(i): i for i in range(worlds.num_worlds)}
        with contextlib.ExitStack() as stack:
            renderers = {
                name: stack.enter_context(
                    film_renderer(worlds, i, width=width, height=width * 3 // 4)
                )
                for name, i in names.items()
            }
            yield from all_frames(worlds, act, renderers, columns, caption=caption)

    _write(worlds, one, split, episodes, out)
    return results


def _write(
    worlds: Worlds,
    one: Callable[[], Iterator[np.ndarray]],
    split: Split,
    episodes: int,
    out: Path,
) -> None:
    """Film episodes, of which `one` gives the frames, each on tasks of its own, and show how far it is."""
    from metarl.film.encoder import write_film

    def frames() -> Iterator[np.ndarray]:
        done, total = 0, episodes * (worlds.family.horizon + 1)
        for number in range(episodes):
            if number:
                worlds.assign(worlds.sample(split))
            for frame in one():
                yield frame
                done += 1
                progress(done, total)

    with leave_on_signals(), progress_bar("filming") as progress:
        write_film(out, frames(), 1.0 / worlds.family.control_dt_s)


def film_updates(
    family: TaskFamily[Any],
    checkpoint: Checkpoint,
    updates: Sequence[int],
    *,
    split: Split,
    seed: int,
    strategy: str | None,
    out: Path,
) -> None:
    """Adapt to one task, and film it after some updates, side by side; says how each ended.

    Args:
        family: The family.
        checkpoint: What it starts from.
        updates: After how many updates each.
        split: Where the task comes from.
        seed: Of the task, of worlds and noise.
        strategy: How it adapts; None: the way it was trained for, or fine-tune.
        out: The film.
    Raises:
        MetaRLError: If it cannot adapt, or nothing can be drawn or written.
    """
    from metarl.adapt.evaluate import adapt_only
    from metarl.adapt.protocol import Protocol
    from metarl.report.before_after import film_adaptation, lapse, said

    method = choose_adapting(checkpoint.meta, strategy)
    protocol = Protocol(num_tasks=1, updates=max(updates), eval_episodes=1, seed=seed, split=split)
    with leave_on_signals():
        with progress_bar("adapting") as progress:
            states = adapt_only(family, method, checkpoint, protocol, progress=progress)
        solved = film_adaptation(
            family, method, checkpoint, protocol, states, out, shown=updates
        )  # fmt: skip
    outcomes = ", ".join(
        f"{said(u)}: {'success' if good else 'failure'}" for u, good in solved.items()
    )
    times = lapse(family)
    pace = f", {times} times as fast as life" if times > 1 else ""
    say(
        f"{outcomes} ({method}, {protocol.episodes} episodes an update, split {split}, seed {seed})"
    )
    say(f"wrote {out}{pace}")


def _clock(worlds: Worlds, done: int, step: Step | None, world: int) -> str:
    state = ""
    if step is not None:
        state = "success" if step.success[world] else "diverged" if step.diverged[world] else ""
        if not state and worlds.done[world]:
            state = "failure"
    return f"{done * worlds.family.control_dt_s:4.1f} s   {state}".rstrip()


def _ended(worlds: Worlds, step: Step, world: int) -> Ended:
    return bool(step.success[world]), float(step.score[world])


def _with_eye(frame: np.ndarray, camera: Any) -> np.ndarray:
    """Put what a policy's camera sees beside a frame, pixel by pixel."""
    from PIL import Image

    from metarl.film.captions import burn

    side = frame.shape[0]
    seen = Image.fromarray(camera.shoot()[0]).resize((side, side), Image.Resampling.NEAREST)
    told = burn(np.asarray(seen), f"what the camera sees, {camera.size} x {camera.size} pixels")
    return _beside(frame, told)


def _beside(frame: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Put a picture as high beside a frame."""
    from metarl.film.captions import GAP

    gap = np.full((len(frame), GAP, 3), 255, np.uint8)
    return np.concatenate([frame, gap, other], axis=1)
