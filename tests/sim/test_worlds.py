"""Worlds: tasks, episodes, errors, several models, divergence, saved states."""

import dataclasses

import numpy as np
import pytest
import toy
from sliders import Slide, Two

from metarl.conformance.subject import expect_equal, play
from metarl.errors import ConfigError, FamilyError, ShapeError, SimulationError
from metarl.sim.worlds import Worlds
from metarl.types import num_tasks, put, take


def make(family, num_worlds=4, **kwargs):
    return Worlds(family, num_worlds, num_threads=1, **kwargs)


def rows(worlds):
    """The physics state of every world, in its own order."""
    return [s.batch.state[i].copy() for s, i in map(worlds.place, range(worlds.num_worlds))]


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


# Tasks and episodes ---------------------------------------------------------------------


@pytest.mark.parametrize("family", [Slide, Two])
def test_world_does_not_depend_on_company(family):
    many = make(family(), 7, seed=3)
    many.reset()
    actions = np.random.default_rng(0).uniform(-1, 1, (40, 7, 2))
    seen = play(many, actions)
    for i in (0, 5):
        alone = make(family(), 1, seed=3, first_stream=i)
        alone.reset()
        record = play(alone, actions[:, i : i + 1])
        expect_equal({k: v[:, i : i + 1] for k, v in seen.items()}, record, f"world {i}")


def test_episode_ends_at_the_horizon_and_waits(reach):
    worlds = make(reach)
    with pytest.raises(ShapeError, match=r"have ended; call reset"):
        worlds.step(np.zeros((4, 2)))
    worlds.reset()
    for t in range(reach.horizon):
        step = worlds.step(np.zeros((4, 2)))
        assert step.truncated.all() == (t == reach.horizon - 1)
    with pytest.raises(ShapeError, match=r"worlds \[0, 1, 2, 3\] have ended"):
        worlds.step(np.zeros((4, 2)))
    worlds.reset(np.array([0, 2, 3]))
    with pytest.raises(ShapeError, match=r"worlds \[1\] have ended"):
        worlds.step(np.zeros((4, 2)))


def test_reset_of_some_leaves_the_others(reach):
    worlds = make(reach)
    before = worlds.reset()
    states = rows(worlds)
    after = worlds.reset(np.array([1, 3]))
    assert np.array_equal(before[[0, 2]], after[[0, 2]])
    assert (before[[1, 3], :4] != after[[1, 3], :4]).any(axis=1).all()
    assert equal([states[i] for i in (0, 2)], [rows(worlds)[i] for i in (0, 2)])
    mask = np.array([True, False, False, False])
    assert np.array_equal(worlds.reset(mask)[1:], after[1:])


def test_new_episode_keeps_the_task_and_new_task_does_not(reach):
    worlds = make(reach)
    goals = worlds.task.goal_m.copy()
    worlds.reset()
    worlds.reset()
    assert np.array_equal(worlds.task.goal_m, goals)
    ids = np.array([0, 3])
    new = worlds.sample("test", ids)
    worlds.assign(new, ids)
    assert np.array_equal(worlds.task.goal_m[[1, 2]], goals[[1, 2]])
    assert np.array_equal(worlds.task.goal_m[ids], new.goal_m)
    assert worlds.done.tolist() == [True, False, False, True]


def test_assigned_tasks_are_copies(reach):
    worlds = make(reach)
    task = worlds.sample("train")
    worlds.assign(task)
    kept = worlds.task.goal_m.copy()
    task.goal_m[:] = 9.0
    assert np.array_equal(worlds.task.goal_m, kept)


def test_task_block_shows_hidden_fields_only_when_visible():
    hidden, visible = make(Slide()), make(Slide(), task_visible=True)
    a, b = hidden.reset(), visible.reset()
    where = hidden.spec.slice("task")
    assert hidden.spec.task_fields == (
        ("goal_m", 2, True), ("mass_kg", 1, True), ("offset_m", 1, False),
    )  # fmt: skip
    assert (a[:, where][:, :3] == 0).all()
    assert (b[:, where][:, :3] != 0).all()
    assert np.array_equal(a[:, where][:, 3], b[:, where][:, 3])
    mass = visible.task.mass_kg
    assert np.allclose(b[:, where][:, 2], 2 * (mass - 0.5) / 1.5 - 1)
    assert np.array_equal(a[:, : where.start], b[:, : where.start])


@pytest.mark.parametrize(
    "ids", [[1, 0], [0, 0], [-1], [4], [0.5], [[0, 1]], [True, False], ["a"]], ids=str
)
def test_bad_ids_are_refused(reach, ids):
    worlds = make(reach)
    with pytest.raises(ShapeError, match="world ids must be"):
        worlds.reset(np.array(ids))


