"""A world alone: what is replayed equals, to the bit, what NumPy does."""

import dataclasses
import itertools
import math
import re
import time

import mujoco
import numpy as np
import pytest

from metarl.conformance import check_family
from metarl.errors import ShapeError
from metarl.interop import FamilyEnv
from metarl.registry import make_family
from metarl.rewards import distance
from metarl.sim.replay import program as replay
from metarl.sim.replay.program import Replay
from metarl.sim.replay.tape import MOST_LINES
from metarl.sim.scene import Scene
from metarl.sim.worlds import Worlds
from metarl.types import label, varies

FAMILIES = (
    "kitchen/season", "kitchen/stir", "kitchen/serve", "kitchen/dishes", "kitchen/skills",
    "kitchen/add@robot=ur5e,control=joint", "classic/cheetah-velocity", "classic/point-navigation",
)  # fmt: skip


def played(name: str, num_steps: int) -> tuple[Worlds, list[np.ndarray]]:
    worlds = Worlds(make_family(name), 1, seed=3, num_threads=1)
    worlds.reset()
    rng, seen = np.random.default_rng(0), []
    for _ in range(num_steps):
        if worlds.done[0]:
            worlds.assign(worlds.sample("train"))
            worlds.reset()
        if worlds.family.has_expert() and rng.uniform() < 0.8:
            action = worlds.expert()
        else:
            action = rng.uniform(-1.2, 1.2, (1, worlds.spec.action_dim))
        step = worlds.step(action.astype(np.float32))
        rows = [step.obs, step.reward, step.success, step.terminated, step.truncated, step.score]
        rows += [*step.terms.values(), *worlds.state_dict()["state"]]
        seen.append(np.concatenate([x.reshape(-1) for x in rows]))
    return worlds, seen


@pytest.mark.parametrize("name", FAMILIES)
def test_a_replayed_world_is_bit_identical(name, monkeypatch):
    replayed, a = played(name, 240)
    monkeypatch.setattr(replay, "WARM", math.inf)
    _, b = played(name, 240)
    assert replayed.not_replayed == ""
    for t, (x, y) in enumerate(zip(a, b, strict=True)):
        assert np.array_equal(x, y, equal_nan=True), t


def test_a_replayed_family_is_not_asked_again(monkeypatch):
    family, asked = make_family("kitchen/season"), itertools.count()
    usual = type(family).advance
    monkeypatch.setattr(type(family), "advance", lambda *args: (next(asked), usual(*args))[1])
    env = FamilyEnv(family, seed=0)
    env.reset()
    for _ in range(45):
        env.step(np.full(6, 0.1, np.float32))
    # in each step until then, and once more to write it down
    assert next(asked) == replay.WARM + replay.TRIALS + 1


# What is written down --------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class ToyTask:
    gain: np.ndarray = varies("1", 0.0, 1.0, hidden=True, doc="a number")
    place: np.ndarray = varies("m", (0.0, 0.0), (1.0, 1.0), hidden=True, doc="two numbers")
    kind: np.ndarray = label("a kind")


MODEL = (
    '<mujoco><size nuserdata="12"/><worldbody><body name="b" mocap="true"/></worldbody></mujoco>'
)
TABLE = np.arange(12.0).reshape(3, 4)


def branches(u, t):
    if (u[:, 0] > 0.5).any():
        return u[:, 1] * 2.0
    return u[:, 2] - t.gain


def changes(u, t):
    u[:, 3] += u[:, 4] * t.gain
    u[:, 5:7] = np.where(u[:, 3:4] > 0.0, t.place, u[:, :2])
    part = u[:, 7:9]
    part *= 0.5
    return u[:, 7:9]


def counts(u, t):
    u[:, 9] = np.minimum(u[:, 9] + (u[:, 0] > 0.0), 2.0)
    return TABLE[u[:, 9].astype(int), t.kind]


