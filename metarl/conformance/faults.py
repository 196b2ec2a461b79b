"""Bad actions and diverging physics harm nobody else."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from metarl.conformance.subject import Subject, Unmet, expect, expect_equal, record
from metarl.errors import ShapeError
from metarl.sim.worlds import Worlds


def bad_actions(subject: Subject) -> str:
    """Actions of wrong shape or type, or not finite, are refused and move no world."""
    worlds, twin = subject.worlds(), subject.worlds()
    worlds.reset()
    twin.reset()
    good = subject.actions(worlds, 2)
    for what, action in _bad(good[0]).items():
        try:
            worlds.step(action)
        except ShapeError as error:
            named = what != "NaN" or "[1]" in str(error)
            expect(named, f"the message does not name world 1: {error}")
        else:
            raise Unmet(f"{what} actions were accepted")
    for action in good:
        expect_equal(
            record([worlds.step(action)]), record([twin.step(action)]), "after bad actions"
        )
        if worlds.done.any():
            break
    return ", ".join(_bad(good[0]))


def _bad(action: np.ndarray) -> dict[str, np.ndarray]:
    nan, infinite = action.copy(), action.copy()
    nan[1, 0], infinite[0, -1] = np.nan, np.inf
    return {
        "NaN": nan,
        "infinite": infinite,
        "too wide": np.concatenate([action, action], axis=1),
        "too few": action[:-1],
        "flat": action.ravel(),
        "text": action.astype(str),
        "object": action.astype(object),
    }


def divergence(subject: Subject) -> str:
    """A world that diverges is truncated and reported; the others are bit-unchanged."""
    worlds, twin = subject.worlds(), subject.worlds()
    worlds.reset()
    twin.reset()
    actions = subject.actions(worlds, min(6, subject.num_steps))
    others = np.array([0, 2, 3])
    with _silence(worlds):
        scene, local = worlds.place(1)
        scene.spoil(local)
        for t, action in enumerate(actions):
            step, calm = worlds.step(action), twin.step(action)
            expect_equal(record([step]), record([calm]), "beside a diverged world", others)
            if t == 0:
                expect(step.diverged.tolist() == [False, True, False, False], "not reported")
                expect(step.truncated[1] and not step.terminated[1], "not truncated")
                expect(np.isfinite(step.obs).all(), "its observation is not finite")
                expect(step.reward[1] == 0 and not step.success[1], "it was rewarded")
            if worlds.done.any():
                expect(np.isfinite(worlds.reset(worlds.done)).all(), "its reset is not finite")
            if twin.done.any():
                twin.reset(twin.done)
    return ""


@contextmanager
def _silence(worlds: Worlds) -> Iterator[None]:
    """Let worlds say nothing of a divergence that is meant."""
    log = logging.getLogger(type(worlds).__module__)
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


CHECKS = {
    "bad actions are refused": bad_actions,
    "a diverged world harms no other": divergence,
}
