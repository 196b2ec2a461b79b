"""What a program depended on changes: it is noticed, and one world and many agree to the bit."""

import dataclasses
import functools
import sys
import types

import mujoco
import numpy as np
import pytest

from metarl.family import TaskFamily
from metarl.interop import FamilyEnv, FamilyVectorEnv
from metarl.sim.replay import program as replay
from metarl.sim.replay.tape import Untraceable
from metarl.sim.replay.watch import Contents, Watch, recorded
from metarl.sim.worlds import Worlds
from metarl.types import varies

XML = """
<mujoco>
  <option timestep="0.01"/>
  <size nuserdata="2"/>
  <worldbody>
    <body name="cart">
      <joint name="x" type="slide" axis="1 0 0" damping="0.5"/>
      <joint name="z" type="slide" axis="0 0 1"/>
      <geom name="box" size="0.1 0.1 0.1" type="box" mass="1"/>
    </body>
  </worldbody>
  <actuator><motor joint="x" gear="5" ctrlrange="-1 1"/></actuator>
</mujoco>
"""
SCALE = 2.0
TABLE = np.array([1.0, 2.0])
NAMES = {"a": 1.0}


def bonus(x):
    return x + SCALE


@functools.lru_cache
def factor(n):
    return n * 0.5


@dataclasses.dataclass(frozen=True)
class Goal:
    at_m: np.ndarray = varies("m", -1.0, 1.0, hidden=False, doc="where")


class Part:
    gain = 3.0

    def __init__(self):
        self.offset = np.array([0.5])
        self.rows = [1.0, 2.0]

    @property
    def shift(self):
        return self.hidden if hasattr(self, "hidden") else 0.25

    @staticmethod
    def twice(x):
        return 2.0 * x

    def __call__(self, x):
        return x * self.gain + self.offset + sum(self.rows) + self.shift


class Slotted:
    __slots__ = ("k",)

    def __init__(self):
        self.k = 1.5


class Cart(TaskFamily[Goal]):
    id = "toys/cart"
    task_type = Goal
    weights = {"near": -1.0, "cost": -0.1}
    control_dt_s = 0.02
    horizon = 400
    limit_m = 0.8
    push = 0.7

    def __init__(self):
        self.part, self.slotted = Part(), Slotted()
        self.nested = {"deep": [np.array([1.0, 1.0])], "set": {1, 2}}
        self.count = 3
        self.rate = functools.partial(lambda x, k: x * k, k=2.0)

    def models(self):
        return {"cart": XML}

    def sample(self, rng, n, split):
        return Goal(rng.uniform(-1.0, 1.0))

    def reset(self, worlds, ids, task, rng):
        worlds.qpos[ids] = rng.uniform(-0.1, 0.1, size=2)
        worlds.userdata[ids] = 0.0

    def act(self, worlds, task, action):
        worlds.ctrl[:] = action * self.push

    def advance(self, worlds, task):
        worlds.userdata[:, 0] += self.slotted.k

    def observe(self, worlds, task):
        seen = worlds.qpos * self.nested["deep"][0] + self.part(worlds.qvel) / 10.0
        mass = worlds.model.body_mass[1] * worlds.model.opt.gravity[2]
        own = worlds.model_field("geom_friction")[:, 0, 0] * 0.1
        held = np.where(len(self.nested["set"]) > 2, 1.0, 0.0) + worlds.model.joint("x").damping
        parts = [seen, (own + mass + held)[:, None], np.cos(worlds.userdata)]
        return {"robot": np.concatenate(parts, axis=1)}

    def terms(self, worlds, task, action):
        near = np.abs(worlds.qpos[:, 0] - task.at_m) * TABLE[1] * NAMES["a"] + bonus(task.at_m)
        cost = np.square(action).sum(axis=1) * factor(self.count) + self.part.twice(near)
        return {"near": near, "cost": self.rate(cost)}

    def success(self, worlds, task):
        return worlds.qpos[:, 0] > self.limit_m

    def failure(self, worlds, task):
        return worlds.qpos[:, 0] > 100.0 * self.limit_m


def friction(worlds, value):
    scene, _ = worlds.place(0)
    scene.model_field("geom_friction")[0, 0, 0] = value


def set_mass(worlds):
    worlds.models["cart"].body_mass[1] = 2.5


def set_gravity(worlds):
    worlds.models["cart"].opt.gravity[2] = -3.0


def set_damping(worlds):
    worlds.models["cart"].dof_damping[0] = 2.0


def set_goal(worlds):
    worlds.task.at_m[0] += 0.25


def rebind(owner, name, value):
    setattr(owner, name, value)


