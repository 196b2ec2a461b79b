"""A family that gives something else than it promised is told so: package, method, worlds."""

import logging

import mujoco
import numpy as np
import pytest
from sliders import XML, Slide

from metarl.errors import FamilyError, SimulationError
from metarl.sim import heard
from metarl.sim.worlds import Worlds

FLAGS, ROW = "expected bool of shape", "expected numbers of shape"
WIDE, GRADES = "expected numbers of shape", r"expected numbers in \[0, 1\] of shape"


def made(method, answer, once_good=0):
    """A slider one of whose methods gives `answer(worlds)`, after some calls that are good."""

    def broken(self, worlds, *args):
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls <= once_good:
            return getattr(Slide, method)(self, worlds, *args)
        return answer(worlds)

    return type("Broken", (Slide,), {method: broken, "__module__": __name__})()


def blocks(**given):
    def answer(worlds):
        n = worlds.num_worlds
        return {
            "robot": np.zeros((n, 4)),
            "object": np.zeros((n, 1)),
            **{k: f(n) for k, f in given.items()},
        }

    return answer


CASES = {
    "success NaN": ("success", lambda w: np.full(w.num_worlds, np.nan), FLAGS),
    "success text": ("success", lambda w: np.full(w.num_worlds, "yes"), FLAGS),
    "success a word": ("success", lambda w: "yes", "gave str; expected bool"),
    "success None": ("success", lambda w: None, "gave None; expected bool"),
    "success one for all": ("success", lambda w: True, "gave bool; expected bool of shape"),
    "success a column": ("success", lambda w: np.ones((w.num_worlds, 1), bool), FLAGS),
    "success too few": ("success", lambda w: np.ones(1 + w.num_worlds, bool), FLAGS),
    "success objects": ("success", lambda w: np.full(w.num_worlds, None), FLAGS),
    "failure NaN": ("failure", lambda w: np.full(w.num_worlds, np.nan), FLAGS),
    "failure None": ("failure", lambda w: None, "gave None; expected bool"),
    "score NaN": ("score", lambda w: np.full(w.num_worlds, np.nan), "gave nan in worlds"),
    "score 2": ("score", lambda w: np.full(w.num_worlds, 2.0), "gave 2.0 in worlds"),
    "score text": ("score", lambda w: np.full(w.num_worlds, "a"), GRADES),
    "score None": ("score", lambda w: None, "gave None; expected numbers in"),
    "terms None": ("terms", lambda w: None, "gave None; expected a mapping"),
    "terms an array": ("terms", lambda w: np.zeros(w.num_worlds), "gave float64 of shape"),
    "term None": ("terms", lambda w: {"near": None}, "gave None as 'near'; " + ROW),
    "term text": ("terms", lambda w: {"near": np.full(w.num_worlds, "1")}, "as 'near'; " + ROW),
    "term a column": ("terms", lambda w: {"near": np.ones((w.num_worlds, 1))}, ROW),
    "term a number": ("terms", lambda w: {"near": 1.0}, "gave float as 'near'; " + ROW),
    "term NaN": ("terms", lambda w: {"near": np.full(w.num_worlds, np.nan)}, "nan as 'near' in w"),
    "term infinite": (
        "terms",
        lambda w: {"near": np.full(w.num_worlds, -np.inf)},
        "-inf as 'near'",
    ),
    "observe None": ("observe", lambda w: None, "gave NoneType; expected a mapping"),
    "observe an array": ("observe", lambda w: np.zeros((w.num_worlds, 4)), "gave ndarray; expec"),
    "block None": ("observe", blocks(robot=lambda n: None), "NoneType"),
    "block text": ("observe", blocks(robot=lambda n: np.full((n, 4), "a")), "<U1"),
    "block objects": ("observe", blocks(robot=lambda n: np.full((n, 4), None)), "object"),
    "block flat": ("observe", blocks(robot=np.zeros), "robot"),
    "block of others": ("observe", blocks(robot=lambda n: np.zeros((n + 1, 4))), "robot"),
    "block one row": ("observe", blocks(robot=lambda n: np.zeros((1, 4, 1))), "robot"),
    "block NaN": ("observe", blocks(object=lambda n: np.full((n, 1), np.nan)), "in block 'object'"),
}


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("once_good", [0, 20])
@pytest.mark.parametrize(("method", "answer", "said"), CASES.values(), ids=CASES)
def test_broken_answers_are_named(method, answer, said, once_good, n):
    family = made(method, answer, once_good)
    family.horizon = 100
    said = rf"^toy/slide: {method}\(\) of {__name__}.Broken .*{said}"
    with pytest.raises(FamilyError, match=said):
        play(family, n, once_good + 2)


