"""The adaptation grid: as data, its kept cells, and tiny ones from end to end."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from louder import announce

from metarl.adapt.evaluate import settings_of
from metarl.errors import ConfigError
from metarl.grid.plan import plan
from metarl.grid.store import Store
from metarl.learn.train import train
from metarl.runs.metrics import read_metrics
from metarl.runs.policies import read_checkpoint

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
KEPT = BENCHMARKS / "results"
POINT = "classic/point-navigation"
NAMES = ("adaptation", *(f"shared.{n}" for n in ("adaptation_cells", "policies", "recipes")))


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch):
    """The script, with modules of its own: tests change recipes."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("adaptation")
    for name in [*NAMES, "shared.adaptation_tables"]:
        sys.modules.pop(name, None)


@pytest.fixture
def tiny(script, cells_here, monkeypatch: pytest.MonkeyPatch):
    """Recipes of seconds on one family."""
    cells_here(script)
    recipes = sys.modules["shared.recipes"]
    small = {"num_worlds": 2, "minibatch": 8}
    monkeypatch.setitem(recipes.PRETRAINING, POINT, recipes.Recipe("ppo", 1, small))
    monkeypatch.setitem(recipes.ITERATIONS, "reptile", 1)
    few = {"num_tasks": 2, "episodes": 2}
    monkeypatch.setitem(recipes.SETTINGS, (POINT, "reptile"), few)
    return recipes


def of(script, folder: Path, **given):
    places = {name: folder / name for name in ("runs", "results", "pretrained")}
    usual = {"families": (POINT,), "seeds": (0,), "num_tasks": 2, "updates": 1, "jobs": 1}
    return script.Config(**{**usual, **places, "name": str(folder / "table"), **given})


def test_nothing_that_is_kept_is_to_be_run_again(script, tmp_path):
    config = script.Config()
    store, cells = Store(tmp_path, KEPT / "adaptation" / "cells.jsonl"), script.wanted(config)
    known = store.read()
    script.take_kept(script.starts_of(cells).values(), store, KEPT / "pretrained")
    assert store.read() == known  # each has a record
    left = plan(cells, known, tmp_path)  # refuses cells of other recipes
    assert set(left.done) == set(known)
    recipes = sys.modules["shared.recipes"]
    new = {*recipes.CONTROLS, *recipes.REUSES, recipes.BAYES}
    assert {cell.arm for cell in left.todo} <= new
    assert {record.made_with["cpu"] for record in known.values()}
    assert all(record.seconds > 0 for record in known.values())


def test_the_tables_are_made_from_the_kept_cells(script, tmp_path):
    places = {"runs": tmp_path / "none", "name": str(tmp_path / "adaptation")}
    config = script.Config(families=(), finished=True, **places)
    assert script.main(config) == 0
    made = json.loads((tmp_path / "adaptation.json").read_text())
    assert made["rows"] == json.loads((KEPT / "adaptation.json").read_text())["rows"]
    assert (tmp_path / "adaptation.md").read_text() == (KEPT / "adaptation.md").read_text()
    assert not (tmp_path / "none").exists()


def test_every_table_is_to_have_a_control_arm_and_every_strategy(script):
    recipes = sys.modules["shared.recipes"]
    for family in recipes.PRETRAINING:
        arms = recipes.methods(family)
        cells = {arm: script.meeting(family, arm, 0, num_tasks=20, updates=10) for arm in arms}
        assert set(recipes.REUSES) < set(arms)
        numbers = {cell.protocol.episodes for cell in cells.values()}
        controls = [cell for cell in cells.values() if cell.protocol.noise]
        assert numbers == {cell.protocol.episodes for cell in controls}
        for control in controls:  # the same as some cell, but for its noise
            [name] = control.methods
            twins = [
                cell
                for cell in cells.values()
                if replace(cell.protocol, noise=recipes.NOISE) == control.protocol
                and cell.methods.get(name) == control.methods[name]
                and cell.start == control.start
            ]
            assert len(twins) == 2, family  # and itself
        assert cells["kickstart"].protocol == cells["baselines"].protocol
        rates = {
            settings_of(name, cell.methods[name]).rate
            for cell in cells.values()
            for name in cell.methods
            if name in (*recipes.REUSES, "fine-tune")
        }
        assert len(rates) == 1


