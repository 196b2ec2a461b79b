"""A sound family passes every check, and each defect is caught by the check made for it."""

import dataclasses
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import toy
from sliders import XML, Slide, SlideTask, Two

from metarl.conformance import CheckResult, check_family, check_names, contract, iter_checks
from metarl.errors import UnknownNameError
from metarl.family import TaskFamily
from metarl.sim.scene import Scene
from metarl.sim.worlds import Worlds
from metarl.types import varies


def run(family, name) -> CheckResult:
    assert name in check_names()
    return next(r for r in iter_checks(family, num_tasks=32) if r.name == name)


@pytest.mark.parametrize("family", [Slide, Two])
def test_sound_family_passes(family):
    results = check_family(family(), num_tasks=32)
    assert [r for r in results if r.failed] == []
    assert [r.name for r in results] == check_names()


class OutOfRange(Slide):
    def sample(self, rng, n, split):
        return dataclasses.replace(super().sample(rng, n, split), mass_kg=np.full(n, 2.5))


class Undeclared(Slide):
    @dataclasses.dataclass(frozen=True)
    class task_type:
        goal_m: np.ndarray = varies("m", -1, 1, hidden=True)
        mass_kg: float = 0.0

    def sample(self, rng, n, split):
        return self.task_type(rng.uniform(), np.ones(n))


class UnevenModels(Two):
    def observe(self, worlds, task):
        width = 2 if worlds.model.ngeom == 1 else 1
        return {"robot": worlds.qpos[:, :width]}


class Unweighted(Slide):
    def terms(self, worlds, task, action):
        return {**super().terms(worlds, task, action), "more": np.zeros(worlds.num_worlds)}


class Untermed(Slide):
    weights = {**Slide.weights, "more": 1.0}


class FloatSuccess(Slide):
    def success(self, worlds, task):
        return super().success(worlds, task).astype(float)


class OneSplit(Slide):
    def sample(self, rng, n, split):
        return super().sample(rng, n, "train")


class WrongInSplit(Slide):
    def in_split(self, task, split):
        return super().in_split(task, "test" if split == "far" else split)


class NotFinite(Slide):
    def observe(self, worlds, task):
        blocks = super().observe(worlds, task)
        blocks["object"] = np.where(worlds.qpos[:, :1] > 0, np.nan, 0.0)
        return blocks


class Unscaled(Slide):
    def observe(self, worlds, task):
        return {"robot": worlds.qpos * 1000, "object": worlds.qvel}


class Peeks(Slide):
    def observe(self, worlds, task):
        return {"robot": worlds.qpos - task.goal_m, "object": worlds.qvel}


class Constant(Slide):
    def observe(self, worlds, task):
        return {**super().observe(worlds, task), "bias": np.ones((worlds.num_worlds, 1))}


class Remembers(Slide):
    resets = 0

    def reset(self, worlds, ids, task, rng):
        super().reset(worlds, ids, task, rng)
        Remembers.resets += 1
        worlds.qpos[ids] += 1e-3 * Remembers.resets


class Seedless(Slide):
    def sample(self, rng, n, split):
        low, high = HALF[split]
        return SlideTask(np.full((n, 2), (low + high) / 2), np.ones(n), np.zeros(n))

    def reset(self, worlds, ids, task, rng):
        worlds.qpos[ids] = 0.05


HALF = {"train": (-0.2, -0.1), "test": (0.1, 0.15), "far": (0.16, 0.2)}


class Mixes(Slide):
    def reset(self, worlds, ids, task, rng):
        super().reset(worlds, ids, task, rng)
        worlds.qpos[ids] -= worlds.qpos[ids].mean(axis=0)


class MixesTasks(Slide):
    def sample(self, rng, n, split):
        task = super().sample(rng, n, split)
        return dataclasses.replace(task, mass_kg=np.full(n, task.mass_kg.mean()))


class HidesState(Slide):
    drift = 0.0

    def act(self, worlds, task, action):
        super().act(worlds, task, action)
        self.drift += 0.01
        worlds.ctrl[:] += self.drift


