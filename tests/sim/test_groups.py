"""Worlds change their models: rows are used again, and nobody can tell."""

import dataclasses

import numpy as np
import pytest
from mujoco.batch import Batch
from sliders import Two

import metarl.sim.batches
from metarl.conformance.subject import expect_equal, play
from metarl.errors import FamilyError
from metarl.sim.batches import PERSISTENT_WORLDS
from metarl.sim.worlds import Worlds
from metarl.streams import Streams
from metarl.types import take

FEW, MANY = 8, 3 * PERSISTENT_WORLDS


class Wearing(Two):
    """Joints wear off on the way, the clock is observed: state in every place there is."""

    def configure(self, worlds, ids, task):
        super().configure(worlds, ids, task)
        worlds.model_field("dof_damping")[ids] *= task.mass_kg[:, None]
        worlds.model_field("qpos0")[ids, 0] = task.offset_m

    def advance(self, worlds, task):
        super().advance(worlds, task)
        worlds.model_field("dof_damping")[:] *= 0.97

    def observe(self, worlds, task):
        now = worlds.batch.bind("time")[:, None]
        assert now.shape == (worlds.num_worlds, 1)
        assert np.array_equal(now[:, 0], worlds.batch.time)
        blocks = super().observe(worlds, task)
        return {**blocks, "object": np.concatenate([blocks["object"], now, worlds.ctrl], axis=1)}


def make(n, seed=1, family=Wearing, num_threads=1):
    return Worlds(family(), n, seed=seed, num_threads=num_threads)


def random_actions(n, steps=12, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (steps, n, 2))


def stir(worlds, times=20):
    """Move worlds about between models, with episodes begun and left."""
    rng = np.random.default_rng(7)
    for k in range(times):
        ids = np.flatnonzero(rng.uniform(size=worlds.num_worlds) < rng.choice([0.2, 0.6, 1.0]))
        task = worlds.sample("train", ids)
        if k % 5 == 0:  # all on one model, the other one empty
            task = dataclasses.replace(task, model=np.full(len(ids), k % 2))
        worlds.assign(task, ids)
        worlds.reset(worlds.done)
        play(worlds, random_actions(worlds.num_worlds, 3, seed=k))
    return worlds


def set_alike(worlds, other):
    """Give worlds the tasks and the streams of others."""
    worlds.assign(other.task)
    worlds.streams = Streams(other.streams.keys.copy(), other.streams.counters.copy())


@pytest.mark.parametrize("n", [1, FEW, MANY])
def test_rows_that_were_used_are_as_good_as_new(n):
    used, fresh = stir(make(n)), make(n, seed=2)
    used.assign(used.sample("train"))
    set_alike(fresh, used)
    assert np.array_equal(used.reset(), fresh.reset())
    actions = random_actions(n, 40)
    expect_equal(play(used, actions), play(fresh, actions), "used rows")
    for i in range(n):
        (a, row), (b, other) = used.place(i), fresh.place(i)
        assert np.array_equal(a.batch.state[row], b.batch.state[other])


@pytest.mark.parametrize("n", [1, FEW, MANY])
def test_worlds_that_change_their_model_wait_in_its_default_state(n):
    used, fresh = stir(make(n)), make(n, seed=2)
    task = used.task
    fresh.assign(task)
    for worlds in (used, fresh):
        worlds.assign(dataclasses.replace(task, model=1 - task.model))
    assert np.array_equal(used.reset([]), fresh.reset([]))
    for i in range(n):
        scene, row = used.place(i)
        assert (scene.qpos[row] == 0).all()
        assert np.allclose(scene.site_pos("tip")[row], [-task.offset_m[i], 0, 0])


@pytest.mark.parametrize("n", [FEW, MANY])
def test_episodes_go_on_while_others_change_their_models(n):
    worlds, twin = stir(make(n)), make(n)
    worlds.assign(worlds.sample("train"))
    set_alike(twin, worlds)
    for w in (worlds, twin):
        w.reset()
        play(w, random_actions(n))
    ids = np.arange(n)[1::3]
    others = np.setdiff1d(np.arange(n), ids)
    for seed in range(4):
        for model in (1 - worlds.task.model[ids], np.zeros(len(ids), int)):
            task = dataclasses.replace(take(worlds.task, ids), model=model)
            before = worlds.obs[others]
            worlds.assign(task, ids)
            assert np.array_equal(worlds.reset([])[others], before)
        worlds.reset(ids)
        more = random_actions(n, 2, seed)
        expect_equal(play(worlds, more), play(twin, more), "others changed", others)
    assert (worlds.elapsed[others] == 20).all()


