"""Lessons look back: what came of an action some steps later, and who acted as the expert would have."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toy import Reach

from metarl.rl.lesson import collect_lesson
from metarl.sim.worlds import Worlds

STEPS = Reach.horizon


def lesson(share: float, horizon: int, action: float = 0.5):
    worlds = Worlds(Reach(), 3, seed=1, num_threads=1)
    return collect_lesson(
        worlds,
        lambda obs: np.full((len(obs), 2), action),
        share=share,
        segment=5,
        generator=torch.Generator().manual_seed(0),
        horizon=horizon,
    )


@pytest.mark.parametrize("horizon", [1, 3])
def test_what_came_of_it_is_what_was_seen_some_steps_later(horizon):
    found = lesson(0.0, horizon)
    obs = found.obs.reshape(STEPS, 3, -1)
    later = found.hindsight.later.reshape(obs.shape)
    assert np.array_equal(later[:-horizon], obs[horizon:])
    for step in later[-horizon:]:  # where the episode ends, nothing comes later
        assert np.array_equal(step, later[-1])
    assert not np.array_equal(later[-1], obs[-1])
    assert np.array_equal(found.hindsight.acted, np.full((3 * STEPS, 2), 0.5, np.float32))


def test_who_acts_as_the_expert_is_known():
    assert lesson(1.0, 2).hindsight.as_wanted.all()
    worlds, count = Worlds(Reach(), 3, seed=1, num_threads=1), iter(range(STEPS))

    def errs_every_third_step(obs: np.ndarray) -> np.ndarray:
        wanted = np.clip(worlds.expert(), -1.0, 1.0)
        return wanted - np.sign(wanted) * (0.5 if next(count) % 3 == 0 else 0.1)

    generator = torch.Generator().manual_seed(0)
    found = collect_lesson(
        worlds, errs_every_third_step, share=0.0, segment=5, generator=generator, horizon=2
    )
    as_wanted = found.hindsight.as_wanted.reshape(STEPS, 3).all(axis=1)
    assert np.array_equal(as_wanted[:-1], np.arange(STEPS - 1) % 3 == 1)


def test_actions_are_kept_within_their_range():
    assert lesson(0.0, 1, action=7.0).hindsight.acted.max() == 1.0


def test_nobody_looks_back_unasked():
    assert lesson(1.0, 0).hindsight is None