def steps(u, t):
    stage = u[:, 9].astype(int)
    u[:, 9] = np.where(u[:, 0] > 0.0, np.minimum(stage + 1, 2), stage)
    return TABLE[stage, 1] + np.eye(3)[stage][:, 1]


def falls(u, t):
    found = np.zeros_like(u, shape=(1, 4))
    found[:, 1:3] = u[:, :2].astype(np.float32) * np.float32(0.3)
    return found


EXPRESSIONS = {
    "arithmetic": lambda u, t: (u[:, :4] * t.gain[:, None] - 3.0) / (2.0 + u[:, 4:8] ** 2),
    "powers": lambda u, t: np.abs(u) ** 1.5 + np.abs(u) ** 0.5 + u**3 + u**-1,
    "functions": lambda u, t: (
        np.exp(np.sin(u)) + np.arctan2(u, np.cos(u)) + np.tanh(np.hypot(u, 1))
    ),
    "bounds": lambda u, t: np.clip(u, -0.3, 0.4) + u.clip(t.gain[:, None], 0.9) + np.fmin(u, 0.1),
    "signs": lambda u, t: np.sign(u) + np.maximum(u, u[:, ::-1]) % 0.7 + np.floor(u),
    "logic": lambda u, t: ((u > 0.2) & ~(u < 0.5) | (u > 0.9)) ^ (u == 0.0),
    "logic of numbers": lambda u, t: np.logical_and(u, u > 0.1) * 2.0 - np.logical_not(u),
    "sums": lambda u, t: np.stack([u.sum(axis=1), u[:, :5].mean(axis=1), u.max(axis=1)], axis=1),
    "sums of parts": lambda u, t: (
        u.reshape(1, 3, 4).sum(axis=1) + u.reshape(1, 3, 4).min(axis=(1,))
    ),
    "distances": lambda u, t: np.einsum("...d,...d->...", u.reshape(1, 4, 3), u.reshape(1, 4, 3)),
    "products": lambda u, t: u[:, :9].reshape(-1, 3, 3) @ np.array([0.1, -0.2, 0.3]),
    "crosses": lambda u, t: np.cross(u[:, :3], u[:, 3:6]),
    "parts": lambda u, t: np.concatenate(
        [u[:, :2], t.place, np.ones((1, 1)), u[:, [5, 3]]], axis=1
    ),
    "turned": lambda u, t: np.moveaxis(u.reshape(1, 3, 4), -1, 1)[:, ::2].reshape(1, -1),
    "columns": lambda u, t: np.column_stack([t.place, u[:, 0], np.full(1, 2.0)]),
    "choices": lambda u, t: np.select([u > 0.5, u > 0.0], [u * 2.0, -u], 7.0),
    "single precision": lambda u, t: (u.astype(np.float32) * np.float32(1.7)).sum(axis=1) / 3,
    "branches": branches,
    "changes": changes,
    "counts": counts,
    "steps": steps,
    "zeros": lambda u, t: np.arctan2(
        np.minimum(np.round(u), 0.0) * np.maximum(0.0, np.round(u)), -1.0
    ),
    "falls": falls,
    "division by nothing": lambda u, t: u[:, :2] / np.maximum(np.floor(u[:, 2:4] * 2.0), 0.0),
    "no number": lambda u, t: np.sqrt(u[:, :4]) + np.log(u[:, 4:8]),
    "counting": lambda u, t: np.count_nonzero(u > 0.0) + u.any(axis=1) + (u > -1.0).all(axis=1),
}


def toy_task(rng: np.random.Generator) -> ToyTask:
    return ToyTask(rng.uniform(size=1), rng.uniform(size=(1, 2)), np.array([rng.integers(2)]))


