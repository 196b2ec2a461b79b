"""`metarl report`: where the page goes is looked at before the runs are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from metarl.commands.output import one_line, say
from metarl.errors import ConfigError, MetaRLError
from metarl.runs.files import check_output, free_name

TOGETHER = Path("runs.html")  # of several, unless told otherwise


SHOWN_UPDATES = (0, 1, 3)  # of what learned to adapt
FILM = "held-out_tasks"  # of the last checkpoint


def report(folders: Sequence[Path], *, out: Path | None, overwrite: bool, film: bool = True) -> int:
    """Write a run's report, or one that compares several.

    Args:
        folders: The run folders.
        out: The HTML file; None: ``report.html`` in the run folder, which is the run's own and is
            written anew, or ``runs.html`` here where there are several, or the first of runs-2.html, ... that
            is free.
        overwrite: Whether another HTML file that is there may be replaced.
        film: Film what one run's last checkpoint does on held-out tasks, unless that film is there.
    Returns:
        The exit status.
    Raises:
        MetaRLError: If a folder holds no run, or the page cannot be written.
    """
    if not folders:
        raise ConfigError("metarl report lacks RUN_FOLDER; expected one, or several to compare")
    from metarl.report import run_report
    from metarl.report.html import ENDINGS

    if len(folders) > 1:
        from metarl.report.several import several_report

        page = check_output(
            free_name(TOGETHER) if out is None else out, ENDINGS, overwrite=overwrite
        )
        say(f"wrote {several_report(folders).write(page)}")
        return 0
    folder = folders[0]
    page = folder / "report.html" if out is None else out
    if folder.is_dir():  # else run_report says what is expected
        check_output(page, ENDINGS, overwrite=overwrite or out is None)
    if film and folder.is_dir():
        _film(folder)
    say(f"wrote {run_report(folder).write(page)}")
    return 0


def _film(folder: Path) -> None:
    """Film a run of policies; what cannot be filmed gets a line, and the report is written all the same."""
    from metarl.runs.run import CHECKPOINTS

    if not any((folder / CHECKPOINTS).glob("*.safetensors")):
        return
    try:
        _film_run(folder)
    except (MetaRLError, ImportError, OSError) as error:
        say(f"no film of it: {one_line(error)}")


def _film_run(folder: Path) -> None:
    """Film held-out tasks: before and after some updates, where that was learned; else side by side."""
    from metarl.commands.filming import film_grid, film_updates
    from metarl.commands.policies import learns_to_adapt, make_act
    from metarl.registry import make_family
    from metarl.runs.policies import read_checkpoint, sees_task
    from metarl.runs.several import TASKS, of_family
    from metarl.sim.kinds import make_worlds

    found = read_checkpoint(folder)
    if "family" not in found.meta or "action_dim" not in found.meta:
        return  # a picture network's
    path = folder / "films" / f"{FILM}-{found.meta.get('step', 0)}.mp4"
    if path.exists():
        return
    path.parent.mkdir(exist_ok=True)
    for older in path.parent.glob(f"{FILM}-*"):
        older.unlink()
    tasks = found.meta.get(TASKS, ())
    if not tasks and learns_to_adapt(found):
        film_updates(
            make_family(found.meta["family"]), found, SHOWN_UPDATES, split="test", seed=0,
            strategy=None, out=path,
        )  # fmt: skip
        return
    never_met = [task["family"] for task in tasks if not task.get("trained", True)]
    known = [task["family"] for task in tasks] or [found.meta["family"]]
    family = make_family((never_met or known)[0])
    policy = of_family(found, family) if tasks else found
    worlds = make_worlds(family, 4, split="test", task_visible=sees_task(policy))
    act = make_act(folder.name, worlds, 0, policy)
    title = f"{family.id}, " + ("a pair that never met" if never_met else "held-out tasks")
    ended = film_grid(worlds, act, title, "test", 1, path, 2)
    say(f"{sum(good for good, _ in ended)} of 4 episodes on film succeeded ({title})")
