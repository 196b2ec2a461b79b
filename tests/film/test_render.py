"""Frames and films: what is in them, and what is said where there can be none."""

from __future__ import annotations

import os
import subprocess
import sys

import imageio.v3 as iio
import mujoco
import numpy as np
import pytest
from toy import Reach

from metarl.adapt.evaluate import evaluate_adaptation
from metarl.adapt.protocol import Protocol
from metarl.errors import ConfigError, OutputError, RenderError, ShapeError, UnknownNameError
from metarl.film import gl
from metarl.film.captions import burn, tile, tiled_frames
from metarl.film.encoder import HOLD_S, write_film
from metarl.film.episode import episode_frames, film_episode, film_renderer
from metarl.film.render import Renderer
from metarl.report import before_after
from metarl.report.before_after import film_adaptation, lapse
from metarl.rl.ppo import PpoConfig, PpoTrainer
from metarl.runs.checkpoint import Checkpoint
from metarl.sim.worlds import Worlds

XML = """<mujoco><visual><headlight diffuse="0 0 0"/></visual><worldbody>
<light name="sun" pos="-2 0 3" dir="2 0 -3" cutoff="60" castshadow="true"/>
<camera name="above" pos="0 0 2.5"/>
<geom type="plane" size="2 2 .1" rgba="1 1 1 1"/>
<body pos="0 0 .5"><freejoint/><geom name="ball" size=".2" rgba="1 0 0 1"/></body>
</worldbody></mujoco>"""


@pytest.fixture(scope="module")
def scene() -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = mujoco.MjModel.from_xml_string(XML)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def test_frame_shows_the_state(scene):
    model, data = scene
    moved = mujoco.MjData(model)
    moved.qpos[0] = 0.4
    mujoco.mj_forward(model, moved)
    with Renderer(model, 64, 48, "above", film=False) as renderer:
        frame = renderer.frame(model, data)
        assert (frame.shape, frame.dtype) == ((48, 64, 3), np.uint8)
        assert frame.std() > 5
        assert np.array_equal(frame, renderer.frame(model, data))
        assert not np.array_equal(frame, renderer.frame(model, moved))


def test_frame_shows_a_worlds_own_model(scene):
    model, data = scene
    green = mujoco.MjModel.from_xml_string(XML.replace("1 0 0 1", "0 1 0 1"))
    with Renderer(model, 64, 48, "above", film=False) as renderer:
        frames = [renderer.frame(m, data).astype(int) for m in (model, green)]
    ball = frames[0][..., 0] - frames[0][..., 1] > 60
    assert ball.sum() > 20
    assert (frames[1][ball][:, 1] > frames[1][ball][:, 0]).all()


def test_only_films_have_shadows(scene):
    model, data = scene
    before = (model.vis.quality.shadowsize, model.vis.quality.offsamples)
    frames = {}
    for film in (True, False):
        with Renderer(model, 96, 96, "above", film=film) as renderer:
            frames[film] = renderer.frame(model, data).astype(int)
    assert (model.vis.quality.shadowsize, model.vis.quality.offsamples) == before
    floor = {film: np.ptp(f, axis=2) < 12 for film, f in frames.items()}
    dark = {film: (f[..., 0][floor[film]] < 85).sum() for film, f in frames.items()}
    assert dark[True] > 100 > 10 > dark[False]


def test_frames_larger_than_the_models_buffer(scene):
    model, data = scene
    with Renderer(model, 1000, 700, film=False) as renderer:
        assert renderer.frame(model, data).shape == (700, 1000, 3)


def test_unknown_camera_and_size(scene):
    with pytest.raises(UnknownNameError, match="did you mean 'above'"):
        Renderer(scene[0], 64, 48, "abov", film=False)
    with pytest.raises(UnknownNameError, match="above"):
        Renderer(scene[0], 64, 48, 7, film=False)
    with pytest.raises(ConfigError, match="0 x 48"):
        Renderer(scene[0], 0, 48, film=False)


# Where nothing can be drawn -------------------------------------------------------------