def drawn(k: int, *, wild: bool) -> np.ndarray:
    """Nine numbers; wild ones are of any size, whole, zero, or none at all."""
    rng = np.random.default_rng(k)
    numbers = rng.normal(size=9)
    if wild:
        numbers *= 10.0 ** rng.integers(-3, 4)
        numbers = np.round(numbers) if k % 11 == 0 else numbers
        numbers[rng.integers(9)] *= 0.0 if k % 7 == 0 else 1.0
        if k > 60 and k % 23 == 0:
            numbers[rng.integers(9)] = (np.nan, np.inf, -np.inf)[k % 3]
    return numbers


@pytest.fixture(autouse=True)
def whatever_it_takes(monkeypatch):
    monkeypatch.setattr(replay, "SLOW_S", math.inf)


def compared(expression, num_steps: int = 120, *, wild: bool = False) -> Replay:
    """Replay an expression over random numbers beside NumPy."""
    own, other = (Scene(mujoco.MjModel.from_xml_string(MODEL), 1, 1) for _ in range(2))

    def function(scene, task, given):
        return (expression(scene.userdata, task), given * 2.0)

    replayed, rng = Replay(function, ToyTask), np.random.default_rng(0)
    with np.errstate(all="ignore"):
        for k in range(num_steps):
            if k % 5 == 0:
                task = toy_task(rng)
            for scene in (own, other):
                scene.userdata[0, :9] = drawn(k, wild=wild)
            given = rng.normal(size=(1, 3)).astype(np.float32)
            found = replayed(own, task, given, given[0].tolist())
            wanted = [np.asarray(x).reshape(-1) for x in function(other, task, given)]
            for x, y in zip(found, wanted, strict=True):
                assert np.array_equal(np.array(x, y.dtype), y, equal_nan=True), k
            assert np.array_equal(own.userdata, other.userdata, equal_nan=True)
    return replayed


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_is_replayed(name):
    replayed = compared(EXPRESSIONS[name])
    assert replayed.why_not == ""
    assert sum(len(ways.programs) for ways in replayed._ways.values()) >= 1


def flagged(u, t):
    flags = np.zeros((1, 4), bool)
    part = flags[:, :2]
    part |= u[:, :2] > 1.0
    return flags


def halved(u, t):
    count = (u[0, :3] > 0.3).sum()
    count /= 2
    return count * np.ones(1)


def renamed(u, t):
    x = u[0, 0]
    y = x
    x += np.maximum(u[0, 1] - 1.0, 0.0)
    return y * np.ones(1)


def whole(u):
    return np.floor(np.clip(u[:, :3], -9.0, 9.0)).astype(int)


