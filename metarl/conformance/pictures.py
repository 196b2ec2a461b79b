"""Pictures as observations, where a family lets a camera be observed."""

from __future__ import annotations

import warnings

import numpy as np

from metarl.conformance.subject import Skipped, Subject, expect
from metarl.errors import RenderError
from metarl.film.camera import Camera
from metarl.interop.gym_env import FamilyEnv
from metarl.interop.spaces import PIXELS

_SIZE = 36  # pixels a side: the least that Stable-Baselines3 takes without a warning
_STEPS = 6


def are_observed(subject: Subject) -> str:
    """Every camera is there; pictures move, a seed tells them, and the checkers accept them."""
    family = subject.family
    if not family.cameras:
        raise Skipped("no camera may be observed")
    env = subject.env("pixels", picture_size=_SIZE)
    for name in family.cameras:
        Camera(env.worlds, _SIZE, name)
    try:
        _compare(env)
        _accepted(env)
    except RenderError as error:
        raise Skipped(str(error)) from error
    finally:
        env.close()
    return ", ".join(family.cameras)


def _compare(env: FamilyEnv) -> None:
    seen, again, other = (_pictures(env, seed) for seed in (0, 0, 1))
    expect(np.array_equal(seen, again), "the same seed gives other pictures")
    expect(np.ptp(seen, axis=0).any(), f"nothing moves in pictures over {_STEPS} control steps")
    expect(not np.array_equal(seen[0], other[0]), "another seed gives the same picture")


def _pictures(env: FamilyEnv, seed: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    seen = [env.reset(seed=seed)[0][PIXELS]]
    for _ in range(_STEPS):
        held = rng.choice([-1.0, 1.0], env.action_space.shape or ())
        seen.append(env.step(held)[0][PIXELS])
    return np.stack(seen)


def _accepted(env: FamilyEnv) -> None:
    """The checkers of Gymnasium and Stable-Baselines3 pass, warnings being errors."""
    from gymnasium.utils.env_checker import check_env
    from stable_baselines3.common.env_checker import check_env as check_env_sb3

    env.action_space.seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env, skip_render_check=True)
        check_env_sb3(env, warn=True, skip_render_check=True)


CHECKS = {"pictures are observed": are_observed}