class Idle(Slide):
    def act(self, worlds, task, action):
        super().act(worlds, task, action * [1.0, 0.0])


class Trivial(Slide):
    def success(self, worlds, task):
        return np.ones(worlds.num_worlds, bool)


class PoorExpert(Slide):
    def expert(self, worlds, task):
        return -super().expert(worlds, task)


DEFECTS = [
    (OutOfRange, "tasks are declared", "mass_kg leaves its declared range"),
    (Undeclared, "tasks are declared", "mass_kg without unit"),
    (UnevenModels, "models share one interface", "'walled'"),
    (Unweighted, "weights cover the terms", "more"),
    (Untermed, "weights cover the terms", "more"),
    (FloatSuccess, "success, failure and score are in shape", "success() gave float64"),
    (OneSplit, "splits are disjoint", "train"),
    (WrongInSplit, "splits are disjoint", "in_split"),
    (NotFinite, "observations are finite and bounded", "gave NaN in block 'object'"),
    (Unscaled, "observations are finite and bounded", "robot[0], robot[1]"),
    (Peeks, "observations hold no hidden field", "robot[0], robot[1]"),
    (Constant, "no observation is constant", "bias[0]"),
    (Remembers, "same seed, same trajectory", "differs"),
    (Seedless, "same seed, same trajectory", "another seed"),
    (Seedless, "two resets differ", "stream"),
    (Mixes, "1 and N worlds are bit-identical", "differs"),
    (MixesTasks, "each task has its own stream", "mass_kg"),
    (HidesState, "no task leaves a trace", "differs"),
    (HidesState, "a saved state continues bit-identically", "differs"),
    (Idle, "every action matters", "[1] of 2"),
    (Trivial, "random actions fail", "100%"),
    (Trivial, "standing still fails", "100%"),
    (PoorExpert, "the expert succeeds", "test 0%"),
]


@pytest.mark.parametrize(("family", "name", "detail"), DEFECTS)
def test_each_defect_is_caught(family, name, detail):
    result = run(family(), name)
    assert result.failed
    assert detail in result.detail


class Unaided(Slide):
    """Without an expert; only who pushes on for an episode gets there."""

    expert = TaskFamily.expert

    def success(self, worlds, task):
        return worlds.qpos[:, 0] > 0.6


class Impossible(Unaided):
    def success(self, worlds, task):
        return np.zeros(worlds.num_worlds, bool)


class Square(Slide):
    def sample(self, rng, n, split):
        task = super().sample(rng, n, split)
        return dataclasses.replace(task, mass_kg=rng.uniform(0.5, 2.0, size=n))


def test_what_is_not_there_is_skipped():
    result = run(Unaided(), "the expert succeeds")
    assert (result.outcome, result.detail) == ("skip", "the family has no expert")
    assert not result.failed
    assert not result.passed


def test_success_is_shown_by_whoever_has_it():
    assert run(Slide(), "success is within reach").detail.startswith("by the expert, ")
    assert run(Trivial(), "success is within reach").passed
    assert run(Unaided(), "success is within reach").passed


def test_what_nobody_solves_is_neither_passed_nor_failed():
    result = run(Impossible(), "success is within reach")
    assert result.outcome == "not shown"
    assert "no success in" in result.detail


def test_numpys_size_is_blamed_on_sample():
    result = run(Square(), "tasks are declared")
    assert result.failed
    assert "mass_kg of shape (256, 256)" in result.detail
    assert "leave NumPy's size=n out" in result.detail


def test_idle_actions_may_be_declared():
    family = type("Declared", (Idle,), {"idle_actions": (1,)})
    assert run(family(), "every action matters").passed
    family = type("Wrong", (Slide,), {"idle_actions": (1,)})
    assert not run(family(), "every action matters").passed


def test_a_narrowed_family_keeps_what_a_wider_one_observes():
    family = type("Narrow", (Constant,), {"narrowed": True})
    result = run(family(), "no observation is constant")
    assert result.passed
    assert "bias[0]" in result.detail


def test_slow_models_are_caught(monkeypatch):
    monkeypatch.setattr(contract, "_COMPILE_S", 0.0)
    assert not run(Slide(), "models compile within 1 s").passed


