"""The demo on a tiny budget: it adapts, films, swaps a head, and writes one report."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import imageio.v3 as imageio
import pytest
from metarl_kitchen.dishes.recipes import DISHES

from metarl import demo
from metarl.commands import output
from metarl.errors import CheckpointError, OutputError
from metarl.perception.headswap import compare
from metarl.report import before_after
from metarl.runs.shipped import find_checkpoint, reference, shipped


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"num_tasks": 2, "episodes": 2, "updates": 1, "eval_episodes": 1}
    first, *others = [
        dataclasses.replace(show, protocol=dataclasses.replace(show.protocol, **small))
        for show in demo.SHOWS
    ]
    others = [dataclasses.replace(show, every=10 * show.every) for show in others]
    monkeypatch.setattr(demo, "SHOWS", (first, *others))
    monkeypatch.setattr(before_after, "WIDTH", 160)
    monkeypatch.setattr(before_after, "HEIGHT", 120)

    def quick(*args, **kwargs):
        return compare(*args, **{**kwargs, "num_train": 40, "num_test": 20})

    monkeypatch.setattr(demo, "compare", quick)


@pytest.mark.usefixtures("tiny")
def test_the_demo_names_the_files_that_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with output.answering(True):
        written = demo.run(tmp_path)
    said, printed = capsys.readouterr()
    answer = json.loads(said)  # a program gets JSON, and the tables in it
    assert answer["files"] == [str(path) for path in written]
    assert [len(table["rows"]) for table in answer["tables"]] == [3] * (len(demo.SHOWS) + 1)
    assert {row["strategy"] for row in answer["tables"][-1]["rows"]} >= {"frozen-trunk"}
    printed += said
    assert tmp_path / "report.html" in written
    assert all(path.stat().st_size > 0 for path in written)
    for show in demo.SHOWS:
        assert f"{show.family}: {show.metric} on held-out tasks" in printed
        for method in show.starts:
            assert method in printed
    films = [path for path in written if path.suffix == ".mp4"]
    assert len(films) == len(demo.SHOWS)
    frames = imageio.imread(films[0])
    assert frames.shape[0] > 40  # an episode, one frame a control step
    left, right = frames[:, :, : frames.shape[2] // 2], frames[:, :, frames.shape[2] // 2 :]
    assert (left != right).any()
    html = (tmp_path / "report.html").read_text()
    assert html.count("<video") == len(demo.SHOWS)
    assert "http://" not in html
    assert "https://" not in html


@pytest.mark.parametrize("name", ["report.html", "films/kitchen-season.mp4"])
def test_a_target_that_is_no_file_is_refused_before_any_work(name, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "make_family", None)
    (tmp_path / name).mkdir(parents=True)
    with pytest.raises(OutputError, match="is a folder"):
        demo.run(tmp_path)


def test_the_dish_is_held_out():
    dish = demo.SHOWS[-1].family.partition("dish=")[2]
    assert DISHES[dish].held_out


def test_a_checkpoint_that_is_not_shipped_is_named_with_those_that_are():
    with pytest.raises(CheckpointError, match="ingredients"):
        shipped("kitchen/season", "soup")
    with pytest.raises(CheckpointError, match="no trained reference for kitchen/pour"):
        reference("kitchen/pour")
    assert reference("kitchen/add@robot=panda").stem == "add-dagger"


def test_a_checkpoint_is_found_by_its_path_or_by_its_shipped_name(tmp_path: Path, monkeypatch):
    here = tmp_path / "season-pearl"
    name = Path("season-pearl")
    assert find_checkpoint(name, "kitchen/season") == shipped("kitchen/season", "season-pearl")
    assert find_checkpoint(Path("reference"), "kitchen/heat").stem == "heat-ppo"
    here.mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_checkpoint(name, "kitchen/season") == name  # what lies here comes first
    with pytest.raises(CheckpointError, match=r"no checkpoint soup.*season-pearl"):
        find_checkpoint(Path("soup"), "kitchen/season")
