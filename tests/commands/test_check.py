"""`metarl check` and `metarl report`."""

from __future__ import annotations

import pytest
from console import HERE, metarl
from toy import Reach

from metarl.commands.check import _what_to_do, _written_at

PLUGIN = """
import sys
sys.path.insert(0, {here!r})
import numpy as np
from metarl.registry import register
from toy import Reach, ReachTask

@register("plugin/good")
class Good(Reach):
    def sample(self, rng, n, split):
        low = {{"train": -0.2, "test": 0.1, "far": -0.05}}[split]
        return ReachTask(rng.uniform((low, -0.2), (low + 0.1, 0.2), size=2))

@register("plugin/bad")
class Bad(Good):
    def observe(self, worlds, task):
        return {{"robot": np.full((worlds.num_worlds, 4), np.nan)}}
"""


@pytest.mark.parametrize(("name", "status"), [("plugin/good", 0), ("plugin/bad", 1)])
def test_check_prints_a_row_per_check(tmp_path, name, status):
    (tmp_path / "plugin.py").write_text(PLUGIN.format(here=str(HERE)))
    done = metarl("check", f"plugin:{name}", cwd=tmp_path)
    assert done.returncode == status, done.stdout + done.stderr
    told, _, more = done.stdout.strip().partition("\nwhat to do:\n")
    *rows, last = told.splitlines()
    remedies = more.splitlines()
    marks = [row.split()[0] for row in rows]
    assert len(rows) > 10
    assert set(marks) == {"pass", "skip", *(["FAIL"] if status else [])}
    passed, failed, skipped = (marks.count(mark) for mark in ("pass", "FAIL", "skip"))
    assert last == f"plugin:{name}: {passed} checks passed, {failed} failed, {skipped} skipped"
    assert bool(remedies) == bool(failed)
    assert len(remedies) <= failed
    if status:  # what many checks find is said once, with its place
        [line] = [
            line for line in remedies if f"mend this first, {failed} checks end there" in line
        ]
        assert "observe() of plugin.Bad gave NaN" in line
        assert "(docs/checks.md#" in line
        written = PLUGIN.splitlines().index("    def observe(self, worlds, task):") + 1
        assert f"(plugin.py:{written})" in line


class Toy:
    @property
    def score(self):
        return 0.0

    def success(self):
        return 1

    def _where(self):
        return self.success.__code__.co_firstlineno


def test_the_method_that_is_named_is_found_where_it_is_written():
    at = f" (test_check.py:{Toy()._where()})"
    assert _written_at(Toy, "Toy.success() gave int") == at
    assert _written_at(Toy, "score() and nothing() are odd, success() too") == at
    assert _written_at(Toy, "success() raised (reach.py:72)") == ""
    assert _written_at(Toy, "nothing is named") == ""
    [line] = _what_to_do([("every action matters", "action 3 does nothing")], Reach)
    assert "action 3 does nothing. Use every action" in line  # act() is not of the family


def test_each_fault_is_told_with_its_remedy_and_its_page():
    crash = "package my: Reach.success() raised ZeroDivisionError: division by zero (reach.py:72)"
    shared, alone, worlds = _what_to_do(
        [
            ("success, failure and score are in shape", crash),
            ("no observation is constant", "constant: robot[6]"),
            ("two resets differ", crash),
            ("same seed, same trajectory", "f: observe() gave NaN of worlds [0, 1]"),
            ("every action matters", "f: observe() gave NaN of worlds [0]"),
        ],
        Toy,
    )
    page = "docs/checks.md#success-failure-and-score-are-in-shape"
    assert shared == f"{crash}: mend this first, 2 checks end there ({page})"
    assert alone == (
        "no observation is constant: constant: robot[6]. Leave the column out, or make it move."
        " (docs/checks.md#no-observation-is-constant)"
    )
    assert worlds.startswith("f: observe() gave NaN of worlds [0, 1]: mend this first, 2 checks")


def test_a_fault_in_as_many_worlds_as_a_check_has_is_one_fault():
    found = "f: success() gave int; expected bool of shape ({},)"
    checks = ("random actions fail", "every action matters", "Gymnasium accepts it")
    [line] = _what_to_do([(check, found.format(n)) for check, n in zip(checks, (64, 5, 1))], Toy)
    assert "expected bool of shape (64,)" in line
    assert ": mend this first, 3 checks end there" in line
    widths = [(check, f"f: observe() gave shape ({n}, 7)") for check, n in zip(checks, (4, 5))]
    assert len(list(_what_to_do(widths, Toy))) == 2  # what it gave may tell faults apart


def test_report_is_written_into_the_run(tmp_path):
    (tmp_path / "config.json").write_text('{"family": "toy/reach", "seed": 3}')
    done = metarl("report", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "toy/reach" in (tmp_path / "report.html").read_text()
    assert str(tmp_path / "report.html") in done.stdout
