"""Seeds, options and keywords: the same for all three environments."""

import dataclasses
import functools

import gymnasium
import numpy as np
import pytest
from sliders import Slide

from metarl.errors import ConfigError, ShapeError, TaskError, UnknownNameError
from metarl.interop import FamilyEnv, FamilyVecEnv, FamilyVectorEnv
from metarl.types import take

ID = "metarl/toy-reach-v0"
MAKES = {
    "env": FamilyEnv,
    "vector": functools.partial(FamilyVectorEnv, num_envs=3, num_threads=1),
    "sb3": functools.partial(FamilyVecEnv, num_envs=3, num_threads=1),
}
SEEDS = (0, 2**32, 2**64, 2**70, np.int64(7), np.uint64(2**63))
NO_SEEDS = (-1, -(2**70), 1.0, np.nan, "1", True, np.True_, [1, 2.5, 3], {})


@pytest.fixture(params=MAKES)
def make(request):
    return MAKES[request.param]


def first(env, seed=None):
    """The first observations, one row a world."""
    if isinstance(env, FamilyVecEnv):
        if seed is not None:
            env.seed(seed)
        return env.reset()
    return np.atleast_2d(env.reset(seed=seed)[0])


def different(rows):
    return len(np.unique(np.concatenate(rows), axis=0)) == sum(map(len, rows))


def test_without_a_seed_all_differ(make):
    assert different([first(make(Slide())) for _ in range(4)])


def test_with_a_seed_all_are_equal(make):
    a, b = (first(make(Slide(), seed=5)) for _ in range(2))
    assert np.array_equal(a, b)
    assert np.array_equal(a, first(make(Slide()), seed=5))
    assert different([a, first(make(Slide(), seed=50))])


def test_a_reset_without_a_seed_goes_on(make):
    a, b = make(Slide(), seed=5), make(Slide(), seed=5)
    assert np.array_equal(first(a), first(b))
    assert np.array_equal(first(a), first(b))
    assert not np.array_equal(first(a), first(make(Slide(), seed=5)))


def test_worlds_without_a_seed_say_what_it_was():
    for make in (FamilyEnv, MAKES["vector"]):
        env = make(Slide())
        assert np.array_equal(first(env), first(make(Slide()), seed=env.np_random_seed))


@pytest.mark.parametrize("mode", [None, "sync", "vector_entry_point"])
def test_rows_that_gymnasium_makes_differ(mode):
    rows = [gymnasium.make_vec(ID, 4, vectorization_mode=mode).reset()[0] for _ in range(2)]
    assert different(rows)


def test_environments_that_gymnasium_makes_differ():
    assert different([gymnasium.make(ID).reset()[0][None] for _ in range(3)])


def test_gymnasiums_vector_environment_has_the_same_rows():
    rows = [
        gymnasium.make_vec(ID, 4, vectorization_mode=mode).reset(seed=11)[0]
        for mode in ("sync", "vector_entry_point")
    ]
    assert np.array_equal(*rows)
    assert np.array_equal(rows[0][2], gymnasium.make(ID).reset(seed=13)[0])


@pytest.mark.parametrize("seed", SEEDS, ids=str)
def test_seeds_of_any_size(make, seed):
    rows = first(make(Slide(), seed=seed))
    assert np.array_equal(rows, first(make(Slide()), seed=seed))
    assert different([rows, first(make(Slide(), seed=int(seed) + 100))])


@pytest.mark.parametrize("seed", NO_SEEDS, ids=str)
def test_what_is_no_seed(make, seed):
    with pytest.raises(ConfigError, match="expected a non-negative integer"):
        make(Slide(), seed=seed)
    with pytest.raises(ConfigError, match="expected a non-negative integer"):
        first(make(Slide()), seed=seed)


def test_a_seed_leaves_the_global_random_state_alone(make):
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first(make(Slide()), seed=3)
    first(make(Slide()))
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002


def test_sb3_without_a_seed_is_seeded_at_random():
    env = FamilyVecEnv(Slide(), 2, seed=1, num_threads=1)
    rows = first(env)
    (seed, same) = env.seed()
    assert seed == same
    again = first(env)
    assert different([rows, again])
    assert np.array_equal(again, first(env, seed=seed))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"newtask": True}, "unknown reset options newtask; valid: task, new_task"),
        ({"new_task": "no"}, "new_task is 'no'; expected True or False"),
        ({"new_task": 1}, "new_task is 1; expected True or False"),
        ({"task": object(), "new_task": True}, "contradict"),
        ({"task": object(), "new_task": False}, "contradict"),
        (5, "reset options are 5; expected a dict of task, new_task"),
        ({3: 4}, "unknown reset options 3"),
    ],
)
def test_options_are_honoured_or_refused(make, options, message):
    env = make(Slide(), seed=0)
    first(env)
    with pytest.raises(ConfigError, match=message):
        env.set_options(options) if isinstance(env, FamilyVecEnv) else env.reset(options=options)


