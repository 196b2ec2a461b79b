"""Rendered pictures on disk: the same command gives the same bytes, and the table says what is in each."""

from __future__ import annotations

import csv
import dataclasses
import json
import os

import numpy as np
import pytest
from PIL import Image

from metarl.cli import main
from metarl.errors import ConfigError, FamilyError, UnknownNameError
from metarl.perception import dataset
from metarl.perception.data import load_data
from metarl.perception.dataset import render_dataset
from metarl.perception.pictures import Studio, draw_pictures, get_scene, measures_of
from metarl.types import take

KITCHEN, INVENTED = "kitchen/ingredients", "kitchen/invented-ingredients"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Seventy small pictures, by two processes."""
    folder = tmp_path_factory.mktemp("sets") / "kitchen"
    return render_dataset(KITCHEN, 70, folder, seed=3, size=24, jobs=2, command="as asked")


def table_of(folder):
    with (folder / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_set_says_what_is_in_each_picture_and_what_made_it(written):
    rows, about = (
        table_of(written.folder),
        json.loads((written.folder / "dataset.json").read_text()),
    )
    assert len(rows) == written.num_pictures == 70
    assert list(rows[0])[1:] == list(written.columns) == about["columns"]
    assert (about["scene"], about["seed"], about["made-with"]["command"]) == (
        KITCHEN,
        3,
        "as asked",
    )
    assert about["sha256"] == written.sha256
    scene = get_scene(KITCHEN)
    for row in rows[::20]:
        assert Image.open(written.folder / row["file"]).size == (24, 24)
        assert row["class"] in scene.classes
        ware = scene.wares[row["class"]]
        grams, euro = float(row["portion_g"]), float(row["price_eur"])
        assert 0.82**3 - 1e-3 < grams / ware.grams < 1.12**3 + 1e-3
        assert euro == pytest.approx(grams / 1000 * ware.euro_per_kg, rel=1e-5)
    assert np.std([float(row["x_m"]) for row in rows]) > 0.005


def test_processes_change_nothing(written, tmp_path):
    alone = render_dataset(KITCHEN, 70, tmp_path / "alone", seed=3, size=24, jobs=1)
    assert alone.sha256 == written.sha256
    for name in ("labels.csv", "pictures/000069.png"):
        assert (alone.folder / name).read_bytes() == (written.folder / name).read_bytes()
    other = render_dataset(KITCHEN, 4, tmp_path / "other", seed=4, size=24, jobs=1)
    assert table_of(other.folder)[0] != table_of(alone.folder)[0]


def test_a_set_is_written_once_and_whole(tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    with pytest.raises(ConfigError, match="written once"):
        render_dataset(KITCHEN, 2, tmp_path / "there")
    for numbers in ({"n": 0}, {"n": 2, "size": 0}, {"n": 2, "jobs": -1}):
        with pytest.raises(ConfigError, match="at least 1"):
            render_dataset(KITCHEN, folder=tmp_path / "none", **numbers)

    def stop(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset, "write_whole", stop)
    with pytest.raises(KeyboardInterrupt):
        render_dataset(KITCHEN, 2, tmp_path / "stopped", size=16, jobs=1)
    assert os.listdir(tmp_path) == ["there"]


def test_columns_of_a_set_are_asked_for_by_name(written):
    how = {"test": None, "size": 24, "seed": 0, "num_pictures": None, "held_out": 0.2}
    data = load_data(f"{written.folder}:price_eur", **how)
    assert data.question.names == ("price_eur",)
    assert len(data.train) + len(data.test) == 70
    two = load_data(f"{written.folder / 'labels.csv'}:x_m,y_m", **how)
    assert two.train.target.shape[1] == 2
    assert load_data(f"{written.folder}:class", **how).train.asks_class
    with pytest.raises(ConfigError, match="did you mean 'price_eur'"):
        load_data(f"{written.folder}:price", **how)
    with pytest.raises(
        ConfigError, match=r"class holds words.*choose .*labels.csv:class, or numbers"
    ):
        load_data(str(written.folder), **how)


def test_what_is_learned_here_is_judged_under_a_shift():
    how = {"size": 16, "seed": 0, "num_pictures": 6, "held_out": 0.2}
    data = load_data("kitchen:price_eur", test="kitchen@shift=light:price_eur", **how)
    assert data.train.columns == data.test.columns == ("price_eur",)
    assert data.test.pixels.mean() < data.train.pixels.mean() - 30.0
    for given, message in (
        ("kitchen:weight", "unknown target 'weight'"),
        ("kitchen:class,doneness", "expected class alone"),
        ("kitchen:x_m,x_m", "different numbers"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_data(given, test=None, **how)
    with pytest.raises(ConfigError, match="the test asks for doneness"):
        load_data("kitchen:price_eur", test="kitchen:doneness", **how)


@pytest.mark.parametrize("name", [KITCHEN, INVENTED])
def test_a_shift_changes_the_look_and_nothing_else(name):
    plain = get_scene(name)
    rows = plain.sample(np.random.default_rng(0), 3)
    looks = {}
    for shift in ("none", "light", "camera", "texture", "clutter"):
        scene = get_scene(f"{name}@shift={shift}")
        mine = scene.sample(np.random.default_rng(0), 3)
        assert np.array_equal(mine.label, rows.label)
        for key, values in measures_of(scene, mine, 3).items():
            assert np.array_equal(values, measures_of(plain, rows, 3)[key]), key
        with Studio(scene, 32) as studio:
            looks[shift] = studio.shoot(take(mine, np.asarray(0))).astype(int)
    usual = looks.pop("none")
    changed = {shift: (np.abs(look - usual).max(-1) > 12).mean() for shift, look in looks.items()}
    assert min(changed.values()) > 0.02, changed


def test_options_are_checked_by_name():
    with pytest.raises(
        UnknownNameError, match=r"shift of kitchen/ingredients 'fog'; valid: camera"
    ):
        get_scene(f"{KITCHEN}@shift=fog")
    with pytest.raises(UnknownNameError, match=r"option of kitchen/ingredients 'light'"):
        get_scene(f"{KITCHEN}@light=low")


def test_a_scene_that_measures_nonsense_is_named():
    scene = get_scene(KITCHEN)
    for bad in (np.array([1.0]), np.array([1, 2]), np.array([1.0, np.nan])):
        scene.measures = lambda rows, bad=bad: {"worth": bad}
        with pytest.raises(FamilyError, match=r"Ingredients.measures gave worth as"):
            draw_pictures(scene, 2, seed=0, size=8)
    del scene.measures
    assert dataclasses.is_dataclass(scene.sample(np.random.default_rng(0), 1))


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["perceive", "render", "kitchen@shift=clutter", "--num", "3", "--size", "16"]
    assert main([*words, "--jobs", "1"]) == 0
    folder = tmp_path / "datasets" / "kitchen-shift-clutter-s0"
    assert len(os.listdir(folder / "pictures")) == 3
    assert "sha256" in "".join(capsys.readouterr())
    command = json.loads((folder / "dataset.json").read_text())["made-with"]["command"]
    assert command == "metarl perceive render kitchen@shift=clutter --num 3 --size 16 --seed 0"
    assert main([*words, "--jobs", "1"]) != 0
    assert "written once" in "".join(capsys.readouterr())
