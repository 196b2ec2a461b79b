"""The task is neither trivial nor impossible, and every action matters."""

from __future__ import annotations

import numpy as np

from metarl.conformance.subject import Act, Subject, episode, expect
from metarl.sim.worlds import Worlds
from metarl.types import Split, repeat, take

_BY_CHANCE = 0.1
_BY_EXPERT = 0.9


def every_action_matters(subject: Subject) -> str:
    """Each action, held at 1 or at -1, changes how the worlds move.

    A family that shares its robot's actions without needing all of them says so:
    ``idle_actions = (5,)``.
    """
    probe = subject.worlds(1)
    num_actions = probe.spec.action_dim
    worlds = subject.worlds(1 + 2 * num_actions)
    worlds.assign(repeat(take(probe.task, slice(0, 1)), worlds.num_worlds))
    worlds.reset()
    scene, _ = worlds.place(0)
    scene.batch.state[:] = scene.batch.state[0]
    action = np.zeros((worlds.num_worlds, num_actions))
    signs = np.concatenate([np.eye(num_actions), -np.eye(num_actions)])
    action[1:] = signs
    changed = np.zeros(2 * num_actions, bool)
    for _ in range(min(subject.num_steps, 20)):
        step = worlds.step(action)
        for values in (step.obs, scene.qpos, scene.qvel, scene.userdata):
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
    rng = np.random.default_rng(0)
    return _by_chance(
        subject, lambda w: rng.uniform(-1, 1, (w.num_worlds, w.spec.action_dim)), "random actions"
    )


def standing_still_fails(subject: Subject) -> str:
    """Actions of zero succeed in less than a tenth of the tasks."""
    return _by_chance(
        subject, lambda w: np.zeros((w.num_worlds, w.spec.action_dim)), "standing still"
    )


def _by_chance(subject: Subject, act: Act, what: str) -> str:
    success, _ = _judge(subject, act, "train")
    expect(success < _BY_CHANCE, f"{what} succeeds in {success:.0%} of {subject.num_tasks} tasks")
    return f"{success:.0%} of {subject.num_tasks} tasks"


def expert_succeeds(subject: Subject) -> str:
    """The scripted expert solves nine tenths of the train and of the test tasks."""
    if not subject.family.has_expert():
        return "the family has no expert"
    found = {split: _judge(subject, Worlds.expert, split)[0] for split in ("train", "test")}
    detail = ", ".join(f"{split} {success:.0%}" for split, success in found.items())
    expect(min(found.values()) >= _BY_EXPERT, f"{detail} of {subject.num_tasks} tasks")
    return detail


def _judge(subject: Subject, act: Act, split: Split) -> tuple[float, float]:
    worlds = subject.worlds(subject.num_tasks, seed=11, split=split)
    worlds.reset()
    success, returns = episode(worlds, act)
    return float(success.mean()), float(returns.mean())


CHECKS = {
    "every action matters": every_action_matters,
    "random actions fail": chance_fails,
    "standing still fails": standing_still_fails,
    "the expert succeeds": expert_succeeds,
}