def test_no_ids_do_nothing(reach):
    worlds = make(reach)
    obs = worlds.reset()
    for none in ([], np.zeros(4, bool), np.zeros(0, int)):
        assert np.array_equal(worlds.reset(none), obs)
    worlds.assign(worlds.sample("train", []), [])
    assert not worlds.done.any()


def test_errors_say_what_is_valid(reach):
    with pytest.raises(ConfigError, match="num_worlds is 0; expected an integer >= 1"):
        make(reach, 0)
    worlds = make(reach)
    with pytest.raises(ConfigError, match="unknown split 'tset'; valid: train, test, far"):
        worlds.sample("tset")
    with pytest.raises(ShapeError, match=r"assign: goal_m has 4 rows; expected 2 rows"):
        worlds.assign(worlds.task, np.array([0, 1]))
    with pytest.raises(ConfigError, match=r"world must be in \[0, 4\), got 4"):
        worlds.world(4)


def test_lookups_name_what_is_there(reach):
    scene, _ = make(reach).place(0)
    with pytest.raises(SimulationError, match="'bal'"):
        scene.body_pos("bal")
    with pytest.raises(SimulationError):
        scene.model_field("no_such_field")


class TooManyTerms(Slide):
    def terms(self, worlds, task, action):
        return {**super().terms(worlds, task, action), "more": np.zeros(worlds.num_worlds)}


class ChangesBlocks(Slide):
    def observe(self, worlds, task):
        blocks = super().observe(worlds, task)
        return blocks if (worlds.batch.time == 0).all() else {"robot": blocks["robot"]}


class BadModel(Two):
    def sample(self, rng, n, split):
        return dataclasses.replace(super().sample(rng, n, split), model=np.full(n, 2))


def test_broken_families_are_named():
    for family, said in ((TooManyTerms, "'more'"), (ChangesBlocks, "blocks of widths")):
        worlds = make(family())
        worlds.reset()
        with pytest.raises(FamilyError, match=f"toy/slide: .*{said}"):
            worlds.step(np.zeros((4, 2)))
    with pytest.raises(FamilyError, match=r"toy/two: .*\[2\]; models\(\) has 2: light, walled"):
        make(BadModel())


# Per-world models -----------------------------------------------------------------------


def test_model_fields_follow_the_task():
    worlds = make(Slide())
    scene, _ = worlds.place(0)
    body = scene.id("body", "ball")
    assert np.allclose(scene.model_field("body_mass")[:, body], worlds.task.mass_kg)
    for _ in range(3):  # `configure` multiplies: without a fresh start the masses would drift
        worlds.assign(worlds.sample("train", [1]), [1])
    assert np.allclose(scene.model_field("body_mass")[:, body], worlds.task.mass_kg)
    assert np.allclose(scene.batch.expanded("body_subtreemass")[:, body], worlds.task.mass_kg)


def test_two_models_run_side_by_side():
    worlds = make(Two(), 12)
    models = np.asarray(worlds.task.model)
    assert set(models) == {0, 1}
    names = [worlds.model_name(i) for i in range(12)]
    assert names == [("light", "walled")[m] for m in models]
    assert [worlds.world(i)[0].ngeom for i in range(12)] == [1 + m for m in models]
    assert worlds.reset().shape == (12, worlds.spec.obs_dim)
    step = worlds.step(worlds.expert())
    assert np.isfinite(step.obs).all()


def test_change_of_model_leaves_the_other_episodes_alone():
    worlds, twin = make(Two(), 8, seed=1), make(Two(), 8, seed=1)
    actions = np.random.default_rng(0).uniform(-1, 1, (10, 8, 2))
    for w in (worlds, twin):
        w.reset()
        play(w, actions)
    ids = np.array([2, 5])
    moved = take(worlds.task, ids)
    worlds.assign(dataclasses.replace(moved, model=1 - np.asarray(moved.model)), ids)
    assert worlds.done.tolist() == [i in ids for i in range(8)]
    worlds.reset(ids)
    others = np.setdiff1d(np.arange(8), ids)
    assert worlds.elapsed[others].tolist() == [10] * 6
    more = np.random.default_rng(1).uniform(-1, 1, (10, 8, 2))
    expect_equal(play(worlds, more), play(twin, more), "another world changed its model", others)


# Derived arrays -------------------------------------------------------------------------


class LateLookup(Slide):
    """Looks the site up for the first time in the middle of an episode."""

    def observe(self, worlds, task):
        blocks = super().observe(worlds, task)
        blocks["robot"][:, :2] = worlds.qpos * 5
        return blocks

    def advance(self, worlds, task):
        if (worlds.batch.time > 0.12).any():
            worlds.userdata[:, 0] += worlds.site_pos("tip")[:, 0]


class EarlyLookup(LateLookup):
    def observe(self, worlds, task):
        worlds.site_pos("tip")
        return super().observe(worlds, task)