def play(family, n, steps):
    worlds = Worlds(family, n, num_threads=1)
    worlds.reset()
    for _ in range(steps):
        worlds.step(np.zeros((n, 2)))


def test_only_the_worlds_that_are_meant_are_named():
    class Third(Slide):
        def terms(self, worlds, task, action):
            terms = super().terms(worlds, task, action)
            terms["effort"][2] = np.nan
            return terms

    worlds = Worlds(Third(), 4, num_threads=1)
    worlds.reset()
    with pytest.raises(FamilyError, match=r"gave nan as 'effort' in worlds \[2\]; expected finite"):
        worlds.step(np.zeros((4, 2)))


def test_a_sum_that_is_too_large_is_told():
    class Rich(Slide):
        weights = {"near": 1.0, "effort": 1.0}

        def terms(self, worlds, task, action):
            return dict.fromkeys(self.weights, np.full(worlds.num_worlds, 3e38))

    worlds = Worlds(Rich(), 2, num_threads=1)
    worlds.reset()
    with (
        np.errstate(over="ignore"),
        pytest.raises(FamilyError, match=r"sum to inf in worlds \[0, 1"),
    ):
        worlds.step(np.zeros((2, 2)))


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize(
    ("method", "name"),
    [("act", "ctrl"), ("advance", "userdata"), ("reset", "qpos"), ("configure", "body_mass")],
)
def test_what_a_family_writes_is_finite(method, name, n):
    def writes(self, worlds, *args):
        getattr(Slide, method)(self, worlds, *args)
        array = worlds.model_field(name) if method == "configure" else getattr(worlds, name)
        array[-1] = np.nan

    family = type("Writes", (Slide,), {method: writes, "__module__": __name__})()
    said = rf"{method}\(\) of {__name__}.Writes wrote {name} that is not finite"
    with pytest.raises(FamilyError, match=said):
        play(family, n, 2)


def test_controls_that_mujoco_takes_for_nothing_are_told():
    def writes(self, worlds, task, action):
        worlds.ctrl[:] = 1e11

    text = XML.format(damping=2, more="").replace(' ctrlrange="-5 5"', "")
    family = with_model(text, act=writes)
    said = r"act\(\) of .*Own wrote ctrl that is not finite, or beyond 1e\+10, in worlds \[0, 1\]"
    with pytest.raises(FamilyError, match=said):
        play(family, 2, 1)


# Models and actuators -------------------------------------------------------------------

MOTOR = '<motor joint="x" ctrlrange="-5 5"/>'


def with_model(mjcf, **methods):
    return type("Own", (Slide,), {"models": lambda self: {"ball": mjcf}, **methods})()


@pytest.mark.parametrize("name", ['name="push" ', ""])
def test_a_motor_without_range_is_named(name):
    text = XML.format(damping=2, more="").replace(MOTOR, f'<motor {name}joint="x"/>')
    said = f"actuators without a control range: {'push' if name else 'number 0'}; actions"
    with pytest.raises(SimulationError, match=said):
        Worlds(with_model(text), 1)

    def writes(self, worlds, task, action):
        worlds.ctrl[:] = 5 * action

    worlds = Worlds(with_model(text, act=writes), 2, num_threads=1)
    worlds.reset()
    worlds.step(np.ones((2, 2)))
    assert (worlds.place(0)[0].qvel > 0).all()

    def scales(self, worlds, task, action):
        worlds.ctrl[:] = action * worlds.ctrl_half

    worlds = Worlds(with_model(text, act=scales), 2, num_threads=1)
    worlds.reset()
    with pytest.raises(SimulationError, match=said):
        worlds.step(np.ones((2, 2)))


