"""`metarl report`: where the page goes is looked at before the runs are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from metarl.commands.output import say
from metarl.errors import ConfigError
from metarl.runs.files import check_output, free_name

TOGETHER = Path("runs.html")  # of several, unless told otherwise


def report(folders: Sequence[Path], *, out: Path | None, overwrite: bool) -> int:
    """Write a run's report, or one that compares several.

    Args:
        folders: The run folders.
        out: The HTML file; None: ``report.html`` in the run folder, which is the run's own and is
            written anew, or ``runs.html`` here where there are several, or the first of runs-2.html, ... that
            is free.
        overwrite: Whether another HTML file that is there may be replaced.
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
    say(f"wrote {run_report(folder).write(page)}")
    return 0
