"""What films give to models that bring no light, floor, sky or camera; physics has none of it."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from toy import XML, Reach

from metarl.film.episode import film_renderer
from metarl.film.render import Renderer
from metarl.film.stage import Stage, is_bare
from metarl.interop.gym_env import FamilyEnv
from metarl.registry import make_family
from metarl.sim.worlds import Worlds

WALKER = """<mujoco><worldbody>
<body name="b" pos="0 0 1"><joint name="x" type="hinge" axis="0 1 0"/><joint name="y" type="hinge" axis="1 0 0"/>
<geom type="capsule" fromto="0 0 0 0 0 -.6" size=".03"/></body></worldbody>
<actuator><motor joint="x" ctrlrange="-5 5"/><motor joint="y" ctrlrange="-5 5"/></actuator></mujoco>"""


def family(source: object, camera: str | int = -1) -> Reach:
    class Other(Reach):
        film_camera = camera

        def models(self):
            return {"ball": source}

    return Other()


def frame(worlds: Worlds, **options: object) -> np.ndarray:
    model, data = worlds.world(0)
    mujoco.mj_forward(model, data)
    with film_renderer(worlds, width=160, height=120, **options) as renderer:
        return renderer.frame(model, data).astype(int)


def test_a_bare_model_is_seen_on_a_floor_in_the_light():
    worlds = Worlds(Reach(), 1, seed=1)
    worlds.reset()
    model, data = worlds.world(0)
    with Renderer(model, 160, 120, film=True) as renderer:
        bare = renderer.frame(model, data)
    assert (bare.max(axis=2) < 10).mean() > 0.5  # a half ball on black
    seen = frame(worlds)
    assert (seen.max(axis=2) > 60).mean() > 0.95
    assert len(np.unique(seen[:, :, 0])) > 20  # tiles, ball, shadow


def test_the_ball_stays_in_the_picture_wherever_it_goes():
    red = XML.replace('size=".02"', 'size=".02" rgba="1 0 0 1"')
    worlds = Worlds(family(red), 1, seed=1)
    worlds.reset()
    for place in ([0.0, 0.0], [0.25, 0.25], [-3.0, 2.0], [40.0, -90.0]):
        worlds.place(0)[0].qpos[0] = place
        worlds.place(0)[0].forward()
        picture = frame(worlds)
        ball = picture[..., 0] - picture[..., 1] > 60
        assert ball.sum() > 10, place
        assert not ball[[0, -1]].any(), place
        assert not ball[:, [0, -1]].any(), place


def test_what_turns_stays_above_the_floor():
    worlds = Worlds(family(WALKER), 1, seed=1)
    stage = Stage(worlds, 0)
    assert stage._low[2] == pytest.approx(1.0 - 0.63, abs=0.02)
    assert stage._high[2] == pytest.approx(1.0 + 0.63, abs=0.02)


@pytest.mark.parametrize("kind", ["text", "path", "spec", "model"])
def test_every_kind_of_model_is_staged(tmp_path, kind):
    (tmp_path / "m.xml").write_text(XML)
    source = {
        "text": XML,
        "path": tmp_path / "m.xml",
        "spec": mujoco.MjSpec.from_string(XML),
        "model": mujoco.MjModel.from_xml_string(XML),
    }[kind]
    worlds = Worlds(family(source), 1, seed=1)
    worlds.reset()
    assert (frame(worlds).max(axis=2) > 60).mean() > 0.9
    if kind == "spec":
        assert not [t.name for t in source.textures]  # it is the family's


def test_what_a_model_brings_is_kept():
    own = XML.replace("<worldbody>", '<worldbody><light pos="0 0 3"/><geom type="plane" size="1 1 1"/>'
                      '<camera name="top" pos="0 0 1"/>')  # fmt: skip
    worlds = Worlds(family(own, "top"), 1, seed=1)
    worlds.reset()
    model, data = worlds.world(0)
    assert not is_bare(model)
    mujoco.mj_forward(model, data)
    with Renderer(model, 160, 120, "top", film=True) as renderer:
        assert np.array_equal(renderer.frame(model, data), frame(worlds))
    season = Worlds(make_family("kitchen/season"), 1)
    assert not is_bare(season.world(0)[0])


def test_physics_has_none_of_it():
    both = [Worlds(Reach(), 1, seed=1) for _ in range(2)]
    for worlds in both:
        worlds.reset()
    for t in range(5):
        frame(both[0])
        a, b = (worlds.step(np.full((1, 2), 0.1 * t)) for worlds in both)
        assert np.array_equal(a.obs, b.obs)
    assert both[0].world(0)[0].ngeom == 1
    assert np.array_equal(both[0].streams.counters, both[1].streams.counters)


def test_environments_draw_what_films_show():
    env = FamilyEnv(Reach(), render_mode="rgb_array", seed=1)
    env.reset(seed=1)
    assert (env.render().max(axis=2) > 60).mean() > 0.95
    env.close()
