"""Worlds that mujoco-warp moves keep the contract of those that MuJoCo moves."""

import copy
import pickle

import mujoco
import numpy as np
import pytest

pytest.importorskip("mujoco_warp")

from sliders import Slide, Two

from metarl.conformance.subject import expect_equal, play
from metarl.errors import ConfigError, FamilyError, SimulationError
from metarl.physics import WARP
from metarl.sim.batches import on_warp
from metarl.sim.kinds import make_worlds
from metarl.sim.scene import Scene
from metarl.sim.worlds import Worlds

SINGLE = 1e-5  # relative, of single precision after some steps


def make(family=None, num_worlds=4, **kwargs):
    family = Slide() if family is None else family
    return Worlds(family, num_worlds, num_threads=1, physics=WARP, **kwargs)


def actions(steps, n, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (steps, n, 2))


def scene_of(xml, num_worlds=2, **kwargs):
    return Scene(mujoco.MjModel.from_xml_string(xml), num_worlds, 1, make_batch=on_warp, **kwargs)


def episode(worlds, steps=10):
    worlds.reset()
    return play(worlds, actions(steps, worlds.num_worlds))


# The same as MuJoCo, and as itself ----------------------------------------------------------


@pytest.mark.parametrize("family", [Slide, Two])
def test_it_does_what_mujoco_does(family):
    here, there = (
        episode(make(family(), 6, seed=3)),
        episode(Worlds(family(), 6, num_threads=1, seed=3)),
    )
    for name, values in there.items():
        assert np.allclose(values, here[name], rtol=SINGLE, atol=SINGLE), name


@pytest.mark.parametrize("family", [Slide, Two])
def test_a_world_does_not_depend_on_company(family):
    seen = episode(make(family(), 5, seed=3))
    for i in (0, 3):
        alone = make(family(), 1, seed=3, first_stream=i)
        alone.reset()
        record = play(alone, actions(10, 5)[:, i : i + 1])
        expect_equal({k: v[:, i : i + 1] for k, v in seen.items()}, record, f"world {i}")


def test_a_reset_of_some_leaves_the_others_to_the_bit():
    one, other = make(seed=1), make(seed=1)
    for worlds in (one, other):
        worlds.reset()
    given = actions(6, 4)
    for t in range(3):
        one.step(given[t]), other.step(given[t])
    other.reset(np.array([1]))
    for t in range(3, 6):
        a, b = one.step(given[t]), other.step(given[t])
        assert np.array_equal(a.obs[[0, 2, 3]], b.obs[[0, 2, 3]])
        assert not np.array_equal(a.obs[1], b.obs[1])


def test_new_tasks_change_masses_there():
    worlds, plain = make(seed=1), Worlds(Slide(), 4, num_threads=1, seed=1)
    for w in (worlds, plain):
        w.reset()
        w.assign(w.sample("far"))
        w.reset()
    a, b = play(worlds, actions(5, 4)), play(plain, actions(5, 4))
    assert np.allclose(a["obs"], b["obs"], rtol=SINGLE, atol=SINGLE)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_goes_on_bit_for_bit(again):
    worlds = make(seed=2)
    worlds.reset()
    play(worlds, actions(3, 4))
    twin = again(worlds)
    assert twin.physics == WARP
    expect_equal(play(worlds, actions(4, 4, 1)), play(twin, actions(4, 4, 1)), "a copy")


def test_a_saved_state_goes_on_bit_for_bit_and_on_the_other_physics():
    worlds = make(seed=2)
    worlds.reset()
    play(worlds, actions(3, 4))
    saved = worlds.state_dict()
    here, there = make(seed=5), Worlds(Slide(), 4, num_threads=1, seed=5)
    here.load_state_dict(saved)
    there.load_state_dict(saved)
    seen = play(worlds, actions(4, 4, 1))
    expect_equal(seen, play(here, actions(4, 4, 1)), "a saved state")
    other = play(there, actions(4, 4, 1))
    assert np.allclose(seen["obs"], other["obs"], rtol=SINGLE, atol=SINGLE)


# Numbers that are none ----------------------------------------------------------------------


def test_a_world_that_diverges_is_noticed_and_hurts_nobody():
    worlds, whole = make(seed=1), make(seed=1)
    for w in (worlds, whole):
        w.reset()
    scene, row = worlds.place(2)
    scene.spoil(row)
    step, fine = worlds.step(actions(1, 4)[0]), whole.step(actions(1, 4)[0])
    assert step.diverged.tolist() == step.truncated.tolist() == [False, False, True, False]
    assert worlds.num_diverged == 1
    assert np.array_equal(step.obs[[0, 1, 3]], fine.obs[[0, 1, 3]])
    worlds.reset(np.array([2]))
    assert np.isfinite(worlds.step(actions(1, 4)[0]).obs).all()