module = sys.modules[__name__]
CHANGES = {
    "weights of the object": lambda f, w: rebind(f, "weights", {"near": -10.0, "cost": -0.2}),
    "weights of the class": lambda f, w: rebind(type(f), "weights", {"near": -3.0, "cost": -0.1}),
    "a weight in place": lambda f, w: f.weights.update(near=-7.0),
    "order of the weights": lambda f, w: f.weights.update(near=f.weights.pop("near")),
    "an attribute of the class": lambda f, w: rebind(type(f), "limit_m", -5.0),
    "an attribute hidden by the object's": lambda f, w: rebind(f, "push", 0.2),
    "a nested attribute": lambda f, w: rebind(f.part, "gain", 1.5),
    "a nested class's": lambda f, w: rebind(Part, "gain", 1.25),
    "a nested array in place": lambda f, w: f.part.offset.__setitem__(0, 0.75),
    "an array in a list in place": lambda f, w: f.nested["deep"][0].__setitem__(0, 3.0),
    "a list in place": lambda f, w: f.part.rows.append(0.5),
    "an item of a list": lambda f, w: f.part.rows.__setitem__(0, 0.5),
    "a set in place": lambda f, w: f.nested["set"].add(9),
    "a slot": lambda f, w: rebind(f.slotted, "k", 0.5),
    "what a property reads": lambda f, w: rebind(f.part, "hidden", 0.5),
    "a property": lambda f, w: rebind(Part, "shift", property(lambda self: 0.125)),
    "a static method": lambda f, w: rebind(Part, "twice", staticmethod(lambda x: 3.0 * x)),
    "a called object": lambda f, w: rebind(Part, "__call__", lambda self, x: x),
    "a number of a cached function": lambda f, w: rebind(f, "count", 5),
    "a partial": lambda f, w: rebind(f, "rate", functools.partial(f.rate.func, k=4.0)),
    "a constant of the module": lambda f, w: rebind(module, "SCALE", 5.0),
    "an array of the module in place": lambda f, w: TABLE.__setitem__(1, 3.0),
    "a table of the module in place": lambda f, w: NAMES.__setitem__("a", 2.0),
    "a function of the module": lambda f, w: rebind(module, "bonus", lambda x: x * x),
    "code, as reloading changes it": lambda f, w: rebind(
        bonus, "__code__", (lambda x: x - SCALE).__code__
    ),
    "a method of the object": lambda f, w: rebind(
        f, "advance", types.MethodType(lambda self, worlds, task: None, f)
    ),
    "a method of the class": lambda f, w: rebind(
        type(f), "act", lambda self, w, task, action: w.ctrl.__setitem__(0, 0.25 + 0.0 * action[0])
    ),
    "failure": lambda f, w: rebind(type(f), "failure", lambda self, w, t: w.qpos[:, 0] > -9.0),
    "score": lambda f, w: rebind(type(f), "score", lambda self, w, t: np.full(w.num_worlds, 0.5)),
    "a field of the world's model": lambda f, w: friction(w, 0.3),
    "mass in the model": lambda f, w: set_mass(w),
    "gravity in the model": lambda f, w: set_gravity(w),
    "a named field of the model": lambda f, w: set_damping(w),
    "a task in place": lambda f, w: set_goal(w),
}


@pytest.fixture(autouse=True)
def put_back(monkeypatch):
    """Classes and this module, as they were."""
    monkeypatch.setattr(replay, "SLOW_S", 1.0)
    for owner in (Cart, Part):
        for name, value in list(vars(owner).items()):
            if not name.startswith("__") or name == "__call__":
                monkeypatch.setattr(owner, name, value)
    monkeypatch.setattr(Cart, "weights", dict(Cart.weights))
    for name in ("SCALE", "bonus"):
        monkeypatch.setattr(module, name, getattr(module, name))
    code, table = bonus.__code__, TABLE.copy()
    yield
    bonus.__code__ = code
    TABLE[:] = table
    NAMES["a"] = 1.0
    if "score" in vars(Cart):
        del Cart.score


def rows(step):
    parts = [step.obs, step.reward, step.terminated, step.truncated, step.success, step.score]
    return [*(x[:1].tolist() for x in parts), {k: x[0] for k, x in step.terms.items()}]


def start_alike(one, two):
    """Begin episodes of which the first two are the same."""
    one.reset(), two.reset()
    one.place(0)[0].batch.state[:] = two.place(0)[0].batch.state[:1]
    one.place(0)[0].forward()


