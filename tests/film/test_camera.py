"""A camera on worlds: the same pictures whoever draws them, and what it refuses."""

import copy
import os
import pickle

import mujoco
import numpy as np
import pytest
from sliders import Slide
from watched import Watched

from metarl.errors import ConfigError, RenderError, UnknownNameError
from metarl.film.camera import Camera
from metarl.film.render import Renderer
from metarl.sim.worlds import Worlds

SIZE = 40


def worlds_of(num_worlds, **asked):
    worlds = Worlds(Watched(), num_worlds, seed=3, **asked)
    worlds.reset()
    return worlds


def test_a_picture_is_what_a_renderer_draws_of_the_world():
    worlds = worlds_of(5, num_threads=2)
    camera, renderers = Camera(worlds, SIZE), {}
    for _ in range(2):  # other tasks: other models and colours
        pictures = camera.shoot()
        assert pictures.shape == (5, SIZE, SIZE, 3)
        assert pictures.dtype == np.uint8
        for i, picture in enumerate(pictures):
            model, data = worlds.world(i)
            mujoco.mj_forward(model, data)
            name = worlds.model_name(i)
            if name not in renderers:
                renderers[name] = Renderer(model, SIZE, SIZE, "eye", film=False)
            assert np.array_equal(picture, renderers[name].frame(model, data))
        assert len({picture.tobytes() for picture in pictures}) == 5
        assert len(renderers) == 2
        assert np.array_equal(camera.shoot(np.array([4, 1])), pictures[[4, 1]])
        worlds.assign(worlds.sample("train"))
        worlds.reset()
    camera.close()


def test_pictures_do_not_depend_on_company_and_change_nothing():
    several, alone, unseen = worlds_of(4), worlds_of(1, first_stream=2), worlds_of(4)
    cameras = [Camera(several, SIZE), Camera(alone, SIZE)]
    for _ in range(3):
        a, b = (camera.shoot() for camera in cameras)
        assert np.array_equal(a[2:3], b)
        action = np.full((4, 2), 0.7)
        steps = [worlds.step(action) for worlds in (several, unseen)]
        alone.step(action[:1])
        assert np.array_equal(steps[0].obs, steps[1].obs)
    for camera in cameras:
        camera.close()
    assert np.array_equal(cameras[0].shoot()[2:3], cameras[1].shoot())  # opened once more


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_takes_the_same_pictures_of_worlds_of_its_own(twin):
    camera = Camera(worlds_of(2), SIZE)
    pictures = camera.shoot()
    other = twin(camera)
    camera.worlds.step(np.ones((2, 2)))
    assert np.array_equal(other.shoot(), pictures)
    assert not np.array_equal(camera.shoot(), pictures)


def test_a_forked_process_is_told_that_it_cannot_draw():
    camera = Camera(worlds_of(2, num_threads=1), SIZE)
    camera.shoot()
    child = os.fork()
    if not child:
        try:
            camera.shoot()
        except RenderError:
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    camera.close()


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"size": 0}, ConfigError, "picture size is 0; expected 1 to 1024 pixels"),
        ({"size": 84.0}, ConfigError, "picture size is 84.0; expected"),
        ({"name": "film"}, UnknownNameError, "camera that may be observed 'film'; valid: eye"),
    ],
)
def test_what_is_refused(asked, error, message):
    with pytest.raises(error, match=message):
        Camera(worlds_of(1), **asked)


def test_families_decide_which_cameras_are_observed():
    with pytest.raises(ConfigError, match="toy/slide lets no camera be observed"):
        Camera(Worlds(Slide(), 1))

    class Blind(Slide):
        cameras = ("eye",)

    with pytest.raises(UnknownNameError, match="camera 'eye'"):
        Camera(Worlds(Blind(), 1))
