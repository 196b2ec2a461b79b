"""The benchmark of workers on Ray, as a user runs it."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "scaling.py"
CALCULATED = "calculated, not measured"


def test_what_is_calculated_is_what_the_costs_say(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    from scaling import Config, calculate

    costs = {"worker_update_s": 0.0, "between_s": 0.5}
    one, two = costs | {"worker_collect_s": 21.0}, costs | {"worker_collect_s": 11.0}
    config = Config(num_tasks=20, outer_epochs=9, gigabits=8.0)
    rows = calculate(one, two, 1_000_000, config)
    assert all(row["how"] == CALCULATED for row in rows)
    same, more = rows[:3], rows[3:]  # 64 workers have no more than 20 tasks to do
    assert [row["workers"] for row in same] == [1, 2, 8]
    assert [row["workers"] for row in more] == [1, 2, 8, 64]
    assert [row["iteration_s"] for row in same[:2]] == pytest.approx([21.5, 11.5])
    network = 20 * 1e6 * 8 / 8e9 * 8  # ten times out and ten times back, to eight workers
    assert same[2]["iteration_s"] == pytest.approx(1.0 + 3 * 1.0 + 0.5 + network)
    assert [row["tasks"] for row in more] == [10, 20, 80, 640]


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_it_runs_at_a_small_size(tmp_path):
    size = {"num-tasks": 4, "episodes": 2, "inner-updates": 1, "outer-epochs": 1, "rounds": 2}
    words = [word for name, value in size.items() for word in (f"--{name}", str(value))]
    done = subprocess.run(
        [sys.executable, SCRIPT, "--family", "classic/point-navigation", *words]
        + ["--name", str(tmp_path / "scaling")],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "scaling.json").read_text())
    assert len(result["ways"]) == 4
    for each in result["ratios"]:
        assert each["low"] < each["ratio"] < each["high"]
    assert CALCULATED in done.stdout