def side_by_side(change, *, num_steps=60):
    """Steps of one world, and of the first of two, before a change and after it."""
    family = Cart()
    one, two = Worlds(family, 1, num_threads=1), Worlds(family, 2, num_threads=1)
    for worlds in (one, two):
        worlds.reset()
    two.assign(dataclasses.replace(two.task, at_m=np.repeat(one.task.at_m, 2)))
    start_alike(one, two)
    rng, found = np.random.default_rng(0), []
    for k in range(2 * num_steps):
        if k == num_steps:
            found.append(one.not_replayed)
            for worlds in (one, two):
                if change is not None and (worlds is one or change in OF_WORLDS):
                    change(family, worlds)
        action = rng.uniform(-1.0, 1.0, size=(1, 1)).astype(np.float32)
        a, b = one.step(action), two.step(np.repeat(action, 2, axis=0))
        assert rows(a) == rows(b), k
        found.append(rows(a))
        one.done[:], two.done[:] = False, False
    return one, found


OF_WORLDS = [CHANGES[name] for name in CHANGES if "model" in name or name == "a task in place"]


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_noticed_at_once(name):
    _, usual = side_by_side(None)
    one, changed = side_by_side(CHANGES[name])
    assert changed[60] == "", "nothing was replayed before"
    assert one.not_replayed == ""
    assert usual[:61] == changed[:61]
    # the order of weights shows in the names alone
    assert list(map(repr, usual[61:])) != list(map(repr, changed[61:]))


def test_what_does_not_matter_changes_nothing(monkeypatch):
    written = []
    usual = replay.Replay._traced
    monkeypatch.setattr(replay.Replay, "_traced", lambda *a: (written.append(1), usual(*a))[1])
    one = Worlds(Cart(), 1, num_threads=1)
    one.family.cameras = ()
    one.reset()
    for k in range(80):
        one.family.cameras = (f"of no concern {k}",)
        one.step(np.zeros((1, 1), np.float32))
    assert len(written) == 2


def test_ten_times_the_weights_are_ten_times_the_reward():
    env, vec = (
        FamilyEnv("classic/cheetah-velocity", seed=0),
        FamilyVectorEnv("classic/cheetah-velocity", 1, seed=0),
    )
    env.reset(), vec.reset()
    before = 0.0
    for k in range(70):
        if k == 60:
            for family in (env.family, vec.episodes.family):
                family.weights = {name: 10.0 * x for name, x in family.weights.items()}
        action = np.full(6, 0.5 + 0.001 * k, np.float32)
        one, many = env.step(action), vec.step(action[None])
        assert np.array_equal(one[0], many[0][0])
        assert one[1] == many[1][0]
        before = one[1] if k < 60 else before
    assert abs(one[1]) > 3.0 * abs(before)
    assert env.worlds.not_replayed == ""


# What is done with a family that does not keep still -----------------------------------------


class Counting(Cart):
    def advance(self, worlds, task):
        self.count = (self.count + 1) % 7
        super().advance(worlds, task)


class Keeping(Cart):
    last = np.zeros((1, 1), np.float32)

    def act(self, worlds, task, action):
        self.last = action
        super().act(worlds, task, action)

    def terms(self, worlds, task, action):
        return {"near": self.last[:, 0] * 2.0, "cost": 0.0 * action[:, 0]}


@pytest.mark.parametrize("cls", [Counting, Keeping])
def test_a_family_that_keeps_something_is_asked(cls):
    one, many = Worlds(cls(), 1, num_threads=1), Worlds(cls(), 1, num_threads=1)
    many._alone = None
    one.reset(), many.reset()
    rng = np.random.default_rng(0)
    for k in range(100):
        action = rng.uniform(-1.0, 1.0, size=(1, 1)).astype(np.float32)
        assert rows(one.step(action)) == rows(many.step(action)), k
    assert "changes when it is asked" in one.not_replayed


class Viewing(Cart):
    """Keeps a view of the state, which physics writes between its methods."""

    def reset(self, worlds, ids, task, rng):
        super().reset(worlds, ids, task, rng)
        self.seen = worlds.qpos[:, :1]

    def terms(self, worlds, task, action):
        return {"near": self.seen[:, 0] * 2.0, "cost": 0.0 * action[:, 0]}


def test_a_view_of_the_state_is_seen_to_move_within_a_step():
    one, many = Worlds(Viewing(), 1, num_threads=1), Worlds(Viewing(), 1, num_threads=1)
    many._alone = None
    one.reset(), many.reset()
    for k in range(80):  # at rest until programs do it
        action = np.full((1, 1), 0.0 if k < 60 else 1.0, np.float32)
        assert rows(one.step(action)) == rows(many.step(action)), k


class Counted:
    def __init__(self, holds):
        self.holds, self.times = holds, 0

    def __call__(self):
        self.times += 1
        return self.holds()


