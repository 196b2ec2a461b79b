"""Is the family what it says it is: its tasks, models, terms and splits."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np

from metarl.conformance.subject import Skipped, Subject, expect
from metarl.family import TaskFamily
from metarl.plugins import written
from metarl.sim.blocks import make_spec
from metarl.sim.kinds import kind_of
from metarl.sim.models import compile_model
from metarl.sim.scene import VELOCITY_STAGE, Scene
from metarl.sim.worlds import Worlds
from metarl.streams import Streams
from metarl.types import num_tasks, take, variations

_COMPILE_S = 1.0
_MANY = 256


def tasks_are_declared(subject: Subject) -> str:
    """Every field of the task dataclass has a unit, a range, and n rows."""
    family = subject.family
    task_type = family.task_type
    expect(dataclasses.is_dataclass(task_type), f"task_type {task_type} is no dataclass")
    expect(getattr(task_type, "__dataclass_params__").frozen, f"{task_type.__name__} is not frozen")  # noqa: B009
    for split in subject.family.splits:
        task = family.sample(Streams.from_seed(0, _MANY), _MANY, split)
        expect(isinstance(task, task_type), f"sample() gave {type(task).__name__}")
        for field in dataclasses.fields(task):
            values = np.asarray(getattr(task, field.name))
            expect(
                values.shape != (_MANY, _MANY),
                f"sample({split!r}) gave {field.name} of shape {values.shape} for {_MANY} tasks: each"
                " row draws by itself, so leave NumPy's size=n out",
            )
            expect(
                values.ndim in (1, 2) and len(values) == _MANY and np.isfinite(values).all(),
                f"sample({split!r}) gave {field.name} of shape {values.shape} for {_MANY} tasks,"
                " or numbers that are not finite",
            )
        for name, v in variations(task_type).items():
            values = np.asarray(getattr(task, name), float)
            low, high = np.asarray(v.low, float), np.asarray(v.high, float)
            expect(
                (values >= low - 1e-9).all() and (values <= high + 1e-9).all(),
                f"{name} leaves its declared range [{v.low}, {v.high}] in split {split}:"
                f" [{values.min():g}, {values.max():g}]",
            )
    return ", ".join(f"{n} [{v.unit}]" for n, v in variations(task_type).items())


def models_compile_quickly(subject: Subject) -> str:
    """Building and compiling all models takes less than a second of one core."""
    _require_models(subject)
    start_s = time.process_time()
    models = subject.family.models()
    for name, source in models.items():
        compile_model(source, name)
    took_s = time.process_time() - start_s
    expect(took_s < _COMPILE_S, f"{took_s:.2f} s for {', '.join(models)}")
    return f"{took_s:.2f} s"


def models_share_one_interface(subject: Subject) -> str:
    """Every model has the same observation blocks and number of actions."""
    _require_models(subject)
    family, worlds = subject.family, subject.worlds(1)
    widths = {}
    for index, (name, model) in enumerate(worlds.models.items()):
        scene = Scene(model, 1, 1)
        task = _task_of_model(subject, index)
        if task is None:
            continue
        family.configure(scene, np.arange(1), task)
        family.reset(scene, np.arange(1), task, Streams.from_seed(0, 1))
        scene.batch.forward(stage=VELOCITY_STAGE)
        spec = make_spec(family, scene, task)
        widths[name] = (dict(spec.blocks), spec.action_dim)
    first = next(iter(widths.values()))
    for name, one in widths.items():
        expect(one == first, f"model {name!r} has {one}, the first one {first}")
    blocks, actions = first
    return f"{blocks}, {actions} actions, {len(widths)} model{'s' if len(widths) > 1 else ''}"


def _require_models(subject: Subject) -> None:
    if not kind_of(subject.family).has_models:
        raise Skipped("its worlds are environments of others, not MuJoCo models")


def _task_of_model(subject: Subject, index: int) -> Any:
    for split in subject.family.splits:
        task = subject.family.sample(Streams.from_seed(0, _MANY), _MANY, split)
        model = np.asarray(getattr(task, "model", np.zeros(_MANY)))
        if (model == index).any():
            return take(task, np.flatnonzero(model == index)[:1])
    return None


def weights_cover_the_terms(subject: Subject) -> str:
    """`terms` gives exactly the terms that have weights, each (N,)."""
    worlds = subject.worlds(8)
    worlds.reset()
    weights = set(subject.family.weights)
    expect(weights, "weights is empty")
    given: set[str] = set()
    for scene, task, n in _scenes(worlds):
        action = np.zeros((n, worlds.spec.action_dim))
        for name, values in subject.family.terms(scene, task, action).items():
            given.add(name)
            expect(np.shape(values) == (n,), f"term {name!r} has shape {np.shape(values)}")
    expect(not given - weights, f"terms without weight: {', '.join(sorted(given - weights))}")
    expect(not weights - given, f"weights without term: {', '.join(sorted(weights - given))}")
    return ", ".join(sorted(weights))


def verdicts_are_in_shape(subject: Subject) -> str:
    """`success` and `failure` are (N,) bool, `score` is (N,) in [0, 1]."""
    family, worlds = subject.family, subject.worlds(8)
    worlds.reset()
    for scene, task, n in _scenes(worlds):
        for name in ("success", "failure"):
            verdict = np.asarray(getattr(family, name)(scene, task))
            expect(
                verdict.shape == (n,) and verdict.dtype == bool,
                f"{name}() gave {verdict.dtype} {verdict.shape}, expected bool ({n},)",
            )
        score = np.asarray(family.score(scene, task))
        expect(score.shape == (n,), f"score() gave shape {score.shape}, expected ({n},)")
        expect(((score >= 0) & (score <= 1)).all(), f"score() left [0, 1]: {score}")
    return ""


def captions_are_lines(subject: Subject) -> str:
    """`caption` says one line for each world."""
    family, worlds = subject.family, subject.worlds(8)
    if type(family).caption is TaskFamily.caption:
        raise Skipped("the family has no caption")
    worlds.reset()
    for scene, task, n in _scenes(worlds):
        told = family.caption(scene, task)
        lines = isinstance(told, list | tuple) and all(isinstance(line, str) for line in told)
        expect(lines, f"caption() gave {written(told)}, expected a list of {n} texts")
        expect(len(told) == n, f"caption() gave {len(told)} texts for {n} worlds")
        expect(
            not any("\n" in line for line in told), f"caption() gave more than a line: {told[0]!r}"
        )
    return worlds.caption(0)


def _scenes(worlds: Worlds) -> list[tuple[Scene, Any, int]]:
    places = [worlds.place(i)[0] for i in range(worlds.num_worlds)]
    scenes = list(dict.fromkeys(places))
    rows = [np.flatnonzero([p is s for p in places]) for s in scenes]
    return [(s, take(worlds.task, r), len(r)) for s, r in zip(scenes, rows)]


def splits_are_disjoint(subject: Subject) -> str:
    """No task of a split lies in another, by value and by `in_split`."""
    family = subject.family
    tasks = {s: family.sample(Streams.from_seed(1, _MANY), _MANY, s) for s in family.splits}
    same = {("train", "test"), ("test", "train")} if family.same_test else set()
    rows = {split: _rows(task) for split, task in tasks.items()}
    judged = False
    for a in family.splits:
        for b in family.splits:
            verdict = family.in_split(tasks[a], b)
            judged = judged or verdict is not None
            if verdict is not None:
                found = np.asarray(verdict)
                expect(
                    found.shape == (_MANY,) and found.dtype == bool,
                    f"in_split() gave {found.dtype} {found.shape}, expected bool ({_MANY},)",
                )
            if (a, b) in same:
                continue
            if a != b:
                expect(not rows[a] & rows[b], f"a task of {a} is also one of {b}")
            if verdict is not None:
                wrong = int((np.asarray(verdict) != (a == b)).sum())
                lies = "do not lie in it" if a == b else f"lie in {b}"
                expect(not wrong, f"{wrong} of {_MANY} tasks of {a} {lies}, says in_split()")
    return "by value and by in_split()" if judged else "by value; the family has no in_split()"


def _rows(task: Any) -> set[bytes]:
    fields = [np.asarray(getattr(task, f.name), float) for f in dataclasses.fields(task)]
    table = np.concatenate([x.reshape(num_tasks(task), -1) for x in fields], axis=1)
    return {row.tobytes() for row in table}


CHECKS = {
    "tasks are declared": tasks_are_declared,
    "models compile within 1 s": models_compile_quickly,
    "models share one interface": models_share_one_interface,
    "weights cover the terms": weights_cover_the_terms,
    "success, failure and score are in shape": verdicts_are_in_shape,
    "captions are lines": captions_are_lines,
    "splits are disjoint": splits_are_disjoint,
}
