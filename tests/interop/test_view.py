"""Pictures of environments: their size, their camera, and the recorders of others."""

import copy

import gymnasium
import imageio.v3
import numpy as np
import pytest
from sliders import Slide, Two

from metarl.errors import ConfigError, UnknownNameError
from metarl.interop import FamilyEnv, FamilyVecEnv, FamilyVectorEnv

SMALL = {"render_mode": "rgb_array", "width": 64, "height": 48}


def test_frames():
    env = FamilyEnv("classic/point-navigation", seed=0, **SMALL)
    frames = []
    for _ in range(3):
        env.reset()
        frames.append(env.render())
    env.close()
    assert {f.shape for f in frames} == {(48, 64, 3)}
    assert {f.dtype for f in frames} == {np.dtype(np.uint8)}
    assert not np.array_equal(frames[0], frames[1])
    assert FamilyEnv("classic/point-navigation").render() is None


def test_each_model_is_drawn_by_its_own_renderer():
    env = FamilyEnv(Two(), seed=0, **SMALL)
    seen = set()
    while len(seen) < 2:
        env.reset()
        assert env.render().shape == (48, 64, 3)
        seen.add(env.worlds.model_name())
    assert set(env._view._renderers) == {"light", "walled"}
    env.close()
    assert not env._view._renderers


def test_size_and_camera_through_gymnasium():
    env = gymnasium.make("metarl/kitchen-season-v0", **SMALL)
    top = gymnasium.make("metarl/kitchen-season-v0", **SMALL, camera="top")
    film, above = (e.reset(seed=0) and e.render() for e in (env, top))
    assert film.shape == above.shape == (48, 64, 3)
    assert np.abs(film.astype(int) - above).mean() > 10
    for e in (env, top):
        e.close()


@pytest.mark.parametrize("make", [FamilyVectorEnv, FamilyVecEnv])
def test_every_world_is_drawn(make):
    name = "classic/point-navigation"
    env = make(name, 3, num_threads=1, seed=2, **SMALL)
    env.reset()
    env.step(np.ones((3, 2)) * [[1.0], [-1.0], [0.0]])
    frames = env.get_images() if make is FamilyVecEnv else env.render()
    if make is FamilyVectorEnv:
        single = FamilyEnv(name, **SMALL)
        single.reset(seed=3)
        single.step(-np.ones(2))
        assert np.array_equal(frames[1], single.render())
        single.close()
    assert len({f.tobytes() for f in frames}) == 3
    env.close()
    silent = make(name, 3, num_threads=1)
    assert silent.get_images() == [None] * 3 if make is FamilyVecEnv else silent.render() is None


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"width": 0}, ConfigError, "width is 0; expected 1 to 8192 pixels"),
        ({"height": 10**6}, ConfigError, "height is 1000000; expected"),
        ({"width": 6.4}, ConfigError, "width is 6.4; expected"),
        ({"height": True}, ConfigError, "height is True; expected"),
        ({"camera": "flim"}, UnknownNameError, "unknown camera 'flim'; did you mean 'film'"),
        ({"camera": 99}, UnknownNameError, "unknown camera '99'; valid: film, front, top"),
        ({"render_mode": "ansi"}, ConfigError, "unknown render_mode 'ansi'; valid: rgb_array"),
    ],
)
def test_bad_settings_are_refused_when_it_is_made(keywords, error, message):
    for make in (FamilyEnv, FamilyVectorEnv, FamilyVecEnv):
        sizes = {} if make is FamilyEnv else {"num_envs": 1}
        with pytest.raises(error, match=message):
            make("kitchen/season", **sizes, **keywords)


def test_gymnasium_records_videos(tmp_path):
    env = gymnasium.make("metarl/classic-point-navigation-v0", max_episode_steps=8, **SMALL)
    env = gymnasium.wrappers.RecordVideo(env, str(tmp_path), episode_trigger=lambda _: True)
    env.reset(seed=0)
    while not env.step(np.ones(2, np.float32))[3]:
        pass
    env.close()
    (film,) = tmp_path.glob("*.mp4")
    frames = list(imageio.v3.imiter(film))
    assert 8 <= len(frames) <= 10
    assert frames[0].shape == (48, 64, 3)
    assert np.abs(frames[0].astype(int) - frames[-1]).max() > 30


def test_gymnasium_records_vector_environments(tmp_path):
    envs = FamilyVectorEnv(Slide(), 2, num_threads=1, autoreset_mode="NextStep", **SMALL)
    envs = gymnasium.wrappers.vector.RecordVideo(
        envs, str(tmp_path), episode_trigger=lambda _: True
    )
    envs.reset(seed=0)
    for _ in range(26):
        envs.step(np.ones((2, 2), np.float32))
    envs.close()
    assert len(list(tmp_path.glob("*.mp4"))) >= 1


def test_a_copy_draws_by_itself():
    env = FamilyEnv("classic/point-navigation", seed=0, **SMALL)
    env.reset()
    frame = env.render()
    view = copy.copy(env._view)
    env.close()
    assert np.array_equal(view.frame(), frame)
    view.close()


def test_drawing_changes_nothing():
    drawn, other = FamilyEnv(Two(), seed=0, **SMALL), FamilyEnv(Two(), seed=0)
    for _ in range(2):
        assert np.array_equal(drawn.reset()[0], other.reset()[0])
        for _ in range(3):
            drawn.render()
            assert np.array_equal(drawn.step(np.ones(2))[0], other.step(np.ones(2))[0])
    drawn.close()