# What is easily done wrong, replayed or refused.
DELICATE = {
    "out where": lambda u, t: np.divide(
        u[:, :2], u[:, 2:4], out=np.zeros_like(u[:, :2]), where=u[:, 2:4] > 0.0
    ),
    "clip into": lambda u, t: np.clip(u[:, :2], -1.0, 1.0, out=u[:, :2]),
    "clip into a plain array": lambda u, t: np.clip(u[:, :2], -1.0, 1.0, out=np.zeros((1, 2))),
    "some numbers": lambda u, t: u[0, np.flatnonzero(u[0, :3] > -1.0)].sum(keepdims=True),
    "how many": lambda u, t: u[:, 0] * len(np.unique(u[0, :3] > 0.0)),
    "without some": lambda u, t: np.delete(u[0], np.flatnonzero(u[0, :3] > 1.0)).sum(keepdims=True),
    "flags": flagged,
    "a number changed": halved,
    "a number of two names": renamed,
    "kinds": lambda u, t: u * (2.0 if isinstance(u[0, 0], float) else 3.0),
    "arrays": lambda u, t: u * (2.0 if isinstance(u, np.ndarray) else 3.0),
    "a sum of ones": lambda u, t: u[:, :, None].sum(axis=1),
    "a turned sum": lambda u, t: u.reshape(3, 4).T.sum(axis=(0, 1), keepdims=True),
    "a sum of some axes": lambda u, t: u.reshape(1, 2, 2, 3).sum(axis=(1, 3)),
    "a sum from behind": lambda u, t: u[:, ::-1].sum(axis=1),
    "distant numbers": lambda u, t: np.einsum("...d,...d->...", u[:, ::4], u[:, ::4]),
    "a turned product": lambda u, t: u[:, :9].reshape(3, 3).T @ u[0, ::4],
    "powers of NumPy's": lambda u, t: u ** np.int64(2) + np.abs(u) ** np.float32(0.5),
    "single sine": lambda u, t: np.sin(u.astype(np.float32)),
    "single mean": lambda u, t: u.astype(np.float32)[0, :3].mean() * np.ones(1),
    "whole division": lambda u, t: whole(u) // whole(u[:, 3:]),
    "whole overflow": lambda u, t: whole(u) * 6364136223846793005 + 7,
    "bytes": lambda u, t: whole(u).astype(np.int8) * np.int8(100),
    "zeros": lambda u, t: np.arctan2(np.minimum(u, 0.0) * 0.0, -1.0),
    "mixed": lambda u, t: np.hstack([u[0, 0], u[0].astype(np.float32)]),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("wild", [False, True])
@pytest.mark.parametrize("name", DELICATE)
def test_nothing_is_silently_wrong(name, wild):
    compared(DELICATE[name], 250, wild=wild)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_wild_numbers_are_no_different(name):
    compared(EXPRESSIONS[name], 250, wild=True)


def aliased(u, t):
    total = np.zeros(1)
    seen = total[:]
    total += u[:, 0]
    return seen


REFUSED = {
    "a plain array": (lambda u, t: np.array([float(u[0, 0])]), "plain array"),
    "an alias": (aliased, "written into a plain array"),
    "a number": (lambda u, t: u[:, 0] * float(u[0, 1]), "plain array"),
    "too many ways": (lambda u, t: TABLE[0, :1] + int((u[0, 0] * 1e6).astype(int)), "more than"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_replayed_is_done_by_numpy(name):
    expression, why = REFUSED[name]
    assert why in compared(expression, 250).why_not


def test_check_says_why_a_world_alone_is_slow():
    class Slow(make_family("classic/point-navigation").__class__):
        def terms(self, worlds, task, action):
            return {"distance": np.array([float(x) for x in distance(worlds.qpos, task.goal_m)])}

    found = {row.name: row for row in check_family(Slow(), num_tasks=4)}
    row = found["1 and N worlds are bit-identical"]
    assert row.passed
    assert row.detail == "a world alone is slow: a number became part of a plain array"


def test_errors_of_a_family_are_its_own():
    def broken(u, t):
        raise ZeroDivisionError("of the family")

    scene = Scene(mujoco.MjModel.from_xml_string(MODEL), 1, 1)
    replayed = Replay(lambda scene, task, given: (broken(scene, task),), ToyTask)
    task, given = toy_task(np.random.default_rng(0)), np.zeros((1, 1))
    for _ in range(2 * replay.WARM):
        with pytest.raises(ZeroDivisionError, match="of the family"):
            replayed(scene, task, given, [0.0])


# Faults ----------------------------------------------------------------------------------


@pytest.fixture
def env() -> FamilyEnv:
    env = FamilyEnv("kitchen/season", seed=0)
    env.reset()
    for _ in range(replay.WARM + 2):
        env.step(np.zeros(6))
        env.step(np.zeros(6, np.float32))
    return env


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.full(6, np.nan), "not finite"),
        (np.array([np.inf, -np.inf, 0, 0, 0, 0], np.float32), "not finite"),
        (np.zeros(5), r"shape \(1, 6\)"),
        (np.zeros((2, 6)), r"shape \(1, 6\)"),
        (np.array(["a"] * 6), "numbers"),
        (0.0, r"shape \(1, 6\)"),
    ],
)
def test_a_bad_action_is_refused(env, action, message):
    before = env.worlds.state_dict()["state"][0]
    with pytest.raises(ShapeError, match=message):
        env.step(action)
    assert np.array_equal(before, env.worlds.state_dict()["state"][0])


