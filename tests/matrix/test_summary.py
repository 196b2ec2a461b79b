"""What finished cells say: scores by hand, who is held against whom, and what is left out."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from results import A, B, matrix, records, result

from metarl.adapt.protocol import Protocol
from metarl.errors import CheckpointError, ConfigError
from metarl.grid.cell import with_needs
from metarl.grid.store import Record
from metarl.matrix.benchmark import Group, Matrix, read_matrix, write_matrix
from metarl.matrix.cells import LEFT_OUT, Budget, Given, Learning
from metarl.matrix.names import short_names
from metarl.matrix.output import COLUMNS, markdown, table, write_tables
from metarl.matrix.score import HARMED, HELPED, NOTHING
from metarl.matrix.summary import ADAPTING, LEARNING, best_of, summarise
from metarl.runs.config import read_json


def test_rows_are_scored_against_scratch_of_the_same_seed():
    made = matrix()
    summary = summarise(made, records(made.cells()))
    level = next(x for x in summary.levels if x.target == A)
    assert (level.first, level.best, summary.missing) == (0.0, 4.0, 0)
    assert level.noise == pytest.approx((-0.1 / 4, 0.0, 0.1 / 4))
    rows = {(r.source, r.exploration): r for r in summary.of(LEARNING, A)}
    own, other = rows[A, "fresh"], rows[B, "fresh"]
    assert own.score.each == pytest.approx([(1.0 + 0.01 * s) / 4 for s in range(3)])
    assert other.score.each == pytest.approx([(-1.0 + 0.01 * s) / 4 for s in range(3)])
    assert (own.score.verdict, other.score.verdict) == (HELPED, HARMED)
    assert rows[A, "source"].score.verdict == NOTHING
    assert summary.level(own) is level
    said = best_of(summary.of(LEARNING, A), level)
    assert f"Best on {A}: fine-tune fresh from {A}, score +0.25; ahead of the next" in said
    assert said.endswith("].")


def test_the_best_may_be_scratch_and_its_lead_unsure():
    made = matrix()
    summary = summarise(made, records(made.cells()))
    level = next(x for x in summary.levels if x.target == A)
    worse = [r for r in summary.of(LEARNING, A) if r.source == B]
    said = best_of(worse, level)
    assert "scratch" in said.split(";")[0] or "no sure difference" in said
    harmful = [r for r in worse if r.exploration == "fresh"]
    assert best_of(harmful, level).startswith(f"Best on {A}: scratch, score +0.00; ahead")


def test_unfinished_cells_are_counted_and_the_rest_is_said():
    made = matrix()
    known = {key: r for key, r in records(made.cells()).items() if not key.endswith(("s2", "s502"))}
    summary = summarise(made, known)
    assert summary.missing == 2 * 2 + 8  # scratch, control, arms of a seed
    assert {len(r.seeds) for r in summary.rows} == {2}
    assert f"- {summary.missing} cells not finished yet." in markdown(summary, 3)
    assert summarise(made, {}).rows == ()


def test_pairs_that_cannot_be_are_told_once():
    made = matrix()
    known = records(made.cells())
    for key, record in known.items():
        if f"{'kitchen-heat'}.from.kitchen-season" in key:
            known[key] = Record(key, record.cell, {LEFT_OUT: "nothing fits"}, 1.0, {})
    summary = summarise(made, known)
    assert summary.left_out == ((A, B, "nothing fits"),)
    assert not [r for r in summary.rows if (r.source, r.target) == (A, B)]
    assert markdown(summary, 3).count("left out: nothing fits") == 1


def test_where_nobody_learned_there_is_no_score():
    made = matrix()
    flat = {
        key: Record(key, r.cell, result([1.0, 1.0, 1.0]), 1.0, {})
        for key, r in records(made.cells()).items()
    }
    summary = summarise(made, flat)
    assert all(math.isnan(row.score.mean) for row in summary.rows)
    rows = table(summary, LEARNING, A)
    assert {row[-1] for row in rows[1:]} == {"not known"}
    assert "Nothing can be compared" in best_of(summary.of(LEARNING, A), summary.levels[0])


def test_adaptation_is_scored_over_updates_and_tasks():
    made = matrix(adapting=Protocol(updates=2))
    summary = summarise(made, records(made.cells()))
    (row,) = [r for r in summary.of(ADAPTING, A) if r.source == B]
    assert row.curves[0] == (3.0, 3.0, 4.0)
    assert row.score.each == pytest.approx([(3.0 + 2.0 + 2.0) / 3 / 4] * 3)
    level = summary.level(row)
    assert level.noise == (0.0, 0.0, 0.0)
    assert best_of([row], level).startswith(f"Best on {A} (adapting): fine-tune from {B}, score")
    told = markdown(summary, 3).split(f"### {A} (adapting)")[1]
    assert "control steps in 2 updates; return of scratch" in told


def test_a_damaged_result_is_said():
    made = matrix()
    known = records(made.cells())
    key = next(iter(known))
    for bad in ({}, result([]), result([None]), result(["x"])):
        with pytest.raises(CheckpointError, match="finished cell is damaged"):
            summarise(made, known | {key: Record(key, {}, bad, 1.0, {})})


def test_tables_and_json_hold_every_row(tmp_path):
    made = matrix()
    summary = summarise(made, records(made.cells()))
    write_tables(made, summary, tmp_path, "metarl transfer-matrix ...")
    saved = read_json(tmp_path / "matrix.json")
    assert len(saved["rows"]) == 8
    assert {row["verdict"] for row in saved["rows"]} == {HELPED, HARMED, NOTHING}
    assert saved["made-with"]["command"] == "metarl transfer-matrix ..."
    text = (tmp_path / "matrix.md").read_text()
    whole = text[text.index("### kitchen") :]
    assert whole.count("\n| ") == 2 * (2 + 2 + 4)
    rows = table(summary, LEARNING, A)
    assert all(len(row) == len(COLUMNS) for row in rows)
    assert [row[1] for row in rows[:2]] == ["scratch", "scratch, other noise"]
    assert rows[2][-1] == HELPED  # the best first
    assert json.dumps(saved)


def test_a_matrix_is_data(tmp_path):
    made = matrix(
        own={A: (Budget(iterations=3), Budget(iterations=4, settings={"num_worlds": 8}))},
        given=(Given(name="mine", digest="00" * 8),),
        adapting=Protocol(),
    )
    write_matrix(made, tmp_path)
    assert read_matrix(tmp_path) == made
    (tmp_path / "benchmark.json").write_text('{"groups": 3}')
    with pytest.raises(CheckpointError, match=r"benchmark\.json is damaged"):
        read_matrix(tmp_path)


def test_the_whole_of_a_seed_comes_before_the_next():
    cells = with_needs(matrix().cells())
    seeds = [cell.seed % 500 for cell in cells]
    assert seeds == sorted(seeds)
    assert len(cells) == 3 * (2 * 2 + 2 + 8)
    sources = {c.seed for c in cells if isinstance(c, Learning) and c.keeps}
    assert sources == {500, 501, 502}  # worlds that no target draws


def test_own_budgets_and_pairs():
    group = Group(name="one", pairs=((A, B),))
    made = Matrix(groups=(group,), own={B: (Budget(iterations=3), Budget(iterations=4))})
    assert made.targets == (B,)
    assert made.scratch(B, 0).budget.iterations == 3
    assert made.source(B, 0).budget.iterations == 4
    assert made.source(A, 0).budget.iterations == 60
    with pytest.raises(ConfigError, match="one or more, each once"):
        Group(name="one", pairs=((A, B), (A, B)))


def test_a_changed_source_changes_what_starts_from_it():
    one = matrix().cells()[-1]
    other = matrix(source_budget=Budget(iterations=61)).cells()[-1]
    assert one.key == other.key
    assert one.definition() != other.definition()


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["kitchen/add@robot=panda", "kitchen/heat@robot=panda"], ["add", "heat"]),
        (["k/add@robot=a,control=joint", "k/add@robot=b,control=joint"], ["a", "b"]),
        (["kitchen/add", "classic/add"], ["kitchen/add", "classic/add"]),
        (["kitchen/add", "mine"], ["kitchen/add", "mine"]),
        (["kitchen/add@robot=panda"], ["add panda"]),
    ],
)
def test_short_names_leave_out_what_all_share(names, short):
    assert short_names(names) == short


def test_scores_are_finite_numbers_of_python():
    made = matrix()
    (row, *_) = summarise(made, records(made.cells())).rows
    assert isinstance(row.score.mean, float)
    assert np.isfinite(row.score.each).all()
