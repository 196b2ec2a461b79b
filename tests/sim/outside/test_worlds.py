"""Environments of others keep what worlds promise, wherever they run."""

import copy
import gc
import json
import pickle
import subprocess

import gymnasium
import numpy as np
import outsiders
import pytest
import strangers
from outsiders import FILE, CartFamily, CartTask

from metarl.conformance import iter_checks
from metarl.errors import CheckpointError, ConfigError, FamilyError, ShapeError, TaskError
from metarl.sim.kinds import kind_of, make_worlds
from metarl.sim.outside import OutsideFamily
from metarl.sim.outside.worlds import OutsideWorlds
from metarl.sim.worlds import Worlds
from metarl.types import take


def family(environment="Cart", *, interpreter="", **settings):
    made = CartFamily()
    made.environment = environment if callable(environment) else f"{FILE}:{environment}"
    made.interpreter, made.settings = interpreter, settings
    return made


def ahead(worlds, num_steps, seed=0):
    """What worlds give from here on, new tasks and episodes included."""
    rng, out = np.random.default_rng(seed), []
    for _ in range(num_steps):
        step = worlds.step(rng.uniform(-1.0, 1.0, (worlds.num_worlds, worlds.spec.action_dim)))
        out += [step.obs.tobytes(), step.reward.tobytes(), worlds.done.tobytes()]
        if worlds.done.any():
            ids = np.flatnonzero(worlds.done)
            worlds.assign(worlds.sample("train", ids), ids)
            out.append(worlds.reset(ids).tobytes())
    return out


@pytest.mark.parametrize("where", ["here", "elsewhere"])
@pytest.mark.parametrize("environment", ["Cart", "make", "Parts"])
def test_it_passes_every_check(where, environment, second):
    made = family(environment, interpreter=second if where == "elsewhere" else "")
    if environment == "Parts":
        made = Partly()
        made.interpreter = second if where == "elsewhere" else ""
    results = list(iter_checks(made, num_tasks=32))
    assert [f"{r.name}: {r.detail}" for r in results if r.failed] == []
    skipped = {r.name for r in results if r.outcome == "skip"}
    assert skipped == {
        "models compile within 1 s", "models share one interface", "captions are lines",
        "pictures are observed",
    }  # fmt: skip


class Partly(CartFamily):
    """An observation of parts, of which the family makes other blocks; it ends where it arrives."""

    environment = f"{FILE}:Parts"
    weights = {"near": 2.0, "reward": 0.5}

    def observe(self, worlds, task):
        return {"robot": worlds.obs["place"] * 2.0, "more": worlds.obs["speed"]}

    def columns(self):
        return {"robot": ("x", "y")}

    def terms(self, worlds, task, action):
        near = np.linalg.norm(worlds.obs["place"] - task.goal_m, axis=1) < 0.2
        return {"near": near, "reward": worlds.reward}

    def expert(self, worlds, task):
        return np.clip(4 * (task.goal_m - worlds.obs["place"]) - 0.4 * worlds.obs["speed"], -1, 1)


def test_blocks_terms_and_ends_are_the_familys():
    worlds = make_worlds(Partly(), 8)
    assert dict(worlds.spec.blocks) == {"robot": 2, "more": 2, "task": 2}
    assert worlds.spec.columns == {"robot": ("x", "y")}
    obs, ended = worlds.reset(), np.zeros(8, bool)
    for _ in range(40):
        step = worlds.step(worlds.expert())
        assert (step.terminated <= step.success).all()
        ended |= step.terminated
        assert np.allclose(step.reward, step.terms["near"] + step.terms["reward"])
        assert (step.obs[:, :2] != obs[:, :2]).any()
        if worlds.done.any():
            worlds.reset(worlds.done)
    assert ended.all()


def test_here_and_elsewhere_are_the_same_numbers(second):
    found = []
    for interpreter, threads in (("", 1), (second, 1), (second, 3)):
        worlds = make_worlds(family(interpreter=interpreter), 5, seed=3, num_threads=threads)
        assert worlds.benches.num_workers == (threads if interpreter else 0)
        found.append([worlds.reset().tobytes(), *ahead(worlds, 60)])
    assert found[0] == found[1] == found[2]