def test_large_and_whole_actions_are_clipped(env):
    other = FamilyEnv("kitchen/season", seed=0)
    other.worlds.load_state_dict(env.worlds.state_dict())
    for action in (np.full(6, 1e308), [3] * 6, np.full(6, -3, np.int64)):
        a, b = env.step(action), other.step(np.clip(np.asarray(action, float), -1, 1))
        assert np.array_equal(a[0], b[0])
        assert a[1:] == b[1:]


def test_an_ended_episode_must_be_reset(env):
    while not env.step(np.zeros(6))[3]:
        pass
    with pytest.raises(ShapeError, match="have ended"):
        env.step(np.zeros(6))


def test_a_diverged_world_is_truncated(env):
    before = env.worlds.obs[0].copy()
    env.worlds.place(0)[0].qvel[:] = 1e30
    obs, reward, terminated, truncated, info = env.step(np.zeros(6))
    assert (info["diverged"], truncated, terminated) == (True, True, False)
    assert [reward, *info["terms"].values()] == [0.0] * 4
    assert np.array_equal(obs, before)
    assert env.worlds.latest.diverged.tolist() == [True]


# Wide arrays -----------------------------------------------------------------------------

ANGLES_RAD = np.linspace(0.0, 2.0 * np.pi, 360, endpoint=False)


class Ranges(make_family("classic/point-navigation").__class__):
    """Sees 360 distances, and the nearest of them."""

    def observe(self, worlds, task):
        away = [worlds.qpos[:, i : i + 1] - 0.3 * f(ANGLES_RAD) for i, f in enumerate(FUNCTIONS)]
        ranges = np.sqrt(away[0] ** 2 + away[1] ** 2)
        nearest = int(np.argmin(ranges, axis=1)[0]) if worlds.num_worlds == 1 else 0
        return {"robot": worlds.qpos, "ranges": ranges, "near": ranges[:, nearest : nearest + 1]}


FUNCTIONS = (np.cos, np.sin)


class Wide(Ranges):
    horizon = 40

    def observe(self, worlds, task):
        return {"robot": worlds.qpos, "many": np.tile(worlds.qpos, (1, 2500)) * 2.0}


class Long(Ranges):
    def observe(self, worlds, task):
        row = np.tile(worlds.qpos, (1, 180)) + np.arange(360.0)
        for k in range(12):
            row = np.sin(row + k)
        return {"robot": worlds.qpos, "many": row}


@pytest.mark.parametrize(
    ("cls", "why"), [(Ranges, "ways|wide"), (Wide, "has 5000 numbers"), (Long, "4000 operations")]
)
def test_wide_arrays_are_left_to_numpy(cls, why, monkeypatch):
    monkeypatch.setattr(replay, "SLOW_S", 50e-6)
    worlds, other = (Worlds(cls(), 1, num_threads=1) for _ in range(2))
    other._alone = None
    rng = np.random.default_rng(0)
    worlds.reset(), other.reset()
    taken_s = 0.0
    for _ in range(120):
        action = rng.uniform(-1.0, 1.0, (1, 2)).astype(np.float32)
        start_s = time.thread_time()
        a = worlds.step(action)
        taken_s += time.thread_time() - start_s
        assert np.array_equal(a.obs, other.step(action).obs)
        worlds.done[:], other.done[:] = False, False
    assert re.search(why, worlds.not_replayed)
    lines = [p.num_lines for w in worlds._alone._judge._ways.values() for p in w.programs]
    assert sum(lines) <= 5 * MOST_LINES
    assert taken_s < 10.0  # it was 20 s and more


def test_check_says_that_arrays_are_wide():
    found = {row.name: row for row in check_family(Wide(), num_tasks=4)}
    assert "its arrays are wide" in found["1 and N worlds are bit-identical"].detail
