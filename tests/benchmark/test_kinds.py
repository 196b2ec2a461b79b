"""Tables of families whose tasks are of several kinds say how each kind went."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from metarl_kitchen.dishes.recipes import DISHES

from metarl.benchmark import output
from metarl.registry import make_family
from metarl.report.benchmark import summary_of, write_results
from metarl.sim.worlds import Worlds

HELD_OUT_SKILLS = Path(__file__).parents[2] / "benchmarks/results/held-out-skills"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    copy = tmp_path_factory.mktemp("skills") / "held-out"
    shutil.copytree(HELD_OUT_SKILLS, copy)
    return copy


def test_kinds_are_named_with_their_tasks_and_make_up_the_whole(folder):
    for result in summary_of(folder).results:
        assert set(result.kinds) == {"pour", "flip"}
        assert sum(result.kinds.values()) == result.table.protocol.num_tasks
        for row in result.rows:
            parts = [result.kinds[kind] * row.by_kind[kind].mean for kind in result.kinds]
            whole = sum(parts) / result.table.protocol.num_tasks
            np.testing.assert_allclose(whole, row.after[-1].mean, atol=1e-9)
        heads, rows = output.kinds(result)
        assert heads[1:] == tuple(f"{kind} ({n} tasks)" for kind, n in result.kinds.items())
        assert [row[0] for row in rows] == [row.name for row in result.rows]


def test_kinds_are_in_every_file(folder):
    write_results(folder, "metarl benchmark")
    for name in ("tables.md", "report.html"):
        text = (folder / name).read_text()
        assert "by kind of task, after 8 updates" in text, name
        assert "flip (11 tasks)" in text, name


def test_skills_and_dishes_say_of_which_kind_a_task_is():
    worlds = Worlds(make_family("kitchen/repertoire"), 40, seed=2, split="test")
    worlds.reset()
    kinds = worlds.family.kinds(worlds.task)
    assert set(kinds) == {"pour", "flip"}
    dishes = Worlds(make_family("kitchen/dishes"), 40, seed=2, split="test")
    kinds = dishes.family.kinds(dishes.task)
    assert set(kinds) == {name for name, dish in DISHES.items() if dish.held_out}
    assert make_family("kitchen/season").kinds(None) == []
