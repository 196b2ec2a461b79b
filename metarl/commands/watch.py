"""`metarl watch`: a film anywhere, and a live window where there is a display."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metarl.commands.output import progress_bar, say
from metarl.commands.policies import (
    NAMED,
    find_policy,
    fit,
    learns_to_adapt,
    make_act,
    require_source,
    tell_changes,
    tell_taken,
)
from metarl.errors import ConfigError, RenderError
from metarl.family import TaskFamily
from metarl.film.encoder import check_film
from metarl.film.gl import display_answers, has_display, load_triton_first
from metarl.registry import family_class, full_name, make_family, split_name
from metarl.runs.files import free_name
from metarl.runs.policies import sees_task
from metarl.runs.signals import leave_on_signals
from metarl.types import Split

FILM = Path("film.mp4")  # unless told otherwise; never over one that is there

if TYPE_CHECKING:
    from metarl.runs.checkpoint import Checkpoint
    from metarl.sim.worlds import Worlds
    from metarl.types import Act, Step


def watch(
    family: str,
    policy: str,
    *,
    dish: str | None,
    split: Split,
    seed: int,
    episodes: int,
    out: Path | None,
    overwrite: bool,
    live: bool,
    strict: bool = False,
    map: tuple[str, ...] = (),
    names: tuple[str, ...] = (),
    statistics: Path | None = None,
) -> int:
    """Run a policy on sampled tasks, film it, and show it where there is a display.

    Args:
        family: A family's name.
        policy: random, expert, still, reference, a checkpoint file or a run folder, or the name
            of a shipped checkpoint.
        dish: The family's option ``dish``; None: as the family's name says.
        split: Where the tasks come from.
        seed: Of tasks, worlds and the random policy.
        episodes: How many, each on a task of its own.
        out: The film, .mp4 or .gif; None: film.mp4, or the first of film-2.mp4, film-3.mp4, ...
            that is free.
        overwrite: Whether a film that is there may be replaced.
        live: Open a window where there is a display.
        strict: Refuse a checkpoint whose family has changed since it was trained.
        map: Which columns and actions of the policy go where, as for `metarl.sources.carry`.
        names: Which tensor of a file of others is which, as for `metarl.sources.read_source`.
        statistics: Of the observations in such a file, likewise.
    Returns:
        The exit status.
    Raises:
        MetaRLError: If a name is unknown, or nothing can be drawn or written.
    """
    if dish is not None:
        base, options = split_name(family)
        family = full_name(base, {**options, "dish": dish})
    family_class(family)
    policy = find_policy(policy, family)
    require_source(policy not in NAMED, f"policy {policy}", map, names, statistics)
    if episodes < 1:
        raise ConfigError(f"--episodes is {episodes}; expected at least 1")
    if seed < 0:
        raise ConfigError(f"--seed is {seed}; expected an integer >= 0")
    out = check_film(free_name(FILM) if out is None else out, overwrite=overwrite)
    checkpoint = None
    if policy not in NAMED:
        from metarl.sources import read_source

        checkpoint = read_source(
            Path(policy), family=make_family(family), names=names, statistics=statistics
        )
        tell_taken(checkpoint, policy)
        tell_changes(checkpoint, make_family(family), strict=strict)
        if map:  # else what does not fit is refused: half a policy is not worth a film
            checkpoint, _ = fit(checkpoint, make_family(family), map, policy)
    start = _starter(family, policy, checkpoint, split, seed)
    before = checkpoint is not None and learns_to_adapt(checkpoint)
    if before:
        say(
            f"{Path(policy).name} was trained to adapt and has not adapted yet: this is how it"
            f" begins; metarl adapt {policy} {family} films what it becomes"
        )
    if live and not display_answers():
        none = "the display does not answer" if has_display() else "no display"
        say(f"{none}, so no live window; the film shows the same")
    elif live:
        _show(*start(), split, episodes)
    worlds, act = start()
    title = f"{worlds.family.id}, {Path(policy).name}" + ", not adapted yet" * before
    results = _film(worlds, act, title, split, episodes, out)
    graded = type(worlds.family).score is not TaskFamily.score
    score = f", mean score {np.mean([s for _, s in results]):.2f}" if graded else ""
    good = sum(success for success, _ in results)
    where = f"{title}, split {split}, seed {seed}"
    say(f"{good} of {episodes} episodes succeeded{score} ({where})")
    say(f"wrote {out}")
    return 0


def _starter(
    family: str,
    policy: str,
    checkpoint: Checkpoint | None,
    split: Split,
    seed: int,
) -> Callable[[], tuple[Worlds, Act]]:
    """Make a function that starts the same episodes anew: once live, once on film."""
    from metarl.sim.worlds import Worlds

    visible = checkpoint is not None and sees_task(checkpoint)

    def start() -> tuple[Worlds, Act]:
        worlds = Worlds(make_family(family), 1, seed=seed, split=split, task_visible=visible)
        return worlds, make_act(policy, worlds, seed, checkpoint)

    return start


def _film(
    worlds: Worlds, act: Act, title: str, split: Split, episodes: int, out: Path
) -> list[tuple[bool, float]]:
    from metarl.film.encoder import write_film
    from metarl.film.episode import episode_frames, film_renderer

    results: list[tuple[bool, float]] = []

    def caption(done: int, step: Step | None) -> str:
        good = step is not None and bool(step.success[0])
        if step is not None and worlds.done[0]:
            results.append((good, float(step.score[0])))
        seconds = done * worlds.family.control_dt_s
        state = "success" if good else "diverged" if step and step.diverged[0] else ""
        return "   ".join(part for part in (title, f"{seconds:4.1f} s", state) if part)

    def frames() -> Iterator[np.ndarray]:
        done, total = 0, episodes * (worlds.family.horizon + 1)
        for number in range(episodes):
            if number:
                worlds.assign(worlds.sample(split))
            with film_renderer(worlds) as renderer:
                for frame in episode_frames(worlds, act, renderer, caption=caption):
                    yield frame
                    done += 1
                    progress(done, total)

    with leave_on_signals(), progress_bar("filming") as progress:
        write_film(out, frames(), 1.0 / worlds.family.control_dt_s)
    return results


def _show(worlds: Worlds, act: Act, split: Split, episodes: int) -> None:
    try:
        for number in range(episodes):
            if number:
                worlds.assign(worlds.sample(split))
            if not _show_episode(worlds, act):
                return
    except RenderError as error:
        say(f"no live window: {error}")


def _show_episode(worlds: Worlds, act: Act) -> bool:
    """Play one episode in MuJoCo's viewer at true speed; False if the window was closed."""
    import mujoco

    model, data = worlds.world()
    obs = worlds.reset()
    mujoco.mj_forward(model, data)
    with _open_viewer(model, data) as viewer:
        if worlds.family.film_camera != -1:
            _look_as_in_films(viewer.cam, data.camera(worlds.family.film_camera))
        while viewer.is_running() and not worlds.done[0]:
            due_s = time.monotonic() + worlds.family.control_dt_s
            obs = worlds.step(act(obs)).obs
            with viewer.lock():
                present, state = worlds.world()
                model.geom_rgba[:] = present.geom_rgba  # colours follow what cooks
                _copy_state(model, state, data)
                mujoco.mj_forward(model, data)
            viewer.sync()
            time.sleep(max(0.0, due_s - time.monotonic()))
        return viewer.is_running()


@contextlib.contextmanager
def _open_viewer(model: Any, data: Any) -> Iterator[Any]:
    import mujoco.viewer

    load_triton_first()  # the window loads the same drivers as offscreen drawing
    try:
        viewer = mujoco.viewer.launch_passive(model, data, show_left_ui=False, show_right_ui=False)
    except Exception as error:  # whatever the window system raises
        raise RenderError(" ".join(str(error).split())) from error
    with viewer:
        yield viewer


def _look_as_in_films(view: Any, camera: Any) -> None:
    """Put a free camera, which the mouse turns, where the film's camera is."""
    ahead = -camera.xmat.reshape(3, 3)[:, 2]
    view.distance = 1.0
    view.lookat[:] = camera.xpos + view.distance * ahead
    view.azimuth = np.degrees(np.arctan2(ahead[1], ahead[0]))
    view.elevation = np.degrees(np.arcsin(ahead[2]))


def _copy_state(model: Any, source: Any, target: Any) -> None:
    import mujoco

    kind = mujoco.mjtState.mjSTATE_INTEGRATION.value
    state = np.empty(mujoco.mj_stateSize(model, kind))
    mujoco.mj_getState(model, source, state, kind)
    mujoco.mj_setState(model, target, state, kind)