def test_first_lookup_changes_nothing():
    actions = np.random.default_rng(0).uniform(-1, 1, (30, 4, 2))
    seen = []
    for family in (LateLookup, EarlyLookup):
        worlds = make(family())
        worlds.reset()
        seen.append(play(worlds, actions))
    expect_equal(*seen, "late and early lookup")


def test_derived_arrays_are_current():
    worlds = make(Slide())
    scene, _ = worlds.place(0)
    tip = scene.site_pos("tip")
    for now in (worlds.reset, lambda: worlds.step(np.ones((4, 2))), lambda: worlds.reset([1, 2])):
        now()
        assert np.allclose(tip[:, :2], scene.qpos, atol=1e-12)
    assert not tip.flags.writeable


# Bad actions and divergence -------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (np.zeros((4, 3)), r"shape \(4, 2\), got \(4, 3\)"),
        (np.zeros(8), r"got \(8,\)"),
        (np.full((4, 2), "a"), "dtype"),
        (np.zeros((4, 2), complex), "dtype"),
        (np.array([[0, 0], [0, np.nan], [0, 0], [np.inf, 0]]), r"not finite in worlds \[1, 3\]"),
    ],
)
def test_bad_actions_move_no_world(reach, action, said):
    worlds = make(reach)
    worlds.reset()
    before = rows(worlds)
    with pytest.raises(ShapeError, match=said):
        worlds.step(action)
    assert equal(before, rows(worlds))
    assert (worlds.elapsed == 0).all()


def test_actions_are_clipped(reach):
    a, b = make(reach), make(reach)
    a.reset()
    b.reset()
    assert np.array_equal(a.step(np.full((4, 2), 7.0)).obs, b.step(np.ones((4, 2))).obs)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_divergence_is_reported_and_contained(reach, value):
    worlds, twin = make(reach), make(reach)
    first = worlds.reset()
    twin.reset()
    scene, local = worlds.place(2)
    scene.qvel[local] = value
    step, calm = worlds.step(np.ones((4, 2))), twin.step(np.ones((4, 2)))
    assert step.diverged.tolist() == [False, False, True, False]
    assert step.truncated.tolist() == [False, False, True, False]
    assert not step.terminated.any()
    assert step.reward[2] == 0.0
    assert np.array_equal(step.obs[2], first[2])
    others = [0, 1, 3]
    assert np.array_equal(step.obs[others], calm.obs[others])
    worlds.reset(worlds.done)
    after, calm = worlds.step(np.ones((4, 2))), twin.step(np.ones((4, 2)))
    assert not after.diverged.any()
    assert np.array_equal(after.obs[others], calm.obs[others])


# Saved states ---------------------------------------------------------------------------


@pytest.mark.parametrize("family", [toy.Reach, Slide, Two])
def test_saved_state_continues_as_if_never_stopped(family):
    worlds, other = make(family(), 5, seed=1), make(family(), 5, seed=2)
    worlds.reset()
    actions = np.random.default_rng(0).uniform(-1, 1, (60, 5, 2))
    play(worlds, actions[:17])
    saved = worlds.state_dict()
    other.load_state_dict(saved)
    rest = actions[17:]
    expect_equal(play(worlds, rest), play(other, rest), "restored")
    assert np.array_equal(worlds.streams.counters, other.streams.counters)


def test_saved_state_is_a_copy(reach):
    worlds = make(reach)
    worlds.reset()
    saved = worlds.state_dict()
    kept = [x.copy() for x in saved["state"]]
    play(worlds, np.ones((3, 4, 2)))
    assert equal(kept, saved["state"])


# Task dataclasses -----------------------------------------------------------------------


def test_take_and_put_share_no_memory():
    task = make(Slide()).task
    some = take(task, np.array([1, 2]))
    assert num_tasks(some) == 2
    some.mass_kg[:] = 9.0
    assert task.mass_kg.max() <= 2.0
    new = put(task, np.array([0, 3]), some)
    assert new.mass_kg.tolist() == [9.0, *task.mass_kg[1:3], 9.0]
    assert task.mass_kg.max() <= 2.0


def test_options_may_differ_per_world(reach):
    class Floating(type(reach)):
        def configure(self, worlds, ids, task):
            worlds.model_field("opt.gravity")[ids, 0] += task.goal_m[:, 0]

    worlds = make(Floating())
    for _ in range(2):
        worlds.assign(worlds.sample("train"))
    scene, _ = worlds.place(0)
    assert np.allclose(scene.model_field("opt.gravity")[:, 0], worlds.task.goal_m[:, 0])
    worlds.reset()
    before = scene.qvel[:, 0].copy()
    worlds.step(np.zeros((4, 2)))
    assert np.array_equal(np.sign(scene.qvel[:, 0] - before), np.sign(worlds.task.goal_m[:, 0]))
