"""The page: time, sides and takes, without a browser; only this machine can reach it."""

from __future__ import annotations

import socket
import time
import urllib.request

import numpy as np
import pytest

from metarl.errors import ConfigError, MissingDependencyError
from metarl.viewer.page import Page, require_viewer, told, view_of

pytest.importorskip("viser", reason="needs the extra web")


@pytest.fixture
def page(takes):
    page = Page(takes, "kitchen/heat", camera="film", port=free_port())
    yield page
    page.close()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_only_this_machine_reaches_it(page):
    import psutil

    mine = [c for c in psutil.Process().net_connections("tcp") if c.status == "LISTEN"]
    assert {c.laddr.ip for c in mine} == {"127.0.0.1"}
    assert int(page.url.rpartition(":")[2]) in {c.laddr.port for c in mine}


def test_a_port_that_is_taken_gives_way_to_the_next(page, takes):
    taken = int(page.url.rpartition(":")[2])
    other = Page(takes, "the same", camera="film", port=taken)
    try:
        assert int(other.url.rpartition(":")[2]) > taken
    finally:
        other.close()


def test_a_host_that_is_none_is_told(takes):
    for host in ("203.0.113.7", "no such host", ".."):
        with pytest.raises(ConfigError, match="expected an address of this machine"):
            Page(takes, "nowhere", host=host, port=free_port())


@pytest.mark.parametrize(
    ("host", "at"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "[::1]"), ("::", "[::1]")],
)
def test_the_address_is_one_that_a_browser_here_opens(takes, host, at, capsys):
    page = Page(takes, "here", host=host, port=free_port())
    try:
        assert page.url == f"http://{at}:{page.port}"
        assert urllib.request.urlopen(page.url, timeout=10).status == 200
    finally:
        page.close()
    assert capsys.readouterr().out == ""  # no word of the viewer's own


def test_time_goes_on_and_starts_anew(page):
    began = time.monotonic()
    page.serve(lambda: time.monotonic() - began > 0.6)
    assert 6 <= page.moment <= 13  # 20 moments a second
    page.play(False)
    moment, began = page.moment, time.monotonic()
    page.serve(lambda: time.monotonic() - began > 0.2)
    assert page.moment == moment
    page.show(10_000)
    assert page.moment == page.length - 1
    page.play(True)
    assert page.moment == 0


def test_what_stands_there_is_what_happened(page, takes):
    page.show(20)
    expert, still = takes[0]
    for side, recording in zip(page._sides, (expert, still)):
        for body, frame in side._bodies:
            assert np.allclose(frame.position, recording.positions[20, body], atol=1e-6)
    assert "**expert**: under way, 1.0 s" in page._texts[0].content
    page.show(page.length - 1)
    assert "**expert**: success" in page._texts[0].content
    assert "**still**: failure" in page._texts[1].content
    page._open(1)
    assert page.moment == 0
    assert f"of {takes[1][0].captions[0].rpartition(' of ')[2]}" in page._texts[0].content


def test_sides_stand_apart_along_the_picture(page, takes):
    left, right = (np.array(side._root.position) for side in page._sides)
    across = page._view.right
    assert (right - left) @ across > 0.5
    assert np.allclose(right - left, ((right - left) @ across) * across)


def test_no_wall_hides_another_side(page, takes):
    from metarl.viewer.scene import Side

    def extent(name: str, walls: bool) -> float:
        before = len(page.server.scene._handle_from_node_name)
        Side(page.server, name, takes[0][0], np.zeros(3), walls=walls)
        return len(page.server.scene._handle_from_node_name) - before

    assert extent("without", walls=False) < extent("with", walls=True)


def test_every_term_is_told(takes):
    recording = takes[0][0]
    text = told(recording, 30)
    for name, (now, total) in recording.earned(30).items():
        assert f"| {name} | {now:+.3f} | {total:+.2f} |" in text
    assert recording.captions[30] in text


def test_the_first_look_is_that_of_films(takes):
    recording = takes[0][0]
    film, free = view_of(recording, "film"), view_of(recording, -1)
    camera = recording.model.camera("film")
    assert film.fov_rad == pytest.approx(np.radians(float(camera.fovy[0])))
    for view in (film, free):
        assert abs(view.right[2]) < 1e-9
        assert np.linalg.norm(view.right) == pytest.approx(1.0)
        assert abs((view.target - view.place) @ view.right) < 1e-6


def test_a_look_from_afar_shows_all(takes):
    view = view_of(takes[0][0], "film")
    balls = [
        np.array([[0.0, -1.0, 0.0, 0.1], [0.5, 2.0, 1.0, 0.3]]),
        np.array([[3.0, 0.0, 0.2, 0.0]]),
    ]
    for aspect in (0.4, 1.0, 2.5):
        look = view.around(balls, aspect)
        ahead = (look.target - look.place) / np.linalg.norm(look.target - look.place)
        assert np.allclose(
            ahead, (view.target - view.place) / np.linalg.norm(view.target - view.place)
        )
        points, radii = np.concatenate(balls)[:, :3] - look.place, np.concatenate(balls)[:, 3]
        high = (points @ ahead) * np.tan(look.fov_rad / 2.0)
        shares = np.maximum(
            (np.abs(points @ look.right) + radii) / (high * aspect),
            (np.abs(points @ np.cross(look.right, ahead)) + radii) / high,
        )
        assert shares.max() == pytest.approx(0.9)  # and no further than it must


def test_what_is_missing_is_named(monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'metarl-sim\[web\]'"):
        require_viewer()