def test_it_trains_adapts_resumes_and_leaves_one_file(script, tiny, tmp_path, capsys):
    config = of(script, tmp_path, methods=("fine-tune", "control", "reptile"), ship=tmp_path / "s")
    assert script.main(config) == 0
    merged = tmp_path / "results" / "cells.jsonl"
    known = Store(merged.parent).read()
    assert list(known) == [
        *(
            f"adapt.classic-point-navigation.{arm}.s0"
            for arm in ("control", "fine-tune", "reptile")
        ),
        *(f"train.classic-point-navigation-{how}-s0" for how in ("ppo", "reptile")),
    ]
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert [row["method"] for row in rows] == ["fine-tune", "fine-tune, other noise", "reptile"]
    assert rows[0]["returns"] != rows[1]["returns"]
    assert {tuple(row["seeds"]) for row in rows} == {(0,)}
    steps = [known[key].result["steps"] for key in known if key.startswith("train.")]
    assert [row["training_steps"] for row in rows] == [steps[0], steps[0], sum(steps)]
    shipped = read_checkpoint(tmp_path / "s" / "point-navigation-reptile.safetensors")
    assert shipped.meta["command"].endswith("--set num_tasks=2 episodes=2")
    assert len(shipped.meta["success-after-each-update"]) == 2
    table = (tmp_path / "table.md").read_text()
    assert "| `fine-tune`, other noise | 0 |" in table
    # A fresh clone has the merged file and the pretrained policy; one more arm needs no training.
    clone = replace(config, runs=tmp_path / "clone", methods=("fine-tune", "wise-ft"), ship=None)
    assert script.main(clone) == 0
    assert [p.name for p in (tmp_path / "clone" / "cells").iterdir()] == [
        "adapt.classic-point-navigation.wise-ft.s0.json"
    ]
    assert not (tmp_path / "clone" / "trainings").exists()
    assert "wise-ft" in capsys.readouterr().out
    assert "`wise-ft`" in (tmp_path / "table.md").read_text()


def test_another_recipe_is_refused_or_trained_again(script, tiny, tmp_path):
    config = of(script, tmp_path, methods=("fine-tune",))
    store = Store(config.runs, config.results / "cells.jsonl")
    assert script.run(config, store)
    [kept] = config.pretrained.iterdir()
    first = read_checkpoint(kept)
    assert first.meta["command"].endswith("--set num_worlds=2 minibatch=8")
    recipe = tiny.PRETRAINING[POINT]
    tiny.PRETRAINING[POINT] = replace(recipe, settings={**recipe.settings, "gamma": 0.5})
    with pytest.raises(ConfigError, match="gamma"):
        script.run(config, store)
    assert script.run(replace(config, again=True), store)
    [kept] = config.pretrained.iterdir()
    other = read_checkpoint(kept)
    assert other.meta["command"].endswith("gamma=0.5")
    assert not other.tensors["critic.head.weight"].equal(first.tensors["critic.head.weight"])


def test_a_training_that_was_killed_goes_on(script, tiny, tmp_path):
    longer = replace(script.pretraining(POINT, 0), iterations=3)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    longer.run(whole)
    [run] = (whole / "trainings").iterdir()
    part = killed / "trainings" / run.name
    train(POINT, "ppo", seed=0, iterations=1, out=part, **longer.settings)
    before = read_metrics(part)
    longer.run(killed)
    assert len(read_metrics(part)) == 3
    assert read_metrics(part)[:1] == before  # to the second
    one, other = (read_checkpoint(folder / longer.file) for folder in (whole, killed))
    assert all(tensor.equal(other.tensors[name]) for name, tensor in one.tensors.items())