DRAW = """
import metarl, mujoco
from metarl.errors import RenderError
from metarl.film.render import Renderer
model = mujoco.MjModel.from_xml_string("<mujoco/>")
mujoco.mj_step(model, mujoco.MjData(model))
try:
    Renderer(model, 8, 8, film=False)
except RenderError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("value", "expected"),
    [("garbage", "valid: egl, glfw, osmesa"), ("off", "unset it"), ("glfw", "apt-get install")],
)
def test_broken_gl_is_one_line_and_physics_goes_on(value, expected):
    env = {**os.environ, "MUJOCO_GL": value, "DISPLAY": "", "WAYLAND_DISPLAY": ""}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DRAW], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("no picture can be drawn: ")
    assert expected in done.stdout
    assert done.stdout.count("\n") == 1


def test_mujoco_may_be_imported_before_metarl():
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "MUJOCO_GL")}
    code = "import mujoco\n" + DRAW
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture
def headless(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(gl._Choice, "problem", "")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_GL"):
        monkeypatch.setenv(name, "")
    return monkeypatch


def test_egl_is_chosen_without_a_display(headless):
    gl.choose_gl()
    assert os.environ["MUJOCO_GL"] == "egl"
    headless.setenv("MUJOCO_GL", "")
    headless.setenv("DISPLAY", ":0")
    gl.choose_gl()
    assert os.environ["MUJOCO_GL"] == ""


def test_missing_library_names_what_to_install(headless):
    headless.setattr(gl, "_loads", lambda name: name != "EGL")
    gl.choose_gl()
    assert os.environ["MUJOCO_GL"] == "disable"
    with pytest.raises(RenderError, match=r"libEGL is missing; .*apt-get install libegl1"):
        gl.prepare_gl()


# Films ----------------------------------------------------------------------------------


def gradient(n: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    return [np.full((height, width, 3), 10 * i, np.uint8) for i in range(n)]


def test_film_reads_back(tmp_path):
    path = write_film(tmp_path / "deep" / "film.mp4", gradient(20), fps=20)
    frames = iio.imread(path)
    assert frames.shape == (20 + round(20 * HOLD_S), 48, 64, 3)
    assert np.abs(frames[:20].mean((1, 2, 3)) - 10 * np.arange(20)).max() < 6
    assert [p.name for p in path.parent.iterdir()] == ["film.mp4"]


def test_odd_frames_lose_a_row_and_a_column(tmp_path):
    assert iio.imread(write_film(tmp_path / "f.mp4", gradient(3, 49, 65), 10)).shape[1:3] == (
        48,
        64,
    )


def test_an_error_leaves_the_old_film(tmp_path):
    path = write_film(tmp_path / "film.mp4", gradient(3), 10)
    old = path.read_bytes()
    frames = [*gradient(1), *gradient(1, height=10)]
    with pytest.raises(ShapeError, match=r"\(48, 64, 3\), got \(10, 64, 3\)"):
        write_film(path, frames, 10)
    assert path.read_bytes() == old
    assert len(list(tmp_path.iterdir())) == 1


def test_unwritable_film_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*film.mp4: .*choose a folder"):
        write_film(tmp_path / "file" / "film.mp4", gradient(2), 10)


@pytest.mark.parametrize("executable", ["/nowhere/ffmpeg", "/bin/false"])
def test_broken_ffmpeg_is_one_line(tmp_path, monkeypatch, executable):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", executable)
    with pytest.raises(RenderError, match="film") as caught:
        write_film(tmp_path / "film.mp4", gradient(40), 10)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_episode_on_film(tmp_path, reach):
    worlds = Worlds(reach, 2, seed=1)
    texts = []

    def caption(done, step):
        texts.append((done, None if step is None else bool(step.success[1])))
        return f"step {done}"

    path = film_episode(
        worlds, lambda obs: worlds.expert(), tmp_path / "film.mp4", world=1, caption=caption,
        width=96, height=64,
    )  # fmt: skip
    assert len(iio.imread(path)) == reach.horizon + 1 + round(HOLD_S / reach.control_dt_s)
    assert [done for done, _ in texts] == list(range(reach.horizon + 1))
    assert texts[0][1] is None
    assert texts[-1][1]


def test_two_episodes_side_by_side(reach):
    worlds = Worlds(reach, 1, seed=1)
    with film_renderer(worlds, width=96, height=64) as renderer:
        acts = (lambda obs: worlds.expert(), lambda obs: np.zeros((1, 2)))
        left, right = (list(episode_frames(worlds, act, renderer)) for act in acts)
    frames = list(tiled_frames((left[:10], right), 2))
    assert np.array_equal(frames[-1][:, :96], left[9])  # which waits
    assert len(frames) == reach.horizon + 1
    assert frames[0].shape == (64, 96 + 4 + 96, 3)


def test_films_of_adaptation_show_long_episodes_in_time_lapse(tmp_path, monkeypatch):
    monkeypatch.setattr(before_after, "FRAMES", 20)

    class Long(Reach):
        horizon = 2 * 20 + 2  # in threes, the end included

    family, keep = Long(), []
    start = Checkpoint(*PpoTrainer(family, PpoConfig(num_worlds=2, hidden=(8,))).checkpoint())
    protocol = Protocol(num_tasks=2, episodes=2, updates=1, eval_episodes=1)
    evaluate_adaptation(family, "fine-tune", start, protocol, keep=keep)
    path = tmp_path / "film.mp4"
    solved = film_adaptation(family, "fine-tune", start, protocol, keep, path)
    assert solved.keys() == {0, 1}
    assert lapse(family) == 3
    shown = 1 + family.horizon // 3 + round(HOLD_S / family.control_dt_s)
    assert len(iio.imread(path)) == shown


# Captions -------------------------------------------------------------------------------


def test_caption_is_in_its_band_only():
    frame = np.full((100, 300, 3), 200, np.uint8)
    for at, rows in (("top", slice(30, None)), ("bottom", slice(None, 70))):
        burnt = burn(frame, "after 5 updates", at=at)
        assert np.array_equal(burnt[rows], frame[rows])
        assert burnt.max() > 240
        assert burnt.min() < 100
    assert frame.min() == 200


def test_long_caption_shrinks():
    frame = np.zeros((200, 200, 3), np.uint8)
    burnt = burn(frame, "kitchen/season after 5 updates")
    assert burnt[:, 1:3].max() == 0  # nothing is cut at the edges
    assert burnt[:, -3:-1].max() == 0


def test_frames_at_once_stand_in_rows():
    frames = [np.full((6, 10, 3), shade, np.uint8) for shade in (10, 20, 30)]
    sheet = tile(frames, 2)
    assert sheet.shape == (6 + 4 + 6, 10 + 4 + 10, 3)
    assert (sheet[:6, :10] == 10).all()
    assert (sheet[:6, 14:] == 20).all()
    assert (sheet[10:, :10] == 30).all()
    assert (sheet[10:, 14:] == 255).all()  # nothing is there
    with pytest.raises(ShapeError, match="one shape"):
        tile([gradient(1)[0], gradient(1, height=10)[0]], 2)
    with pytest.raises(ShapeError, match="none"):
        tile([], 2)
    with pytest.raises(ShapeError, match="at least one frame"):
        next(tiled_frames((frames, ()), 2))


class Blushing(Reach):
    """The ball turns red once it is stepped, and the family says so."""

    def advance(self, worlds, task):
        worlds.model_field("geom_rgba")[:] = [1.0, 0.0, 0.0, 1.0]

    def caption(self, worlds, task):
        return [f"world {i}" for i in range(worlds.num_worlds)]


def test_a_film_follows_colours_and_shows_the_familys_caption():
    worlds = Worlds(Blushing(), 2)
    assert worlds.caption(1) == "world 1"
    with film_renderer(worlds, width=160, height=120) as renderer:
        frames = list(episode_frames(worlds, lambda obs: np.zeros((2, 2)), renderer))
        lapse = list(episode_frames(worlds, lambda obs: np.zeros((2, 2)), renderer, every=7))
    assert len(frames) == worlds.family.horizon + 1
    assert len(lapse) == 1 + -(-worlds.family.horizon // 7)
    before, after = (f[30:].astype(int) for f in (frames[0], frames[-1]))

    def red(frame):
        return ((frame[..., 0] - frame[..., 1]) > 15).sum()

    assert red(before) == 0
    assert red(after) > 10
    assert frames[0][:17].max() > 150  # the caption's letters