def test_what_is_refused_has_changed_nothing():
    for make in (FamilyEnv, MAKES["vector"]):
        a, b = make(Slide(), seed=0), make(Slide(), seed=0)
        with pytest.raises(ConfigError):
            a.reset(seed=5, options={"newtask": True})
        assert np.array_equal(first(a), first(b))


def test_keywords_are_the_environments_or_the_familys(make):
    env = make("kitchen/add", robot="ur5e", control="joint")
    assert env.family.id == "kitchen/add@robot=ur5e,control=joint"
    with pytest.raises(UnknownNameError, match=r"'robt'; did you mean 'robot'.*control.*split"):
        make("kitchen/add", robt="ur5e")
    with pytest.raises(UnknownNameError, match=r"unknown keyword of Family.*'robot'"):
        make(Slide(), robot="ur5e")
    with pytest.raises(ConfigError, match="robot is given twice, in 'kitchen/add@robot=panda'"):
        make("kitchen/add@robot=panda", robot="ur5e")
    with pytest.raises(UnknownNameError, match="unknown robot 'ur6'"):
        make("kitchen/add", robot="ur6")
    with pytest.raises(ConfigError, match="expected a TaskFamily object or a family's name"):
        make(Slide)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"task_visible": "no"}, "task_visible is 'no'; expected True or False"),
        (
            {"new_task_every_episode": None},
            "new_task_every_episode is None; expected True or False",
        ),
        ({"split": "tset"}, "unknown split 'tset'; valid: train, test, far"),
    ],
)
def test_values_of_keywords(make, keywords, message):
    with pytest.raises(ConfigError, match=message):
        make(Slide(), **keywords)


@pytest.mark.parametrize("environment", [FamilyVectorEnv, FamilyVecEnv])
@pytest.mark.parametrize(
    ("name", "values"),
    [("num_envs", (0, -1, 2.5, "4", None, True, 10**12)), ("num_threads", (-1, 1.5, "2", None))],
)
def test_numbers_of_worlds_and_threads(environment, name, values):
    for value in values:
        with pytest.raises(ConfigError, match=r"num_(worlds|threads)"):
            environment(Slide(), **{"num_envs": 2, name: value})


def test_keywords_through_gymnasium():
    env = gymnasium.make("metarl/kitchen-add-v0", robot="ur5e", control="joint")
    assert env.action_space.shape == (7,)
    for kind in ("make", "make_vec"):
        with pytest.raises(UnknownNameError, match="'slpit'; did you mean 'split'"):
            getattr(gymnasium, kind)("metarl/kitchen-add-v0", slpit="test")


@pytest.mark.parametrize(
    "action",
    [[[1, 2], [1]], [1, "a"], None, "ab", {}, np.nan, [[np.nan, 1]] * 3, [np.inf, 0], np.zeros(7)],
    ids=str,
)
def test_actions_that_are_none(make, action):
    env, twin = make(Slide(), seed=0), make(Slide(), seed=0)
    first(env), first(twin)
    with pytest.raises(ShapeError, match="actions"):
        env.step(action)
    one = np.zeros(env.action_space.shape)
    if isinstance(env, FamilyVecEnv):
        one = np.zeros((3, 2))
    assert np.array_equal(env.step(one)[1], twin.step(one)[1])  # no world had moved


def hand(env, task):
    """Give the first world a task, in the environment's own way."""
    if isinstance(env, FamilyEnv):
        env.set_task(task)
    elif isinstance(env, FamilyVecEnv):
        env.env_method("set_task", task, indices=0)
    else:
        env.reset(options={"task": task, "reset_mask": np.arange(3) == 0})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"goal_m": np.array([[np.nan, 0.0]])}, "goal_m"),
        ({"goal_m": np.array([[50.0, 0.0]])}, "goal_m"),
        ({"goal_m": np.zeros((1, 3))}, "goal_m"),
        ({"goal_m": np.zeros((2, 2))}, "goal_m"),
        ({"mass_kg": np.array(["heavy"])}, "mass_kg"),
        (None, "the task is a dict; expected SlideTask"),
    ],
)
def test_tasks_that_are_none(make, change, message):
    env = make(Slide(), seed=0)
    first(env)
    task = take(env.worlds.task, slice(0, 1))
    bad = {"goal_m": 0.0} if change is None else dataclasses.replace(task, **change)
    before = env.worlds.task.goal_m.copy()
    with pytest.raises(TaskError, match=message):
        hand(env, bad)
    assert np.array_equal(env.worlds.task.goal_m, before)


def test_tasks_to_judge_by_share_no_stream_with_training():
    rows = [
        first(FamilyEnv("classic/point-navigation", split=s, seed=0)) for s in ("train", "test")
    ]
    assert not np.array_equal(*rows)