def test_a_model_without_actuators_needs_actions_of_its_own():
    text = XML.format(damping=2, more="")
    text = text[: text.index("<actuator>")] + "</mujoco>"
    with pytest.raises(
        FamilyError, match=r"action_dim\(\) of .* gave 0 for a model with 0 actuato"
    ):
        Worlds(with_model(text), 1)

    def moves(self, worlds, task, action):
        worlds.qvel[:] += action

    own = with_model(text, act=moves, action_dim=lambda self, n: 2)
    worlds = Worlds(own, 1)
    worlds.reset()
    worlds.step(np.ones((1, 2)))


def test_joints_may_have_no_limits_no_names_and_be_balls():
    more = '<body pos="0 0 1"><joint type="ball"/><geom size=".1"/></body>'

    def reset(self, worlds, ids, task, rng):
        worlds.qpos[ids, :2] = 0.1

    def observe(self, worlds, task):
        return {"robot": worlds.qpos[:, :4], "object": worlds.qpos[:, 5:]}

    def terms(self, worlds, task, action):
        return {"near": worlds.qpos[:, 0]}

    def success(self, worlds, task):
        return worlds.qpos[:, 0] > 0.1

    own = dict(reset=reset, observe=observe, terms=terms, success=success)
    own["advance"] = lambda self, worlds, task: None
    worlds = Worlds(with_model(XML.format(damping=2, more=more), **own), 2, num_threads=1)
    worlds.reset()
    for _ in range(5):
        step = worlds.step(np.ones((2, 2)))
    assert step.success.all()


@pytest.mark.parametrize("models", [None, {}, [], "ball"])
def test_models_are_a_mapping(models):
    family = type("Own", (Slide,), {"models": lambda self: models})()
    with pytest.raises(FamilyError, match=r"models\(\) of .* expected name -> model, one at least"):
        Worlds(family, 1)


# Divergence -----------------------------------------------------------------------------


class Explodes(Slide):
    """Each step's push is more than physics bears."""

    def models(self):
        return {
            "ball": XML.format(damping=2, more="")
            .replace("-5 5", "-9e9 9e9")
            .replace("<geom size", '<geom mass=".01" size')
            .replace(' mass="1"/>', "/>")
        }


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("n", [1, 3, 40])
def test_divergence_is_told_once_and_counted(n, num_threads, caplog, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    worlds = Worlds(Explodes(), n, num_threads=num_threads)
    worlds.reset()
    seen = 0
    with caplog.at_level(logging.WARNING):
        for _ in range(20):
            seen += int(worlds.step(np.ones((n, 2))).diverged.sum())
            worlds.reset(worlds.done)
    assert seen == worlds.num_diverged == 20 * n
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert said[0].startswith("toy/slide: world 0 diverged: its physics left the finite numbers")
    assert list(tmp_path.iterdir()) == []
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_other_warnings_of_mujoco_are_told_once(caplog, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    heard.listen()
    monkeypatch.setattr(heard, "_told", set())
    for row in (1, 2, 3):
        heard._heard.append(f"Arena memory is full at row {row}.")
    with caplog.at_level(logging.WARNING):
        heard.tell()
    assert [r.getMessage() for r in caplog.records] == ["MuJoCo: Arena memory is full at row 1."]


def test_somebodys_own_handler_stays():
    before, own = mujoco.get_mju_user_warning(), []
    try:
        mujoco.set_mju_user_warning(own.append)
        worlds = Worlds(Explodes(), 1)
        worlds.reset()
        worlds.step(np.ones((1, 2)))
        assert own
    finally:
        mujoco.set_mju_user_warning(before)