def test_actions_are_scaled_to_the_box_and_clipped():
    seen = []

    class Told(strangers.Cart):
        def step(self, action):
            seen.append(action)
            return super().step(action)

    worlds = make_worlds(family(Told), 1)
    worlds.reset()
    for action in ([-1.0, -1.0], [1.0, 1.0], [0.0, 0.5], [-7.0, 7.0]):
        worlds.step(np.array([action]))
    assert all(a.dtype == np.float32 for a in seen)
    expected = [[-0.2, 0.0], [0.2, 0.4], [0.0, 0.3], [-0.2, 0.4]]
    assert np.allclose(seen, expected, atol=1e-7)


def test_a_time_limit_of_its_own_truncates():
    worlds = make_worlds(family("make_wrapped"), 2)
    worlds.reset()
    for _ in range(11):
        assert not worlds.step(np.zeros((2, 2))).truncated.any()
    assert worlds.step(np.zeros((2, 2))).truncated.all()
    with pytest.raises(ShapeError, match="have ended"):
        worlds.step(np.zeros((2, 2)))


@pytest.mark.parametrize("how", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_twin_goes_on_bit_for_bit(how, second):
    worlds = make_worlds(family(interpreter=second), 4, num_threads=2)
    worlds.reset()
    ahead(worlds, 17)
    worlds.assign(worlds.sample("train", np.array([1])), np.array([1]))
    worlds.reset(np.array([1]))  # not all of them are as far
    ahead(worlds, 3)
    twin = how(worlds)
    mine = ahead(worlds, 60, 5)
    assert ahead(twin, 60, 5) == mine


def test_a_saved_state_goes_on_elsewhere(second):
    worlds, other = make_worlds(family(), 3), make_worlds(family(interpreter=second), 3, seed=9)
    worlds.reset()
    ahead(worlds, 23)
    other.load_state_dict(worlds.state_dict())
    assert ahead(other, 50, 1) == ahead(worlds, 50, 1)


def test_worlds_whose_episodes_are_over_are_not_played_again():
    worlds, twin = make_worlds(family(), 3), make_worlds(family(), 3, seed=4)
    worlds.reset()
    for _ in range(40):
        worlds.step(np.zeros((3, 2)))
    saved = worlds.state_dict()
    assert saved["given"].shape[0] == 0
    twin.load_state_dict(saved)
    assert twin.obs.tobytes() == worlds.obs.tobytes()
    assert twin.done.all()
    assert twin.reset().tobytes() == worlds.reset().tobytes()


def test_an_environment_that_draws_from_elsewhere_is_told():
    worlds = make_worlds(family("Forgetful"), 2)
    worlds.reset()
    ahead(worlds, 3)
    with pytest.raises(CheckpointError, match=r"worlds \[0, 1\] do not go as they went"):
        make_worlds(family("Forgetful"), 2).load_state_dict(worlds.state_dict())
    failed = [r.name for r in iter_checks(family("Forgetful"), num_tasks=4) if r.failed]
    assert "same seed, same trajectory" in failed
    assert "a saved state continues bit-identically" in failed


@pytest.mark.parametrize("change", ["given", "state", "seeds", "elapsed"])
def test_a_state_of_others_is_refused(change):
    worlds = make_worlds(family(), 3)
    worlds.reset()
    ahead(worlds, 5)
    saved = worlds.state_dict()
    cut = saved["state"][0][:2] if change == "state" else saved[change][:2]
    saved[change] = [cut] if change == "state" else cut
    with pytest.raises(CheckpointError, match=change):
        worlds.load_state_dict(saved)


@pytest.mark.parametrize("elapsed", [-1, 40, 10**9])
def test_episodes_of_no_length_are_refused(elapsed):
    worlds = make_worlds(family(), 2)
    worlds.reset()
    ahead(worlds, 5)
    saved = worlds.state_dict()
    saved["elapsed"][1] = elapsed
    with pytest.raises(CheckpointError, match="elapsed of this state is"):
        worlds.load_state_dict(saved)


def test_spaces_that_differ_between_processes_are_told(second, tmp_path):
    (tmp_path / "moody.py").write_text(
        f"import os, sys\nsys.path.insert(0, {str(FILE.parent)!r})\n"
        "import gymnasium, numpy, strangers\n"
        "def make(**settings):\n    env = strangers.Cart(**settings)\n"
        "    high = numpy.full(2, 1.0 + os.getpid() / 1e6, numpy.float32)\n"
        "    env.action_space = gymnasium.spaces.Box(-high, high)\n    return env\n"
    )
    made = family(interpreter=second)
    made.environment = f"{tmp_path / 'moody.py'}:make"
    with pytest.raises(FamilyError, match=r"make\(\) .* has other spaces in another process"):
        make_worlds(made, 2, num_threads=2)


def test_tasks_reach_their_environments(second):
    for environment in ("Cart", "make", "make_wrapped"):
        worlds = make_worlds(family(environment, interpreter=second), 4, num_threads=2)
        goal = np.array([[0.5, 0.0], [0.0, 0.5], [-0.5, 0.0], [0.0, -0.5]])
        worlds.assign(CartTask(goal))
        worlds.reset()
        swap = np.array([1, 3])
        worlds.assign(CartTask(goal[::-1][swap]), swap)
        goal[swap] = goal[::-1][swap]
        worlds.reset(swap)
        step = worlds.step(np.zeros((4, 2)))
        place = step.obs[:, :2]
        assert np.allclose(step.reward, -np.linalg.norm(place - goal, axis=1), atol=1e-5)
    with pytest.raises(TaskError):
        worlds.assign(CartTask(np.full((4, 2), 9.0)))


def test_what_it_hands_over_may_be_something_else():
    class Handing(CartFamily):
        def handed(self, task):
            return {"goal_m": task.goal_m * 0.0}

    worlds = make_worlds(Handing(), 2)
    obs = worlds.reset()
    step = worlds.step(np.zeros((2, 2)))
    assert np.allclose(step.reward, -np.linalg.norm(step.obs[:, :2], axis=1), atol=1e-5)
    assert (obs[:, :2] != 0).all()
    Handing.handed = lambda self, task: {"goal_m": 0.0}
    with pytest.raises(FamilyError, match=r"handed\(\) .* gave no arrays of 2 rows"):
        make_worlds(Handing(), 2)


FAULTS = {
    "shape": r"step\(\) of its environment gave float64 of shape \(3,\) as observation; expected",
    "dtype": r"step\(\) of its environment gave <U\d+ of shape \(4,\) as observation; expected",
    "raise": r"step\(\) of its environment raised ValueError: the wheel is off \(strangers.py:\d+\)",
    "exit": r"step\(\) of its environment raised SystemExit: 0 \(strangers.py:\d+\)",
    "four": r"step\(\) of its environment gave a tuple of 4; expected \(observation, reward, ",
    "no success": r"step\(\) of its environment gave info without 'success'; it has: note",
    "bad flag": r"step\(\) of its environment gave int as terminated; expected True or False",
    "text reward": r"step\(\) of its environment gave str as reward; expected a number",
}


@pytest.mark.parametrize("where", ["here", "elsewhere"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_promise_is_told_with_the_world(fault, where, second):
    made = family(fault=fault, above=0.0, interpreter=second if where == "elsewhere" else "")
    worlds = make_worlds(made, 4, num_threads=2)
    worlds.assign(CartTask(np.array([[-0.3, 0.1], [-0.3, 0.1], [-0.3, 0.1], [0.3, 0.1]])))
    worlds.reset()
    for _ in range(2):
        worlds.step(np.zeros((4, 2)))
    with pytest.raises(FamilyError, match=FAULTS[fault] + ".*, in world 3"):
        worlds.step(np.zeros((4, 2)))
    with pytest.raises(ShapeError, match="have ended"):  # some have moved: nobody goes on as if not
        worlds.step(np.zeros((4, 2)))
    worlds.reset()
    worlds.step(np.zeros((4, 2)))


@pytest.mark.parametrize("fault", ["nan", "inf reward"])
def test_what_is_not_finite_ends_its_own_episode_alone(fault, second, caplog):
    goals = CartTask(np.array([[-0.3, 0.1], [0.3, 0.1], [-0.3, 0.1]]))
    records = []
    for interpreter, settings in ((second, {"fault": fault, "above": 0.0}), ("", {})):
        worlds = make_worlds(family(interpreter=interpreter, **settings), 3)
        worlds.assign(goals)
        worlds.reset()
        records.append([worlds.step(np.full((3, 2), 0.3)) for _ in range(3)])
        records[-1].append(worlds.reset(worlds.done) if worlds.done.any() else None)
        records[-1].append(worlds.num_diverged)
    broken, whole = records
    last, calm = broken[2], whole[2]
    assert last.diverged.tolist() == last.truncated.tolist() == [False, True, False]
    assert np.isfinite(last.obs).all()
    assert last.reward[1] == 0.0
    assert not last.success[1]
    assert (last.obs[[0, 2]] == calm.obs[[0, 2]]).all()
    assert (last.reward[[0, 2]] == calm.reward[[0, 2]]).all()
    assert broken[4] == 1
    assert whole[4] == 0
    assert "the episode of world 1 cannot go on" in caplog.text


def test_a_start_that_is_not_finite_or_raises_is_told():
    for fault, said in (
        ("nan start", "is not finite in worlds"),
        ("raise start", "no start today"),
    ):
        with pytest.raises(FamilyError, match=rf"reset\(\) of its environment .*{said}"):
            make_worlds(family(fault=fault, at=0), 2)


WRONG = {
    "nowhere.py:Cart": "loading .*nowhere.py:Cart raised FileNotFoundError",
    "strangers.py:Nobody": "loading .*strangers.py:Nobody raised AttributeError",
    "no_module_of_this_name:make": "raised ModuleNotFoundError: No module named",
    "strangers.py:FAULTS": "what makes environments is a tuple, no callable",
    "strangers.py:discrete": r"action_space of its environment is Discrete\(3\); expected a Box",
    "strangers.py:endless": r"has no finite range for actions \[0, 1\]",
    "make": "expected a callable, 'module:name' or 'path/of/file.py:name'",
}


@pytest.mark.parametrize("where", ["here", "elsewhere"])
@pytest.mark.parametrize("entry", WRONG)
def test_what_makes_environments_is_looked_at(entry, where, second):
    made = family(interpreter=second if where == "elsewhere" else "")
    made.environment = str(FILE.with_name(entry)) if ".py" in entry else entry
    with pytest.raises(FamilyError, match=WRONG[entry]):
        make_worlds(made, 2)


def test_a_callable_stays_here(second):
    made = family(strangers.Cart, interpreter=second)
    with pytest.raises(FamilyError, match="cannot be handed; expected 'module:name'"):
        make_worlds(made, 1)


def test_a_maker_without_set_task_is_told():
    with pytest.raises(
        FamilyError, match=r"set_task\(\) of its environment is missing from Pendulum"
    ):
        make_worlds(family(lambda: gymnasium.make("Pendulum-v1").unwrapped), 1)


def test_success_needs_its_reading():
    class Blind(CartFamily):
        readings = ()

    worlds = make_worlds(Blind(), 1)
    worlds.reset()
    with pytest.raises(FamilyError, match="has no 'success'; add it, or define success"):
        worlds.step(np.zeros((1, 2)))


def test_the_kinds_do_not_mix(reach):
    assert kind_of(reach) is Worlds
    assert kind_of(CartFamily()) is OutsideWorlds
    with pytest.raises(FamilyError, match="make_worlds makes the worlds of a family that has none"):
        Worlds(CartFamily(), 1)
    with pytest.raises(ConfigError, match="make_worlds makes its worlds"):
        OutsideWorlds(reach, 1)
    with pytest.raises(ConfigError, match="not MuJoCo models"):
        make_worlds(CartFamily(), 1).world()


def test_settings_that_are_no_json_are_told(second):
    made = family(interpreter=second, fault=object())
    with pytest.raises(FamilyError, match="settings"):
        make_worlds(made, 1)


def test_worlds_that_nobody_has_give_their_processes_to_the_next(second):
    worlds = make_worlds(family(interpreter=second), 2, num_threads=2)
    before = worlds.benches.pids
    busy = make_worlds(family(interpreter=second), 2, num_threads=2)
    assert not set(busy.benches.pids) & set(before)
    del worlds
    gc.collect()
    again = make_worlds(family(interpreter=second), 2, num_threads=2)
    assert sorted(again.benches.pids) == sorted(before)
    other = make_worlds(family(interpreter=second, fault="nan"), 2, num_threads=2)
    assert not set(other.benches.pids) & {*before, *busy.benches.pids}


def test_the_second_interpreter_has_nothing_of_metarl(second):
    said = subprocess.run(
        [second, "-I", "-c", "import gymnasium, numpy, json, importlib.util as u;"
         "print(json.dumps([n for n in ('metarl', 'torch', 'mujoco') if u.find_spec(n)]))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(said.stdout) == []


def test_rows_of_tasks_stay_whole():
    worlds = make_worlds(CartFamily(), 3)
    one = take(worlds.task, slice(0, 1))
    assert isinstance(one, CartTask)
    assert issubclass(CartFamily, OutsideFamily)
    assert outsiders.CartElsewhere.interpreter
