"""What is given from outside is checked before a world moves: tasks and actions."""

import dataclasses

import gymnasium
import numpy as np
import pytest
import torch
from sliders import Slide, SlideTask, Two

from metarl.errors import FamilyError, MetaRLError, ShapeError, TaskError
from metarl.interop.gym_env import FamilyEnv
from metarl.interop.sb3 import FamilyVecEnv
from metarl.interop.vector_env import FamilyVectorEnv
from metarl.sim.worlds import Worlds
from metarl.types import take

GOOD = SlideTask(np.array([[0.1, 0.1]]), np.array([1.0]), np.array([0.05]))


def replaced(**fields):
    return dataclasses.replace(GOOD, **fields)


BAD = {
    "NaN": (replaced(goal_m=np.array([[0.1, np.nan]])), r"goal_m\[0, 1\] is nan; expected numbers"),
    "infinite": (replaced(mass_kg=np.array([np.inf])), r"mass_kg\[0\] is inf"),
    "far out": (
        replaced(goal_m=np.array([[50.0, 0.0]])),
        r"goal_m\[0, 0\] is 50; expected numbers in \[\(-0.2, -0.2\), \(0.3, 0.2\)\] m",
    ),
    "just out": (
        replaced(mass_kg=np.array([2.001])),
        r"mass_kg\[0\] is 2.001; expected numbers in \[0.5, 2.0\] kg",
    ),
    "too wide": (
        replaced(goal_m=np.zeros((1, 3))),
        r"goal_m has shape \(1, 3\); expected \(1, 2\)",
    ),
    "a column": (replaced(mass_kg=np.ones((1, 1))), r"mass_kg has shape \(1, 1\); expected \(1,\)"),
    "flat": (replaced(goal_m=np.zeros(1)), r"goal_m has shape \(1,\); expected \(1, 2\)"),
    "a number": (replaced(mass_kg=1.0), r"mass_kg has shape \(\); expected \(1,\)"),
    "text": (replaced(mass_kg=np.array(["1"])), "mass_kg has dtype <U1; expected numbers"),
    "None": (replaced(mass_kg=None), "mass_kg has dtype object; expected numbers"),
    "ragged": (replaced(goal_m=[[0.1, 0.1], [0.1]]), "goal_m, got list that is no array"),
    "more rows": (take(GOOD, np.zeros(3, int)), "goal_m has 3 rows; expected one row"),
    "rows differ": (replaced(mass_kg=np.ones(2)), "mass_kg has 2 rows; expected one row"),
    "dict": (dataclasses.asdict(GOOD), "the task is a dict; expected SlideTask"),
    "array": (np.zeros(4), "the task is a ndarray; expected SlideTask"),
}


@pytest.mark.parametrize(("task", "said"), BAD.values(), ids=BAD)
def test_bad_tasks_change_nothing(task, said):
    worlds = Worlds(Slide(), 1, num_threads=1)
    worlds.reset()
    kept, before = worlds.task, worlds.place(0)[0].batch.state.copy()
    with pytest.raises(TaskError, match=f"^assign: {said}"):
        worlds.assign(task)
    assert worlds.task is kept
    assert not worlds.done.any()
    assert np.array_equal(before, worlds.place(0)[0].batch.state)


@pytest.mark.parametrize(("task", "said"), BAD.values(), ids=BAD)
def test_set_task_refuses_at_once(task, said):
    env = FamilyEnv(Slide())
    with pytest.raises(TaskError, match=f"^set_task: {said}"):
        env.set_task(task)
    with pytest.raises(MetaRLError, match=said):
        env.reset(options={"task": task})
    env.set_task(GOOD)
    env.reset()
    assert env.task.goal_m.tolist() == [[0.1, 0.1]]


def test_vector_environments_refuse_tasks_too():
    env = FamilyVectorEnv(Slide(), 2, num_threads=1)
    two = take(GOOD, np.zeros(2, int))
    env.reset(options={"task": two})
    wrong = dataclasses.replace(two, mass_kg=np.array([1.0, np.nan]))
    with pytest.raises(TaskError, match=r"mass_kg\[1\] is nan"):
        env.reset(options={"task": wrong})
    with pytest.raises(TaskError, match="the task is a dict"):
        env.reset(options={"task": {}})


def test_some_worlds_tasks_are_checked_as_all():
    worlds = Worlds(Two(), 4, num_threads=1)
    ids = np.array([1, 3])
    task = worlds.sample("train", ids)
    with pytest.raises(TaskError, match=r"offset_m\[1\] is -1"):
        worlds.assign(dataclasses.replace(task, offset_m=np.array([0.0, -1.0])), ids)
    with pytest.raises(TaskError, match="model has dtype float64; expected integers"):
        worlds.assign(dataclasses.replace(task, model=np.array([0.0, 1.0])), ids)
    with pytest.raises(TaskError, match=r"models are \[0, 7\]; models\(\) has 2: light, walled"):
        worlds.assign(dataclasses.replace(task, model=np.array([0, 7])), ids)


