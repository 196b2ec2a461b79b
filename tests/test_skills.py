"""The family over skills: every skill's own, behind one interface."""

import dataclasses

import numpy as np
import pytest
from metarl_kitchen.skills import HELD_OUT, NUM_HIDDEN, NUM_OBJECT, NUM_SEEN, TRAIN, Skills

from metarl.sim.worlds import Worlds
from metarl.streams import Streams
from metarl.types import take, variations

ALL = (*TRAIN, *HELD_OUT)


def test_pour_and_flip_are_held_out():
    family = Skills()
    first_held_out = family.parts[len(TRAIN)].first
    assert [cls.id for cls in HELD_OUT] == ["kitchen/pour", "kitchen/flip"]
    worlds = Worlds(family, 64)
    assert worlds.sample("train").model.max() < first_held_out
    assert worlds.sample("test").model.min() >= first_held_out
    assert worlds.sample("far").model.min() >= first_held_out
    assert {0, 1} <= set(worlds.sample("train").model)


def test_no_column_is_wasted():
    wide = {"object": 0, "seen": 0, "hidden": 0}
    for cls in ALL:
        spec = Worlds(cls(), 1).spec
        hidden = sum(width for _, width, is_hidden in spec.task_fields if is_hidden)
        wide["object"] = max(wide["object"], spec.blocks["object"])
        wide["hidden"] = max(wide["hidden"], hidden)
        wide["seen"] = max(wide["seen"], spec.task_dim - hidden)
    assert wide == {"object": NUM_OBJECT, "seen": NUM_SEEN, "hidden": NUM_HIDDEN}


@pytest.mark.parametrize("index", range(len(ALL)), ids=lambda i: ALL[i].id)
def test_a_skill_is_the_same_inside_and_alone(index):
    part = Skills().parts[index]
    split = "train" if index < len(TRAIN) else "test"
    both = Worlds(Skills(), 96, seed=3, split=split)
    mine = (both.task.model >= part.first) & (both.task.model < part.first + part.models)
    task = take(both.task, np.flatnonzero(mine)[:4])
    own = _own(part, task)
    for name in variations(type(own)):
        low, high = (
            np.asarray(getattr(variations(type(own))[name], end)) for end in ("low", "high")
        )
        assert (getattr(own, name) >= low - 1e-9).all(), name
        assert (getattr(own, name) <= high + 1e-9).all(), name
    inside, alone = Worlds(Skills(), 4, seed=1), Worlds(part.family, 4, seed=1)
    inside.assign(task)
    alone.assign(own)
    keys = Streams.from_seed(7, 4)
    for worlds in (inside, alone):
        worlds.streams = Streams(keys.keys.copy(), keys.counters.copy())
        worlds.reset()
    for _ in range(20):
        action = alone.expert()
        np.testing.assert_array_equal(inside.expert(), action)
        a, b = inside.step(action), alone.step(action)
        np.testing.assert_allclose(a.reward, b.reward, rtol=1e-5, atol=1e-5)
        block = alone.spec.blocks["object"]
        np.testing.assert_array_equal(
            a.obs[:, inside.spec.slice("object")][:, :block], b.obs[:, alone.spec.slice("object")]
        )


def _own(part, task):
    from metarl_kitchen.skills import _pack, _unpack

    own = _unpack(part, task)
    again = _pack(part, own)
    for field in dataclasses.fields(again):
        np.testing.assert_allclose(getattr(again, field.name), getattr(task, field.name), atol=1e-9)
    return own
