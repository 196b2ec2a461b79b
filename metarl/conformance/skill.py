"""The task is neither trivial nor impossible, and every action matters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from metarl.conformance.search import SEARCHED, search
from metarl.conformance.subject import Act, NotShown, Skipped, Subject, episode, expect
from metarl.sim.worlds import Worlds
from metarl.types import Split, repeat, take

_BY_CHANCE = 0.1
_BY_EXPERT = 0.9
_JUDGED_SPLITS: tuple[Split, ...] = ("train", "test")


def every_action_matters(subject: Subject) -> str:
    """Each action, held at 1 or at -1, changes how the worlds move.

    A family that shares its robot's actions without needing all of them says so:
    ``idle_actions = (5,)``.
    """
    probe = subject.worlds(1)
    num_actions = probe.spec.action_dim
    worlds = subject.worlds(1 + 2 * num_actions)
    worlds.assign(repeat(take(probe.task, slice(0, 1)), worlds.num_worlds))
    worlds.streams = worlds.streams[np.zeros(worlds.num_worlds, int)]  # all begin alike
    worlds.reset()
    scene, _ = worlds.place(0)
    action = np.zeros((worlds.num_worlds, num_actions))
    signs = np.concatenate([np.eye(num_actions), -np.eye(num_actions)])
    action[1:] = signs
    changed = np.zeros(2 * num_actions, bool)
    for _ in range(min(subject.num_steps, 20)):
        step = worlds.step(action)
        for values in (step.obs, *scene.moving()):
            changed |= (values[1:] != values[0]).any(axis=1)
        if worlds.done.any():
            break
    idle = np.flatnonzero(~changed.reshape(2, -1).any(axis=0)).tolist()
    declared = sorted(getattr(subject.family, "idle_actions", ()))
    expect(
        idle == declared,
        f"actions {idle} of {num_actions} do nothing; idle_actions declares {declared}",
    )
    return f"{num_actions} actions" + (f", {idle} idle as declared" if idle else "")


def chance_fails(subject: Subject) -> str:
    """Random actions succeed in less than a tenth of the tasks."""
    return _by_chance(subject, "random actions")


def standing_still_fails(subject: Subject) -> str:
    """Actions of zero succeed in less than a tenth of the tasks."""
    return _by_chance(subject, "standing still")


def _by_chance(subject: Subject, who: str) -> str:
    success = _judge(subject, who, "train")
    expect(success < _BY_CHANCE, f"{who} succeeds in {success:.0%} of {subject.num_tasks} tasks")
    return f"{success:.0%} of {subject.num_tasks} tasks"


def expert_succeeds(subject: Subject) -> str:
    """The scripted expert solves nine tenths of the train and of the test tasks."""
    if not subject.family.has_expert():
        raise Skipped("the family has no expert")
    found = {split: _judge(subject, "the expert", split) for split in _JUDGED_SPLITS}
    detail = ", ".join(f"{split} {success:.0%}" for split, success in found.items())
    expect(min(found.values()) >= _BY_EXPERT, f"{detail} of {subject.num_tasks} tasks")
    return detail


def success_is_within_reach(subject: Subject) -> str:
    """Some actions succeed in some task: the expert's, random ones, or what a search finds.

    Where none does, nothing is proven either way.
    """
    for who in _ACTS:
        if who == "the expert" and not subject.family.has_expert():
            continue
        share = _judge(subject, who, "train")
        if share > 0.0:
            return f"by {who}, {share:.0%} of {subject.num_tasks} tasks"
    found, tried = search(subject)
    if not found:
        tasks = min(SEARCHED, subject.num_tasks)
        raise NotShown(f"no success in {tried} episodes of a search on {tasks} tasks")
    return f"by a search, after {tried} episodes"


def _judge(subject: Subject, who: str, split: Split) -> float:
    """The share of tasks in which somebody succeeds; looked at once."""
    if (who, split) not in subject.judged:
        worlds = subject.worlds(subject.num_tasks, seed=11, split=split)
        worlds.reset()
        success, _ = episode(worlds, _ACTS[who]())
        subject.judged[who, split] = float(success.mean())
    return subject.judged[who, split]


def _at_random() -> Act:
    rng = np.random.default_rng(0)
    return lambda w: rng.uniform(-1, 1, (w.num_worlds, w.spec.action_dim))


def _still() -> Act:
    return lambda w: np.zeros((w.num_worlds, w.spec.action_dim))


_ACTS: dict[str, Callable[[], Act]] = {
    "the expert": lambda: Worlds.expert,
    "random actions": _at_random,
    "standing still": _still,
}


CHECKS = {
    "every action matters": every_action_matters,
    "random actions fail": chance_fails,
    "standing still fails": standing_still_fails,
    "the expert succeeds": expert_succeeds,
    "success is within reach": success_is_within_reach,
}
