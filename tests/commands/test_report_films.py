"""A run's report shows held-out tasks: before and after, or side by side; once a checkpoint."""

from __future__ import annotations

import imageio.v3 as iio
import pytest

from metarl import cli
from metarl.learn.train import train


def report(folder, *words: str) -> int:
    return cli.main(["report", str(folder), *words])


@pytest.mark.parametrize(
    ("method", "width", "settings"),
    [
        ("ppo", 2 * 400 + 4, {"num_worlds": 4}),
        ("maml", 3 * 400 + 2 * 4, {"num_tasks": 2, "episodes": 2}),
    ],
)
def test_held_out_tasks_are_shown(method, width, settings, tmp_path, capsys):
    folder = tmp_path / method
    train("toy:toy/short", method, iterations=1, out=folder, num_threads=1, **settings)
    assert report(folder) == 0
    [film] = folder.glob("films/*.mp4")
    assert film.stem == "held-out_tasks-1"
    assert iio.imread(film).shape[2] == width
    page = (folder / "report.html").read_text()
    assert "<h2>Held-out tasks</h2>" in page
    assert "share of episodes that ended well" in page
    told = capsys.readouterr().out
    assert ("of 4 episodes on film" if method == "ppo" else "after 3 updates: ") in told

    before = film.stat().st_mtime_ns  # of the same checkpoint it is not made again
    assert report(folder) == 0
    assert film.stat().st_mtime_ns == before


def test_a_pair_that_never_met_is_shown(tmp_path, capsys):
    folder = tmp_path / "parts"
    names = [f"parts:parts/{pair}" for pair in ("towards@robot=straight", "towards@robot=turned")]
    names.append("parts:parts/mirrored@robot=straight")
    train(names, "modular", iterations=1, out=folder, num_threads=1, num_worlds=4)
    assert report(folder) == 0
    assert "parts/mirrored@robot=turned, a pair that never met" in capsys.readouterr().out


def test_a_film_of_an_older_checkpoint_goes(tmp_path):
    folder = tmp_path / "ppo"
    train("toy:toy/short", "ppo", iterations=2, out=folder, num_threads=1, num_worlds=4)
    (folder / "films").mkdir()
    for name in ("held-out_tasks-1.mp4", "held-out_tasks-1.png", "mine.mp4"):
        (folder / "films" / name).touch()
    assert report(folder, "--out", str(tmp_path / "page.html")) == 0
    assert {path.name for path in folder.glob("films/*")} == {"held-out_tasks-2.mp4", "mine.mp4"}


def test_no_film_is_made_unasked_or_where_it_cannot_be(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "ppo"
    train("toy:toy/short", "ppo", iterations=1, out=folder, num_threads=1, num_worlds=4)
    assert report(folder, "--no-film") == 0
    assert not (folder / "films").exists()
    from metarl.errors import RenderError
    from metarl.film import episode

    def broken(*args, **kwargs):
        raise RenderError("nothing can be drawn here")

    monkeypatch.setattr(episode, "film_renderer", broken)
    assert report(folder) == 0
    assert "no film of it: nothing can be drawn here" in capsys.readouterr().out
    assert (folder / "report.html").exists()
    assert not list(folder.glob("films/*.mp4"))
