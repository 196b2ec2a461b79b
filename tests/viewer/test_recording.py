"""An episode is kept as it went: places, colours, captions and rewards."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from metarl.registry import make_family
from metarl.sim.worlds import Worlds
from metarl.viewer.recording import record


def recorded(name: str, seed: int = 0):
    worlds = Worlds(make_family(name), 1, seed=seed, num_threads=1)
    return record(worlds, lambda obs: worlds.expert(), "expert"), worlds


def test_a_recording_is_what_happened():
    recording, worlds = recorded("kitchen/season")
    assert len(recording) == worlds.family.horizon + 1
    _, data = worlds.world()
    mujoco.mj_kinematics(worlds.world()[0], data)
    assert np.array_equal(recording.positions[-1], data.xpos)
    assert np.array_equal(recording.quaternions[-1], data.xquat)
    again = Worlds(make_family("kitchen/season"), 1, seed=0, num_threads=1)
    again.reset()
    rewards = [float(again.step(again.expert()).reward[0]) for _ in range(len(recording) - 1)]
    earned = sum(total for _, total in recording.earned(len(recording) - 1).values())
    assert earned == pytest.approx(sum(rewards), abs=1e-3)
    assert recording.captions[0].startswith("salt 0.0")
    assert recording.captions[-1] == again.caption()
    assert recording.success[-1]
    assert not recording.success[0]
    assert all(now == 0.0 for now, _ in recording.earned(0).values())


def test_food_that_browns_is_known():
    recording, _ = recorded("kitchen/stir")
    assert len(recording.changing)
    geom = recording.changing[0]
    assert not np.array_equal(recording.colours[0, geom], recording.colours[-1, geom])
    plain, _ = recorded("kitchen/season")
    assert not len(plain.changing)


def test_a_geom_without_a_colour_has_that_of_its_material():
    recording, _ = recorded("kitchen/season")
    model = recording.model
    own = (model.geom_rgba != [0.5, 0.5, 0.5, 1.0]).any(axis=1)
    dressed = np.flatnonzero(~own & (model.geom_matid >= 0))
    assert len(dressed)
    for geom in dressed:
        assert np.array_equal(recording.colours[0, geom], model.mat_rgba[model.geom_matid[geom]])
    assert np.array_equal(recording.colours[0, own], model.geom_rgba[own])