def test_lists_integers_and_single_precision_are_tasks():
    worlds = Worlds(Slide(), 1, num_threads=1)
    single = {k: v.astype(np.float32) for k, v in vars(worlds.sample("far")).items()}
    for task in (SlideTask([[0, 0.2]], [2], [0.1]), SlideTask(**single)):
        worlds.assign(task)
        worlds.reset()
    edge = SlideTask(np.float32([[0.3, 0.2]]), np.float32([2.0]), np.float32([0.1]))
    worlds.assign(edge)
    assert worlds.task.goal_m[0, 0] == np.float32(0.3)


class Strays(Slide):
    field, values = "mass_kg", 2.5

    def sample(self, rng, n, split):
        task = super().sample(rng, n, split)
        return dataclasses.replace(task, **{self.field: np.full(n, self.values)})


class Undeclared(Slide):
    def sample(self, rng, n, split):
        return {"goal_m": np.zeros((n, 2))}


def test_a_family_that_leaves_its_range_is_told():
    with pytest.raises(FamilyError) as found:
        Worlds(Strays(), 2)
    assert str(found.value) == (
        f"toy/slide: sample() of {__name__}.Strays (train) gave bad tasks: mass_kg[0] is 2.5;"
        " expected numbers in [0.5, 2.0] kg"
    )
    strays = Strays()
    strays.values = np.nan
    with pytest.raises(FamilyError, match=r"mass_kg\[0\] is nan"):
        Worlds(strays, 2)
    with pytest.raises(FamilyError, match="the task is a dict; expected SlideTask"):
        Worlds(Undeclared(), 2)


def test_the_task_block_is_clipped_as_the_others():
    worlds = Worlds(Slide(), 1, num_threads=1, task_visible=True)
    worlds._stack.show(replaced(mass_kg=np.array([1e9])), True)
    assert worlds._stack.blank()[0, worlds.spec.slice("task")].max() == 10.0


# Actions --------------------------------------------------------------------------------


class Hostile:
    def __array__(self, *args, **kwargs):
        raise RuntimeError("not yours")


ODD = {
    "ragged": [[0.0, 0.0], [0.0]],
    "None": None,
    "text": "left",
    "dict": {"x": 1.0},
    "set": {1.0, 2.0},
    "object": object(),
    "hostile": Hostile(),
    "needs grad": torch.zeros(2, requires_grad=True),
    "huge integers": [[10**400, 0]],
    "nan": [[np.nan, 0.0]],
    "infinite": [[np.inf, 0.0]],
    "flags": [[True, False]],
    "complex": [[1j, 0]],
    "empty": [],
}


def of_width(action, wrap):
    return action[0] if wrap and isinstance(action, list) and len(action) == 1 else action


@pytest.mark.parametrize("action", ODD.values(), ids=ODD)
@pytest.mark.parametrize("n", [1, 2])
def test_odd_actions_are_typed_errors_everywhere(action, n):
    worlds = Worlds(Slide(), n, num_threads=1)
    worlds.reset()
    before = worlds.place(0)[0].batch.state.copy()
    with pytest.raises(ShapeError, match="actions"):
        worlds.step(action)
    if n == 1:
        with pytest.raises(ShapeError, match="actions"):
            worlds.step_alone(of_width(action, True))
    assert np.array_equal(before, worlds.place(0)[0].batch.state)
    assert not worlds.elapsed.any()


@pytest.mark.parametrize("action", ODD.values(), ids=ODD)
def test_odd_actions_are_typed_errors_in_every_environment(action):
    one, many, sb3 = FamilyEnv(Slide()), FamilyVectorEnv(Slide(), 2), FamilyVecEnv(Slide(), 2)
    for env in (one, many, sb3):
        env.reset()
    with pytest.raises(ShapeError, match="actions"):
        one.step(of_width(action, True))
    with pytest.raises(ShapeError, match="actions"):
        many.step(action)
    with pytest.raises(ShapeError, match="actions"):
        sb3.step(action)


def test_ragged_ids_are_a_typed_error():
    worlds = Worlds(Slide(), 2, num_threads=1)
    with pytest.raises(ShapeError, match="world ids must be"):
        worlds.reset([[0], [0, 1]])


def test_lists_and_tensors_are_actions():
    env = FamilyEnv(Slide())
    assert isinstance(env, gymnasium.Env)
    env.reset()
    for action in ([0.5, 0.5], torch.ones(2), np.ones(2, np.int8), (0, 1)):
        env.step(action)