@pytest.mark.parametrize("method", ["models", "sample", "reset", "observe", "terms", "success"])
def test_raising_method_is_named_with_its_package(method):
    def broken(self, *args):
        raise RuntimeError("boom")

    family = type("Broken", (Slide,), {method: broken})
    failed = [r for r in check_family(family(), num_tasks=4) if r.failed]
    assert failed
    said = f"package {__name__.partition('.')[0]}: Broken.{method}() raised RuntimeError: boom"
    line = broken.__code__.co_firstlineno + 1
    assert any(f"{said} (test_conformance.py:{line})" in r.detail for r in failed)
    assert not any("Traceback" in r.detail or "\n" in r.detail for r in failed)


def test_raising_constructor_is_a_row(monkeypatch):
    monkeypatch.setattr(toy.Reach, "__init__", lambda self: 1 / 0)
    (row,) = check_family("toy/reach")
    assert row.failed
    assert "toy.Reach() raised ZeroDivisionError" in row.detail


def test_short_horizons_are_checked_too():
    family = type("Short", (Slide,), {"horizon": 2})
    failed = [r for r in check_family(family(), num_tasks=4) if r.failed]
    assert {r.name for r in failed} <= {"the expert succeeds", "every action matters"}


# The checks of what the library owns must be able to fail, too: break the library.


def test_shared_memory_would_be_seen(monkeypatch):
    step = Worlds.step

    def leaky(self, action):
        found = step(self, action)
        held = vars(self).setdefault("held", found.obs)
        held[:] = found.obs
        return dataclasses.replace(found, obs=held)

    monkeypatch.setattr(Worlds, "step", leaky)
    assert "changed an observation" in run(Slide(), "observations share no memory").detail


def test_accepted_bad_actions_would_be_seen(monkeypatch):
    monkeypatch.setattr(Worlds, "_checked", lambda self, action: np.nan_to_num(action))
    assert run(Slide(), "bad actions are refused").detail == "NaN actions were accepted"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_silent_divergence_would_be_seen(monkeypatch):
    step = Scene.step

    def silent(self, substeps):
        step(self, substeps)  # and says nothing

    monkeypatch.setattr(Scene, "step", silent)
    assert not run(Slide(), "a diverged world harms no other").passed


def test_wrong_threads_would_be_seen(monkeypatch):
    observe = Worlds._observe
    monkeypatch.setattr(Worlds, "_observe", lambda self: observe(self) + self.num_threads)
    assert "first obs differs" in run(Slide(), "1 and 2 threads are bit-identical").detail


def test_warnings_are_errors(monkeypatch):
    low = np.full(9, -np.inf, np.float32)
    space = gymnasium.spaces.Box(low, -low)
    monkeypatch.setattr("metarl.interop.spaces.Shown._space", lambda *_: space)
    assert "minimum value" in run(Slide(), "Gymnasium accepts it").detail
    space = gymnasium.spaces.Discrete(9)
    monkeypatch.setattr("metarl.interop.spaces.Shown._space", lambda *_: space)
    assert not run(Slide(), "Stable-Baselines3 accepts it").passed


def test_malformed_mjcf_is_a_row():
    class Malformed(Slide):
        def models(self):
            return {"ball": XML.replace("</worldbody>", "")}

    results = check_family(Malformed(), num_tasks=4)
    detail = next(r for r in results if "compile" in r.name).detail
    assert "MJCF:5: no well-formed XML: mismatched tag" in detail


def test_unknown_name_is_an_error():
    with pytest.raises(UnknownNameError, match="did you mean 'toy/reach'"):
        check_family("toy/reech")


def test_every_check_has_a_remedy_and_a_place_on_the_page():
    from metarl.conformance import remedies
    from metarl.conformance.runner import checks

    assert set(remedies.REMEDIES) == {*check_names(), remedies.BUILT}
    text = (Path(__file__).parents[2] / "docs" / "checks.md").read_text()
    assert text == remedies.page(checks()) + "\n"
    titles = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert titles == check_names()