@pytest.mark.parametrize("value", [np.nan, 1e12])
def test_a_control_that_is_none_is_the_familys_fault(value):
    class Wild(Slide):
        def act(self, worlds, task, action):
            super().act(worlds, task, action)
            worlds.ctrl[1] = value

    worlds = make(Wild())
    worlds.reset()
    with pytest.raises(
        FamilyError, match=r"act\(\) of .* wrote ctrl that is not finite.*worlds \[1\]"
    ):
        worlds.step(actions(1, 4)[0])


# Room ---------------------------------------------------------------------------------------

BALLS = "".join(
    f'<body pos="{i % 6 * 0.19} {i // 6 * 0.19} .1"><freejoint/><geom size=".1" mass="1"/></body>'
    for i in range(30)
)
PILE = f'<mujoco><worldbody><geom type="plane" size="9 9 1"/>{BALLS}</worldbody></mujoco>'


def test_more_contacts_than_there_is_room_for_are_noticed_and_get_it():
    scene = scene_of(PILE, 1)
    plain = Scene(scene.model, 1, 1)
    before = scene.batch._twin.data.njmax
    scene.step(5)
    plain.step(5)
    assert scene.batch._twin.data.njmax > before
    assert np.allclose(scene.qpos, plain.qpos, atol=1e-4)


def test_without_end_it_is_an_error(monkeypatch):
    monkeypatch.setattr("metarl.sim.warp.twin._DOUBLINGS", 0)
    with pytest.raises(SimulationError, match=r"no room .*NEFC.*; leave --physics out"):
        scene_of(PILE, 1).step(1)


# Fields and places --------------------------------------------------------------------------

WALL = """<mujoco><option timestep=".01"/><worldbody>
<geom name="wall" type="box" size=".1 1 1" pos="1 0 0"/>
<body name="ball"><joint name="x" type="slide" axis="1 0 0"/><geom size=".1" mass="1"/><site name="s"/></body>
</worldbody><actuator><motor joint="x" ctrlrange="-9 9"/></actuator></mujoco>"""


def test_what_never_moves_stands_where_each_world_has_it():
    scene = scene_of(WALL)
    scene.model_field("geom_pos")[1, scene.id("geom", "wall"), 0] = 0.4
    scene.derive_constants(np.arange(2))
    scene.forward()
    scene.ctrl[:] = 5.0
    for _ in range(20):
        scene.step(5)
    first, second = scene.site_pos("s")[:, 0]
    assert second < 0.35 < first  # the nearer wall has stopped it


def test_options_may_differ():
    scene = scene_of(WALL)
    scene.model_field("opt.gravity")[1] = (3.0, 0.0, 0.0)
    scene.derive_constants(np.arange(2))
    scene.forward()
    scene.step(5)
    assert abs(scene.qvel[0, 0]) < 1e-5
    assert scene.qvel[1, 0] == pytest.approx(0.15, rel=1e-4)


def test_a_field_that_cannot_differ_is_named():
    scene = scene_of(WALL)
    scene.model_field("geom_condim")[1] = 1
    with pytest.raises(SimulationError, match=r"no geom_condim per world.*leave --physics out"):
        scene.forward()


def test_a_colour_may_be_anything():
    scene = scene_of(WALL)
    scene.model_field("geom_rgba")[1] = 0.5
    scene.step(1)
    assert scene.batch.get_model(1).geom_rgba[0, 0] == 0.5


def test_a_model_that_it_cannot_run_is_refused():
    bodies = "".join('<body><joint type="slide"/><geom size="1"/></body>' for _ in range(61))
    xml = f'<mujoco><option jacobian="dense"/><worldbody>{bodies}</worldbody></mujoco>'
    with pytest.raises(SimulationError, match=r"cannot run this model: Dense is unsupported"):
        scene_of(xml)


def test_what_differs_is_said(caplog):
    scene_of(PILE.replace('<geom size=".1"', '<geom type="capsule" size=".1 .1"'), 1)
    assert "friction pyramid of a capsule" in caplog.text


def test_outside_environments_bring_their_own_physics():
    from outsiders import CartFamily

    with pytest.raises(
        ConfigError, match=r"physics is 'warp'; the environments of .* leave it out"
    ):
        make_worlds(CartFamily(), 1, physics=WARP)