def test_first_row_is_the_first_world_where_all_share_a_model():
    worlds = stir(make(MANY))
    for model in (0, 1):
        worlds.assign(dataclasses.replace(worlds.task, model=np.full(MANY, model)))
        worlds.reset()
        assert [worlds.place(i)[1] for i in range(MANY)] == list(range(MANY))
        assert len({id(worlds.place(i)[0]) for i in range(MANY)}) == 1


def test_saved_state_does_not_remember_rows():
    worlds, other = stir(make(MANY)), make(MANY, seed=3)
    assert any((np.diff(g.ids) < 0).any() for g in worlds._groups), "rows are in order"
    other.load_state_dict(worlds.state_dict())
    for i in range(MANY):
        (a, row), (b, there) = worlds.place(i), other.place(i)
        assert np.array_equal(a.batch.state[row], b.batch.state[there])


def test_batches_are_few_however_often_tasks_change(monkeypatch):
    made = []

    class Counted(Batch):
        def __init__(self, model, nsim, *args, **kwargs):
            made.append(nsim)
            super().__init__(model, nsim, *args, **kwargs)

    monkeypatch.setattr(metarl.sim.batches, "Batch", Counted)
    worlds = make(MANY)
    for _ in range(50):
        worlds.assign(worlds.sample("train"))
        worlds.reset()
    # each of the two models' batches doubles until it holds every world
    assert len(made) <= 2 * (1 + np.log2(MANY / 8))
    assert max(made) <= MANY
    held = [group.scene.capacity for group in worlds._held.values()]
    assert len(held) == 2
    assert sum(held) <= 2 * MANY


def test_same_model_again_makes_nothing(monkeypatch):
    worlds = stir(make(MANY))
    worlds.reset(worlds.done)

    def refuse(*args, **kwargs):
        raise AssertionError("a batch was made")

    monkeypatch.setattr(metarl.sim.batches, "Batch", refuse)
    before = {i: worlds.place(i) for i in range(MANY)}
    ids = np.arange(0, MANY, 2)
    kept = take(worlds.task, ids)
    worlds.assign(dataclasses.replace(kept, mass_kg=2.5 - kept.mass_kg), ids)
    assert {i: worlds.place(i) for i in range(MANY)} == before


@pytest.mark.parametrize("n", [PERSISTENT_WORLDS, PERSISTENT_WORLDS + 1])
def test_number_of_worlds_changes_no_world(n):
    worlds, alone = make(n), make(1)
    actions = random_actions(n, 40)
    assert np.array_equal(worlds.reset()[:1], alone.reset())
    expect_equal(play(alone, actions[:, :1]), play(worlds, actions), "alone", np.array([0]))
    assert worlds.place(0)[0].capacity <= n


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_models_may_run_while_another_is_judged():
    """With threads, physics goes on in the background; a divergence is mended all the same."""
    seen = []
    for num_threads in (1, 2):
        worlds = make(MANY, num_threads=num_threads)
        assert len(worlds._groups) == 2
        worlds.reset()
        play(worlds, random_actions(MANY))
        for i in (0, MANY - 1):
            scene, row = worlds.place(i)
            scene.qvel[row] = np.nan
        seen.append(play(worlds, random_actions(MANY, 20, seed=1)))
        assert seen[-1]["diverged"].sum() == 2
    expect_equal(*seen, "another number of threads")


class Breaking(Wearing):
    """Its terms cannot be had on the first model."""

    def terms(self, worlds, task, action):
        if task.model[0] == 0:
            raise ValueError("no terms")
        return super().terms(worlds, task, action)


@pytest.mark.parametrize("num_threads", [2, 0])
def test_nothing_runs_after_an_error(num_threads):
    worlds = make(MANY, family=Breaking, num_threads=num_threads)
    worlds.reset()
    with pytest.raises(FamilyError, match="no terms"):
        worlds.step(np.zeros((MANY, 2)))
    first, second = (group.scene.batch for group in worlds._groups)
    assert (first.time > 0).all()
    assert (second.time == first.time[0]).all()
