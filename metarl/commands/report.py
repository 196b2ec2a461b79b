"""`metarl report`: where the page goes is looked at before the run is read."""

from __future__ import annotations

from pathlib import Path

from metarl.commands.output import say
from metarl.runs.files import check_output


def report(folder: Path, *, out: Path | None, overwrite: bool) -> int:
    """Write a run's report.

    Args:
        folder: The run folder.
        out: The HTML file; None: ``report.html`` in the run folder, which is the run's own and is
            written anew.
        overwrite: Whether another HTML file that is there may be replaced.
    Returns:
        The exit status.
    Raises:
        MetaRLError: If the folder holds no run, or the page cannot be written.
    """
    from metarl.report import run_report
    from metarl.report.html import ENDINGS

    page = folder / "report.html" if out is None else out
    if folder.is_dir():  # else run_report says what is expected
        check_output(page, ENDINGS, overwrite=overwrite or out is None)
    say(f"wrote {run_report(folder).write(page)}")
    return 0
