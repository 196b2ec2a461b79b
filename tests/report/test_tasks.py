"""Several tasks on a run's page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from metarl.report import run_report, tasks


def write_run(folder: Path, rows: list[dict[str, float | None]]) -> Path:
    (folder / "config.json").write_text("{}")
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def row(step: int, cosine: float | None) -> dict[str, float | None]:
    each = {"success": 0.5, "success/heat": 0.4, "success/season": 0.6}
    return {"step": step, **each, "cosine/heat ~ season": cosine, "cosine/heat ~ add": -0.5}


def test_conflict_is_drawn_for_each_part_of_training(tmp_path: Path, monkeypatch):
    seen = []
    draw = tasks.heatmap_png
    monkeypatch.setattr(
        tasks,
        "heatmap_png",
        lambda values, *x, **y: (seen.append(values), draw(values, *x, **y))[1],
    )
    rows = [row(step, cosine) for step, cosine in enumerate([0.1, 0.3, None, None, -1.0, 0.0], 1)]
    html = run_report(write_run(tmp_path, rows)).render()
    nan = np.nan  # heat, season, add
    for found, cosine in zip(seen, [0.2, nan, -0.5], strict=True):
        wanted = [[nan, cosine, -0.5], [cosine, nan, nan], [-0.5, nan, nan]]
        np.testing.assert_allclose(found, wanted)
    assert html.count("Conflict between tasks") >= 3
    assert "Tasks: success" in html
    [drawn] = re.findall(r'alt="Training curves, from first to last: ([^"]*)"', html)
    names = [part.partition(" ")[0] for part in drawn.split(", ")]
    assert names[:3] == ["success", "success/heat", "success/season"]
    assert not any(
        name.startswith("cosine/") and "~" in name for name in names
    )  # pairs have no panel


def test_one_task_has_no_such_pictures(tmp_path: Path):
    html = run_report(write_run(tmp_path, [{"step": 1, "success": 0.5}])).render()
    assert "Conflict" not in html
    assert "Tasks:" not in html
