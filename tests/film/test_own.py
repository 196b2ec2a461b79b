"""Films of environments that draw themselves."""

import imageio.v3 as iio
import numpy as np
import pytest
from outsiders import CartElsewhere, CartFamily

from metarl.errors import ConfigError, FamilyError
from metarl.film.episode import all_frames, film_episode, film_renderer
from metarl.film.own import OwnPictures
from metarl.interop import FamilyEnv
from metarl.sim.kinds import make_worlds


@pytest.mark.parametrize("family", [CartFamily, CartElsewhere])
def test_an_episode_on_film(family, tmp_path):
    worlds = make_worlds(family(), 2, seed=1, num_threads=2)
    act = lambda obs: worlds.expert()  # noqa: E731
    path = film_episode(worlds, act, tmp_path / "film.mp4", world=1, width=96, height=64)
    frames = iio.imread(path)
    assert frames.shape[1:] == (64, 96, 3)
    red = [(f[..., 0] > 150) & (f[..., 1] < 90) for f in (frames[0], frames[len(frames) // 2])]
    where = [np.argwhere(each).mean(axis=0) for each in red]
    assert np.linalg.norm(where[0] - where[1]) > 5.0  # the cart went somewhere


def test_a_picture_is_whole_and_in_the_middle():
    worlds = make_worlds(CartFamily(), 1)
    worlds.reset()
    wide, tall = OwnPictures(100, 50).frame_of(worlds, 0), OwnPictures(50, 100).frame_of(worlds, 0)
    assert wide.shape == (50, 100, 3)
    assert (wide[:, :25] == 0).all()
    assert (wide[:, 75:] == 0).all()
    assert wide[:, 25:75].mean() > 200
    assert (tall[:25] == 0).all()
    assert tall[25:75].mean() > 200
    with pytest.raises(ConfigError, match="0 x 5 pixels"):
        OwnPictures(0, 5)


def test_all_worlds_at_once():
    worlds = make_worlds(CartFamily(), 4)
    with film_renderer(worlds, width=40, height=30) as painter:
        frames = list(all_frames(worlds, lambda obs: np.zeros((4, 2)), {"environment": painter}, 2))
    assert len(frames) == worlds.family.horizon + 1
    assert frames[0].shape == (64, 84, 3)


def test_gymnasium_shows_what_they_draw():
    env = FamilyEnv(CartFamily(), render_mode="rgb_array", width=64, height=48, seed=0)
    env.reset()
    assert env.render().shape == (48, 64, 3)
    with pytest.raises(ConfigError, match="draw themselves"):
        FamilyEnv(CartFamily(), render_mode="rgb_array", camera="top")
    with pytest.raises(ConfigError, match="lets no camera be observed"):
        FamilyEnv(CartFamily(), observation="pixels")


def test_one_that_draws_nothing_is_told():
    class Blank(CartFamily):
        pass

    import strangers

    class Undrawn(strangers.Cart):
        def render(self):
            return None

    Blank.environment = Undrawn
    worlds = make_worlds(Blank(), 1)
    worlds.reset()
    with pytest.raises(
        FamilyError, match=r"render\(\) of its environment gave None; expected uint8"
    ):
        worlds.picture(0)
