"""Kinds of film: one task along its updates, many tasks at once, and what the camera sees."""

from __future__ import annotations

import imageio.v3 as iio
import numpy as np
import pytest
from console import policy_file

from metarl import cli
from metarl.film.encoder import HOLD_S
from metarl.registry import make_family


def watch(*words: object) -> int:
    return cli.main(["watch", *map(str, words), "--no-live"])


def test_one_task_along_its_updates(tmp_path, capsys):
    policy, out = policy_file(tmp_path / "p.safetensors"), tmp_path / "film.mp4"
    words = ("toy/short", "--policy", policy, "--updates", 0, 1, 2, "--out", out)
    assert watch(*words, "--strategy", "fine-tune", "--split", "test") == 0
    told = capsys.readouterr().out
    for part in ("before: ", "after 1 update: ", "after 2 updates: ", "fine-tune, 10 episodes"):
        assert part in told
    frames = iio.imread(out)
    assert frames.shape[1:] == (304, 3 * 400 + 2 * 4, 3)
    left, right = frames[-1][:, :400].astype(int), frames[-1][:, 808:].astype(int)
    assert np.abs(left - right).max() > 20  # its captions at least
    assert out.with_suffix(".png").exists()


def test_many_tasks_at_once_on_tasks_of_their_own(tmp_path, capsys):
    out = tmp_path / "film.mp4"
    assert watch("toy/reach", "--policy", "expert", "--grid", "2x2", "--out", out) == 0
    assert "4 of 4 episodes succeeded" in capsys.readouterr().out
    frames = iio.imread(out)
    assert frames.shape[1:] == (2 * 300 + 4, 2 * 400 + 4, 3)
    assert len(frames) <= make_family("toy/reach").horizon + 1 + 40 * HOLD_S
    places = ((0, 0), (0, 404), (304, 0))
    first, right, below = (frames[0][y + 50 : y + 250, x : x + 400].astype(int) for y, x in places)
    assert np.abs(first - right).max() > 50  # other goals
    assert np.abs(first - below).max() > 50
    assert np.abs(right - below).max() > 50


def test_episodes_of_a_grid_follow_each_other(tmp_path, capsys):
    out = tmp_path / "film.mp4"
    words = ("toy/short", "--policy", "still", "--grid", "1x2", "--episodes", 2, "--out", out)
    assert watch(*words) == 0
    assert "of 4 episodes succeeded" in capsys.readouterr().out
    assert len(iio.imread(out)) > 2 * make_family("toy/short").horizon


def test_what_the_camera_sees_stands_beside(tmp_path):
    out = tmp_path / "film.mp4"
    words = ("kitchen/season", "--policy", "expert", "--episodes", 1, "--show", "camera")
    assert watch(*words, "--out", out) == 0
    frames = iio.imread(out)
    assert frames.shape[1:] == (480, 640 + 4 + 480, 3)
    seen = frames[20][60:, 644:].astype(int)
    assert seen.std() > 10.0
    assert np.abs(frames[0][60:, 644:].astype(int) - seen).max() > 30  # it is of now


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--grid 3", "expected ROWSxCOLUMNS"),
        ("--grid 7x6", "at most 36 tasks"),
        ("--grid 2x2 --show camera", "--show does not go with --grid"),
        ("--updates 0 1", "policy random does not adapt"),
        ("--strategy fine-tune", "no effect without --updates"),
        ("--policy {} --updates 1 1", "numbers that grow"),
        ("--policy {} --updates 0 1 2 3 4 5 6", "at most 6 numbers"),
        ("--policy {} --updates -1", "integers >= 0"),
        ("--policy {} --updates 0 1 --strategy lightning", "unknown strategy 'lightning'"),
        ("--policy {} --updates 0 1 --episodes 2", "--episodes has no effect"),
        ("--show camera", "lets no camera be observed"),
    ],
)
def test_what_does_not_go_together_is_one_line(tmp_path, capsys, words, said):
    policy = policy_file(tmp_path / "p.safetensors")
    assert watch("toy/reach", *words.format(policy).split(), "--out", tmp_path / "film.mp4") != 0
    told = capsys.readouterr().err
    assert said in told
    assert len(told.strip().splitlines()) == 1
    assert not (tmp_path / "film.mp4").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--web", "--out", "film.mp4"), "--out does not go with --web"),
        (("--web", "--grid", "2x2"), "--grid does not go with --web"),
        (("--web", "--show", "camera"), "--show does not go with --web"),
        (("--port", 9000), "--port and --host have no effect without --web"),
        (("--host", "0.0.0.0"), "--port and --host have no effect without --web"),
        (("--web", "--host", "203.0.113.7"), "expected an address of this machine"),
    ],
)
def test_a_page_is_no_film(words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert watch("toy/reach", "--policy", "expert", *words) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_page_without_its_extra_says_what_to_install(monkeypatch, capsys):
    import importlib.util

    present = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if "viser" in name else present(name, *a)
    )
    assert watch("toy/reach", "--policy", "expert", "--web") == 2
    assert "pip install 'metarl-sim[web]'" in capsys.readouterr().err
