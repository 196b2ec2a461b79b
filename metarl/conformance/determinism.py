"""Bit-identical: over seeds, threads, numbers of worlds, and saved states."""

from __future__ import annotations

import dataclasses

import numpy as np

from metarl.conformance.subject import Subject, expect, expect_equal, play
from metarl.sim.worlds import Worlds
from metarl.streams import Streams

_N = 6  # worlds


def _run(subject: Subject, worlds: Worlds, columns: slice = slice(None)) -> dict[str, np.ndarray]:
    first = worlds.reset()
    # one table of actions, however many of its columns there are worlds for
    shape = (subject.num_steps, _N, worlds.spec.action_dim)
    table = np.random.default_rng(3).uniform(-1.0, 1.0, shape)
    seen = play(worlds, table[:, columns], change=subject.num_steps // 2)
    return {"first obs": first[None], **seen}


def same_seed(subject: Subject) -> str:
    """The same seed and actions give the same trajectory; another seed gives another."""
    a, b = (_run(subject, subject.worlds(_N, seed=7)) for _ in range(2))
    expect_equal(a, b, "same seed")
    other = _run(subject, subject.worlds(_N, seed=8))
    expect(not np.array_equal(a["obs"], other["obs"]), "another seed gives the same trajectory")
    return ""


def same_threads(subject: Subject) -> str:
    """One and two physics threads give the same trajectory."""
    one = _run(subject, subject.worlds(_N, num_threads=1))
    two = _run(subject, subject.worlds(_N, num_threads=2))
    expect_equal(one, two, "1 and 2 threads")
    return ""


def same_in_company(subject: Subject) -> str:
    """A world's trajectory does not depend on how many others there are."""
    many = _run(subject, subject.worlds(_N))
    for i in (0, _N - 2):  # `play` gives new tasks to the even ones
        worlds = subject.worlds(1, first_stream=i)
        alone = _run(subject, worlds, slice(i, i + 1))
        row = {name: values[:, i : i + 1] for name, values in many.items()}
        expect_equal(row, alone, f"world {i} of {_N} against the same world alone")
    why = worlds.not_replayed
    return f"a world alone is slow: {why}" if why else ""


def tasks_own_their_stream(subject: Subject) -> str:
    """Row i of `sample` is drawn from stream i alone."""
    family = subject.family
    for split in family.splits:
        many = family.sample(Streams.from_seed(5, 9), 9, split)
        one = family.sample(Streams.from_seed(5, 1, start=4), 1, split)
        for field in dataclasses.fields(many):
            a, b = getattr(many, field.name)[4], getattr(one, field.name)[0]
            expect(np.array_equal(a, b), f"{field.name} of split {split} depends on other rows")
    return ""


def resets_differ(subject: Subject) -> str:
    """Two episodes of the same task start differently, unless the family declares that they do not.

    A published standard may: ``same_start = True``.
    """
    worlds = subject.worlds(_N)
    a, b = worlds.reset(), worlds.reset()
    states = worlds.state_dict()["state"]
    worlds.reset()
    moved = any((x != y).any() for x, y in zip(states, worlds.state_dict()["state"]))
    moved = moved or bool((a != b).any())
    if subject.family.same_start:
        expect(not moved, "same_start is declared, and two episodes of a task begin differently")
        return "every episode of a task begins alike, as declared"
    expect(moved, "reset() draws nothing from its stream")
    return ""


def no_trace(subject: Subject) -> str:
    """A world that had another task before behaves as one that had not."""
    fresh, used = subject.worlds(_N, seed=3), subject.worlds(_N, seed=4)
    task = fresh.task
    used.reset()
    play(used, subject.actions(used, 3))
    used.assign(task)
    fresh.assign(task)  # the same again must change nothing either
    used.streams = Streams(fresh.streams.keys.copy(), fresh.streams.counters.copy())
    expect_equal(_run(subject, fresh), _run(subject, used), "after another task")
    return ""


def saved_states_continue(subject: Subject) -> str:
    """Saved, and restored into other worlds: they continue as if never stopped."""
    worlds = subject.worlds(_N)
    worlds.reset()
    actions = subject.actions(worlds, 2 * subject.num_steps)
    half = (len(actions) + 2) // 4
    play(worlds, actions[:half])
    saved = worlds.state_dict()
    other = subject.worlds(_N, seed=9)
    other.load_state_dict(saved)
    rest = actions[half:]
    whole = play(worlds, rest)
    expect_equal(whole, play(other, rest), "restored against never stopped")
    worlds.load_state_dict(saved)
    expect_equal(whole, play(worlds, rest), "restored a second time")
    return ""


CHECKS = {
    "same seed, same trajectory": same_seed,
    "1 and 2 threads are bit-identical": same_threads,
    "1 and N worlds are bit-identical": same_in_company,
    "each task has its own stream": tasks_own_their_stream,
    "two resets differ": resets_differ,
    "no task leaves a trace": no_trace,
    "a saved state continues bit-identically": saved_states_continue,
}