def test_what_both_functions_read_is_compared_once_a_step(monkeypatch):
    one, compared = Worlds(Cart(), 1, num_threads=1), []
    usual = Watch.holds_with

    def counted(watch, other):
        compared.append(Counted(usual(watch, other)))
        return compared[-1]

    monkeypatch.setattr(Watch, "holds_with", counted)
    one.reset()
    for _ in range(60):
        one.step(np.zeros((1, 1), np.float32))
    alone = one._alone
    ways = [ways for part in (alone._act, alone._judge) for ways in part._ways.values()]
    for way in ways:
        way.watch.holds = Counted(way.watch.holds)
    before = compared[-1].times
    for _ in range(5):
        one.step(np.zeros((1, 1), np.float32))
    assert compared[-1].times == before + 5
    assert [way.watch.holds.times for way in ways] == [0, 0]


@pytest.mark.parametrize("by", ["act", "judged"])
def test_what_only_one_of_both_reads_is_compared_as_well(by):
    one = Worlds(Cart(), 1, num_threads=1)
    one.reset()
    for _ in range(60):
        one.step(np.zeros((1, 1), np.float32))
    before = one.step(np.zeros((1, 1), np.float32))
    if by == "act":
        one.family.push = -5.0
    else:
        one.family.limit_m = -100.0
    after = one.step(np.ones((1, 1), np.float32))
    scene, _ = one.place(0)
    assert not before.success[0]
    assert after.success[0] == (by == "judged")
    assert (scene.ctrl[0, 0] < 0.0) == (by == "act")


def test_changes_in_every_episode_cost_less_and_less(monkeypatch):
    written = []
    usual = replay.Replay._traced
    monkeypatch.setattr(replay.Replay, "_traced", lambda *a: (written.append(1), usual(*a))[1])
    one = Worlds(Cart(), 1, num_threads=1)
    for k in range(60):
        one.family.weights = {"near": -1.0 - k, "cost": 0.0}
        one.reset()
        for _ in range(40):
            one.step(np.zeros((1, 1), np.float32))
    assert one.not_replayed == ""
    assert len(written) <= 12


# The watch itself ----------------------------------------------------------------------------


def watch_of(function, model=None):
    codes = {}
    with recorded(codes):
        function(None, None, None)
    return Watch(function, codes, model)


def test_arrays_are_compared_to_the_bit():
    a, b = np.array([0.0, np.nan]), np.arange(6.0).reshape(2, 3)[:, 1]
    contents = Contents([a, b, np.array(3)])
    assert contents.same()
    a[0] = -0.0
    assert not contents.same()
    a[0] = 0.0
    assert contents.same()
    b[1] = 7.0
    assert not contents.same()


def test_a_large_array_must_be_read_only():
    large = np.zeros(100_000)

    def reads(scene, task, given):
        return large[0]

    with pytest.raises(Untraceable, match="write=False"):
        watch_of(reads)
    large.setflags(write=False)
    assert watch_of(reads).holds()


def test_what_changed_is_named():
    part = Part()
    watch = watch_of(lambda scene, task, given: part(1.0))
    assert watch.holds()
    part.offset[0] = 9.0
    assert not watch.holds()
    assert watch.changed().endswith("offset")
    part.offset[0] = 0.5
    assert watch.holds()
    part.gain = 1.0
    assert "of" in watch.changed()


def test_a_tensor_cannot_be_watched():
    class Holder:
        def __array__(self):
            return np.zeros(3)

    holder = Holder()
    with pytest.raises(Untraceable, match="cannot be seen"):
        watch_of(lambda scene, task, given: holder)


def test_a_profiler_goes_on():
    seen = []
    one = Worlds(Cart(), 1, num_threads=1)
    one.reset()
    profiler = lambda frame, event, arg: seen.append(event)  # noqa: E731
    sys.setprofile(profiler)
    try:
        for _ in range(60):
            one.step(np.zeros((1, 1), np.float32))
        assert sys.getprofile() is profiler
    finally:
        sys.setprofile(None)
    assert one.not_replayed == ""
    assert seen


def test_a_model_of_mujoco_is_watched_by_the_names_in_the_code():
    model = mujoco.MjModel.from_xml_string(XML)
    watch = watch_of(lambda scene, task, given: model.opt.timestep + model.body("cart").mass[0])
    model.geom_rgba[:] = 0.5  # nobody reads it
    assert watch.holds()
    model.opt.timestep = 0.02
    assert not watch.holds()
    assert watch.changed().endswith("opt.timestep")
    model.opt.timestep = 0.01
    model.body_mass[1] = 3.0
    assert not watch.holds()
