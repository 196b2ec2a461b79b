"""What is sure at one glance."""

from __future__ import annotations

from results import A, B, matrix, records

from metarl.matrix.output import markdown
from metarl.matrix.overview import overview, regimes
from metarl.matrix.summary import LEARNING, summarise


def test_pairs_of_different_tasks_are_counted_and_the_surest_listed():
    made = matrix()
    summary = summarise(made, records(made.cells()))
    said, rows = overview(summary, LEARNING)
    assert said == (
        "Of 2 pairs of different tasks, by fine-tune fresh: 0 helped, 1 harmed, 1 nothing sure."
    )
    (row,) = rows  # from A to A is no other task, with the source's exploration another arm
    assert row[:2] == ("heat", "season")
    assert row[2].startswith("-0.25 [")
    assert row[3].startswith("+0.00 [")
    assert row[4] == "harmed"
    assert said in markdown(summary, 3)


def test_one_target_alone_has_no_overview():
    made = matrix()
    summary = summarise(made, records([c for c in made.cells() if c.family == A]))
    assert regimes(summary) == ()
    assert "What is sure" not in markdown(summary, 3)
    assert B in {row.source for row in summary.rows}