def test_a_shipped_policy_by_the_same_command_is_not_trained_again(script, tmp_path):
    cells = sys.modules["shared.adaptation_cells"]
    line = [
        *script.pretraining("kitchen/season", 0).line,
        *script.pretraining("kitchen/add", 0).line,
    ]
    store = Store(tmp_path / "runs")
    script.take_kept(line, store, tmp_path / "pretrained")
    found = [read_checkpoint(store.folder / one.file).meta["method"] for one in line]
    assert found == ["ppo", "dagger"]
    assert not plan(line, store.read(), store.folder).todo
    cells.keep_new(line, store.folder, tmp_path / "pretrained")  # the shipped ones are kept already
    assert not (tmp_path / "pretrained").exists()


def test_the_tables_start_from_the_policies_that_they_were_made_with(script, tmp_path):
    """A better policy of skills is shipped since; dishes begin with the one before."""
    line, store = script.pretraining("kitchen/dishes", 0).line, Store(tmp_path / "runs")
    script.take_kept(line, store, BENCHMARKS / "results" / "pretrained")
    skills, dishes = (read_checkpoint(store.folder / one.file).meta for one in line)
    assert skills["config"]["hidden"] == [128, 128]
    assert dishes["method"] == "dagger"
    assert not plan(line, store.read(), store.folder).todo


def test_a_strangers_strategy_gets_a_cell_and_a_row(script, monkeypatch, tmp_path):
    announce(monkeypatch)
    store = Store(tmp_path)
    cells = [
        script.meeting("kitchen/heat", name, 0, num_tasks=2, updates=1)
        for name in ("louder", "fine-tune")
    ]
    script.take_kept([cells[0].start], store, tmp_path / "kept")
    records = [store.put(cell, cell.run(tmp_path), 0.0) for cell in cells]
    assert records[0].cell["methods"] == {"louder": {}}
    assert not (tmp_path / "trainings").exists()  # the shipped policy is what it starts from
    rows = {row["method"]: row for row in script.tables("kitchen/heat", records)[10]}
    assert len(rows["louder"]["success"]) == 2
    assert rows["louder"]["steps"] == rows["fine-tune"]["steps"]


def test_cells_with_many_episodes_are_tables_of_their_own(script):
    recipes, skills = sys.modules["shared.recipes"], "kitchen/skills"
    arms = ("searched", "many-searched", "many-residual", "many-control", "most-residual")
    cells = {arm: script.meeting(skills, arm, 0, num_tasks=20, updates=10) for arm in arms}
    assert [cell.protocol.episodes for cell in cells.values()] == [10, 80, 80, 80, 160]
    search = "strategy-optimization"
    assert settings_of(search, cells["searched"].methods[search]).decay == 0.7
    assert cells["many-searched"].methods == {search: {"decay": None}}
    assert cells["many-residual"].methods == {"residual-search": {}}
    with_many = set(recipes.EPISODES)
    assert with_many <= set(recipes.methods(skills))
    assert not with_many & set(recipes.methods("kitchen/season"))
    known = Store(KEPT / "adaptation").read()
    names = ("baselines", "searched", "many", "many-searched", "many-residual")
    read = [known[f"adapt.kitchen-skills.{name}.s0"] for name in names]
    made = script.tables(skills, read)
    assert list(made) == [10, 80]
    assert [row["method"] for row in made[80]] == list(
        recipes.ALONE["many"] + recipes.ALONE["many-searched"] + recipes.ALONE["many-residual"]
    )
    (row,) = (r for r in made[80] if r["method"] == search)
    pour, flip = (row["by-skill"][skill][5] for skill in ("pour", "flip"))
    tasks = read[3].result["results"][search]["success"][5]
    assert (11 * pour + 9 * flip) / 20 == pytest.approx(sum(tasks) / 20)
