"""What a policy sees: finite, bounded, alive, and nothing that it must infer."""

from __future__ import annotations

import dataclasses

import numpy as np

from metarl.conformance.subject import Skipped, Subject, expect, expect_equal, play, record
from metarl.sim.blocks import OBS_BOUND
from metarl.sim.worlds import Worlds
from metarl.streams import Streams
from metarl.types import Spec, variations

_CLIPPED = 0.01  # share of a column's values that may lie at the bound


def are_finite_and_bounded(subject: Subject) -> str:
    """Observations, rewards and scores are finite; no column is clipped for long."""
    worlds = subject.worlds(8, task_visible=True)
    first = worlds.reset()
    seen = play(worlds, subject.actions(worlds))
    for name, values in seen.items():
        expect(np.isfinite(values).all(), f"{name} is not finite under random play")
    obs = np.concatenate([first[None], seen["obs"]])
    clipped = (np.abs(obs) >= OBS_BOUND).mean(axis=(0, 1))
    bad = np.flatnonzero(clipped > _CLIPPED)
    expect(
        not len(bad),
        f"scale these down, they are clipped at {OBS_BOUND:g}: {_columns(worlds.spec, bad)}",
    )
    return f"largest {np.abs(obs).max():.2g}"


def hold_no_hidden_field(subject: Subject) -> str:
    """Tasks that differ in hidden fields alone look the same when an episode starts."""
    declared = variations(subject.family.task_type)
    hidden = [name for name, v in declared.items() if v.hidden]
    if not hidden:
        raise Skipped("no field is hidden")
    worlds = subject.worlds(8)
    task, other = worlds.task, worlds.sample("train")
    keys, counters = worlds.streams.keys.copy(), worlds.streams.counters.copy()
    seen = []
    swapped = dataclasses.replace(task, **{name: getattr(other, name) for name in hidden})
    for one in (task, swapped):
        worlds.assign(one)
        worlds.streams = Streams(keys.copy(), counters.copy())
        seen.append(worlds.reset())
    bad = np.flatnonzero(np.abs(seen[0] - seen[1]).max(axis=0) > 1e-6)
    expect(not len(bad), f"{', '.join(hidden)} shows in {_columns(worlds.spec, bad)}")
    return ", ".join(hidden)


def no_column_is_constant(subject: Subject) -> str:
    """Every column outside the task block varies over random play, or the expert's.

    What held-out tasks alone see varies in these; the answer names it, since no policy that was
    trained on the others has learned to read it.
    """
    worlds = subject.worlds(16)
    first = worlds.reset()
    actions = subject.actions(worlds)
    seen = play(worlds, actions, change=len(actions) // 2)["obs"]
    obs = np.concatenate([first[None], seen]).reshape(-1, worlds.spec.obs_dim)
    own = worlds.spec.obs_dim - worlds.spec.task_dim
    constant = np.ptp(obs[:, :own], axis=0) == 0.0
    if constant.any() and subject.family.has_expert():
        constant &= _constant_to_the_expert(worlds, constant)
    if not constant.any():
        return ""
    there = subject.worlds(16, split="test")
    first = there.reset()[:, :own]
    in_test = constant & (np.ptp(first, axis=0) == 0.0)
    if in_test.any() and subject.family.has_expert():
        in_test &= _constant_to_the_expert(there, in_test)
    if not in_test.any():
        return f"seen in test alone: {_columns(worlds.spec, np.flatnonzero(constant))}"
    found = f"constant: {_columns(worlds.spec, np.flatnonzero(in_test))}"
    expect(subject.family.narrowed, found)
    return f"a wider family's, {found}"


def _constant_to_the_expert(worlds: Worlds, suspects: np.ndarray) -> np.ndarray:
    """Which of some columns, (D,) bool, stay what they are while the expert acts an episode."""
    start, constant = worlds.reset()[:, : len(suspects)], suspects.copy()
    for _ in range(worlds.family.horizon):  # what comes late in an episode, only it shows
        constant &= (_expert_obs(worlds)[:, : len(suspects)] == start[:1]).all(axis=0)
        if not constant.any():
            break
    return constant


def _expert_obs(worlds: Worlds) -> np.ndarray:
    obs = worlds.step(worlds.expert()).obs
    if worlds.done.any():
        worlds.reset(worlds.done)
    return obs


def share_no_memory(subject: Subject) -> str:
    """What a step returned stays as it was, and writing into it changes nothing."""
    worlds, twin = subject.worlds(), subject.worlds()
    kept = [worlds.reset()]
    copies = [kept[0].copy()]
    twin.reset()[:] = np.nan
    for action in subject.actions(worlds, 6):
        step, other = worlds.step(action), twin.step(action)
        expect_equal(record([step]), record([other]), "writing into a returned array")
        kept.append(step.obs)
        copies.append(step.obs.copy())
        for values in (other.obs, other.reward, other.score, *other.terms.values()):
            values[:] = np.nan
        if worlds.done.any():
            worlds.reset(worlds.done)
            twin.reset(twin.done)
    same = all(np.array_equal(a, b) for a, b in zip(kept, copies))
    expect(same, "a later step changed an observation that was returned before")
    return ""


def _columns(spec: Spec, columns: np.ndarray) -> str:
    names = [f"{block}[{i}]" for block, width in spec.blocks.items() for i in range(width)]
    return ", ".join(names[i] for i in columns)


CHECKS = {
    "observations are finite and bounded": are_finite_and_bounded,
    "observations hold no hidden field": hold_no_hidden_field,
    "no observation is constant": no_column_is_constant,
    "observations share no memory": share_no_memory,
}
