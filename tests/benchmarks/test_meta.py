"""The benchmarks of meta-updates and meta-iterations, as a user runs them."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from metarl.adapt.evaluate import settings_of

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(script, name, *arguments):
    command = [sys.executable, str(BENCHMARKS / script), "--name", str(name), *arguments]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(name.with_suffix(".json").read_text()), done.stdout


def test_updates_are_compared_size_by_size(tmp_path):
    pytest.importorskip("learn2learn")
    sizes = ("--tasks", "2", "--samples", "8", "16", "--threads", "1", "--updates", "1")
    rounds = ("--min-rounds", "1", "--max-rounds", "1")
    found, said = run("meta_update.py", tmp_path / "update", *sizes, *rounds)
    cells = {(row["order"], row["samples"]) for row in found["rows"]}
    assert cells == {(1, 8), (1, 16), (2, 8), (2, 16)}
    assert found["least"]["up to 100 samples"] == min(row["ratio"] for row in found["rows"])
    assert "times as fast as learn2learn" in said
    assert found["made-by"]["command"].startswith("python ")


def test_iterations_are_compared_part_by_part(tmp_path):
    pytest.importorskip("learn2learn")
    sizes = ("--num-tasks", "2", "--episodes", "2", "--processes", "1", "--rounds", "1")
    found, said = run("meta_iteration.py", tmp_path / "iteration", *sizes)
    [row] = found["rounds"]
    assert found["steps"] == 2 * 2 * 2 * 50
    assert set(row["theirs_parts"]) == {"collect_s", "adapt_s", "update_s"}
    assert sum(row["theirs_parts"].values()) == pytest.approx(row["theirs_s"], rel=0.1)
    assert row["ratio"] == pytest.approx(row["theirs_s"] / row["ours_s"])
    assert "median ratio" in said


def test_the_adaptation_tables_are_made_from_the_cells(tmp_path):
    made, _ = run("adaptation.py", tmp_path / "adaptation", "--finished")
    kept = BENCHMARKS / "results"
    assert made["rows"] == json.loads((kept / "adaptation.json").read_text())["rows"]
    assert (tmp_path / "adaptation.md").read_text() == (kept / "adaptation.md").read_text()


def test_a_pretrained_policy_is_kept_and_trained_again_for_another_recipe(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    grid, recipes = (
        importlib.import_module("shared.grid"),
        importlib.import_module("shared.recipes"),
    )
    family, small = "classic/point-navigation", {"num_worlds": 2, "minibatch": 8}
    cells = grid.Grid(tmp_path / "cells", tmp_path / "runs", tmp_path / "pretrained")

    def pretrained(**settings):
        recipe = recipes.Recipe("ppo", 1, small | settings)
        monkeypatch.setitem(recipes.PRETRAINING, family, recipe)
        [(name, path)] = cells._pretrained(family, 0).items()
        assert name == "classic-point-navigation-ppo-s0"
        return path, grid.read_checkpoint(path)

    path, first = pretrained()
    assert path == tmp_path / "pretrained" / "classic-point-navigation-ppo-s0.safetensors"
    assert first.meta["command"].endswith("--set num_worlds=2 minibatch=8")
    run = next((tmp_path / "runs").glob("*"))
    trained = grid.read_checkpoint(run)
    assert all(tensor.equal(trained.tensors[name]) for name, tensor in first.tensors.items())
    shutil.rmtree(run)
    _, again = pretrained()
    assert not run.exists()
    assert again.meta == first.meta
    _, other = pretrained(gamma=0.5)
    assert run.exists()
    assert not other.tensors["critic.head.weight"].equal(first.tensors["critic.head.weight"])


def test_a_shipped_policy_by_the_same_command_is_not_trained_again(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    grid = importlib.import_module("shared.grid")
    cells = grid.Grid(tmp_path / "cells", tmp_path / "runs", tmp_path / "pretrained")
    found = cells._pretrained("kitchen/dishes", 0)
    assert [path.stem for path in found.values()] == ["skills-dagger", "dishes-dagger"]
    assert list(tmp_path.iterdir()) == []


def test_cells_with_many_episodes_are_tables_of_their_own(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    grid, recipes = (
        importlib.import_module("shared.grid"),
        importlib.import_module("shared.recipes"),
    )
    tables = importlib.import_module("shared.adaptation_tables").tables
    cells = grid.Grid(tmp_path / "cells", tmp_path / "runs", tmp_path / "pretrained")
    few, many, residual = (
        cells.protocol("kitchen/skills", m) for m in ("searched", "many-searched", "many-residual")
    )
    assert (few.episodes, many.episodes, residual.episodes) == (10, 80, 80)
    assert recipes.adapting("kitchen/skills", "many-residual", "residual-search") == {}
    most = cells.protocol("kitchen/skills", "most-residual")
    assert most.episodes == 160
    search = "strategy-optimization"
    assert settings_of(search, recipes.adapting("kitchen/skills", "searched", search)).decay == 0.7
    assert recipes.adapting("kitchen/skills", "many-searched", search) == {"decay": None}
    with_many = set(recipes.EPISODES)
    assert with_many <= set(recipes.methods("kitchen/skills"))
    assert not with_many & set(recipes.methods("kitchen/season"))
    kept = BENCHMARKS / "results" / "adaptation"
    read = [
        json.loads((kept / f"kitchen-skills-{name}-s0.json").read_text())
        for name in ("baselines", "searched", "many", "many-searched", "many-residual")
    ]
    made = tables("kitchen/skills", read)
    assert list(made) == [10, 80]
    assert [row["method"] for row in made[80]] == list(
        recipes.ALONE["many"] + recipes.ALONE["many-searched"] + recipes.ALONE["many-residual"]
    )
    (row,) = (r for r in made[80] if r["method"] == "strategy-optimization")
    pour, flip = (row["by-skill"][skill][5] for skill in ("pour", "flip"))
    tasks = read[3]["results"]["strategy-optimization"]["success"][5]
    assert (11 * pour + 9 * flip) / 20 == pytest.approx(sum(tasks) / 20)
