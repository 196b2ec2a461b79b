"""The family over skills: every skill's own, behind one interface."""

import dataclasses

import numpy as np
import pytest
from metarl_kitchen.skills import (
    BLOCKS,
    HELD_OUT,
    MIDDLE_M,
    NUM_HIDDEN,
    NUM_SEEN,
    SEES,
    TO_KNOB,
    TRAIN,
    WHERE,
    Repertoire,
    Skills,
)
from metarl_kitchen.soak import Soak
from metarl_kitchen.sprinkle import Sprinkle

from metarl.sim.replay.program import TRIALS, WARM, Replay
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


def test_the_repertoire_knows_two_skills_more_and_holds_out_the_same():
    skills, repertoire = Worlds(Skills(), 64, seed=4), Worlds(Repertoire(), 64, seed=4)
    assert skills.spec.blocks == repertoire.spec.blocks
    assert skills.spec.hidden == repertoire.spec.hidden
    assert {part.name for part in repertoire.family.parts} - {
        part.name for part in skills.family.parts
    } == {"sprinkle", "soak"}
    for split in ("test", "far"):
        mine, theirs = (Worlds(cls(), 64, seed=4, split=split).task for cls in (Repertoire, Skills))
        np.testing.assert_array_equal(mine.seen, theirs.seen)
        np.testing.assert_array_equal(mine.unseen, theirs.unseen)
        more = sum(
            part.models for part in repertoire.family.parts if part.name in ("sprinkle", "soak")
        )
        assert set(mine.model - theirs.model) == {more}  # behind the models of two skills more


def test_no_column_is_wasted():
    worlds = Worlds(Skills(), 600, seed=5)
    widths = {name: 0 for name in BLOCKS}
    for part in Skills().parts:
        seen = Worlds(part.family, 1).spec.blocks["object"]
        if "knob" in SEES[part.name]:
            widths["knob"] = seen - TO_KNOB
        else:
            widths[SEES[part.name][0]] = max(widths[SEES[part.name][0]], seen)
    assert widths == BLOCKS
    task = worlds.sample("train")
    for values, width in ((task.seen, NUM_SEEN), (task.unseen, NUM_HIDDEN)):
        assert values.shape == (600, width)
        assert (values.std(axis=0) > 0.0).all()


def test_a_place_means_the_same_in_every_skill():
    family = Skills()
    for name in ("season", "add", "pour"):
        part = next(part for part in family.parts if part.name == name)
        split = "train" if part.first < family.parts[len(TRAIN)].first else "test"
        worlds = Worlds(family, 200, seed=2, split=split)
        mine = (worlds.task.model >= part.first) & (worlds.task.model < part.first + part.models)
        task = take(worlds.task, np.flatnonzero(mine))
        own = _own(part, task)
        place = own.pan_m if name == "add" else own.pot_m
        wanted = task.unseen[:, WHERE.columns]
        np.testing.assert_allclose(place, MIDDLE_M + 0.35 * wanted, atol=1e-9)


@pytest.mark.parametrize("cls", [*ALL, Sprinkle, Soak], ids=lambda cls: cls.id)
def test_a_skill_is_the_same_inside_and_alone(cls):
    whole = Skills if cls in ALL else Repertoire
    part = next(part for part in whole().parts if type(part.family) is cls)
    split = "test" if cls in HELD_OUT else "train"
    both = Worlds(whole(), 96, seed=3, split=split)
    mine = (both.task.model >= part.first) & (both.task.model < part.first + part.models)
    task = take(both.task, np.flatnonzero(mine)[:4])
    own = _own(part, task)
    for name in variations(type(own)):
        low, high = (
            np.asarray(getattr(variations(type(own))[name], end)) for end in ("low", "high")
        )
        assert (getattr(own, name) >= low - 1e-9).all(), name
        assert (getattr(own, name) <= high + 1e-9).all(), name
    inside, alone = Worlds(whole(), 4, seed=1), Worlds(part.family, 4, seed=1)
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
        own_block, start = b.obs[:, alone.spec.slice("object")], 0
        for name, width in zip(SEES[part.name], _widths(part.name, own_block.shape[1])):
            inside_block = a.obs[:, inside.spec.slice(name)][:, :width]
            np.testing.assert_array_equal(inside_block, own_block[:, start : start + width])
            start += width


def _widths(name, whole):
    return (TO_KNOB, whole - TO_KNOB) if "knob" in SEES[name] else (whole,)


def _own(part, task):
    from metarl_kitchen.skills import _pack, _unpack

    own = _unpack(part, task)
    again = _pack(part, own)
    for field in dataclasses.fields(again):
        np.testing.assert_allclose(getattr(again, field.name), getattr(task, field.name), atol=1e-9)
    return own


def test_a_world_alone_that_meets_a_new_model_keeps_what_it_knows_of_others(monkeypatch):
    forgot = []
    usual = Replay._forget
    monkeypatch.setattr(Replay, "_forget", lambda self: (forgot.append(self), usual(self)))
    worlds = Worlds(Skills(), 1, num_threads=1)
    for model in (0, 4, 0):
        worlds.assign(dataclasses.replace(worlds.task, model=np.array([model])))
        worlds.reset()
        for _ in range(WARM + TRIALS + 4):
            worlds.step(np.zeros((1, worlds.spec.action_dim), np.float32))
    assert worlds.not_replayed == ""
    assert not forgot
