"""Gymnasium and Stable-Baselines3 accept the family without a warning."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from metarl.conformance.subject import Subject
from metarl.interop.gym_env import FamilyEnv
from metarl.interop.spaces import Observation


def gymnasium_accepts(subject: Subject) -> str:
    """`gymnasium.utils.env_checker.check_env` passes, warnings being errors."""
    from gymnasium.utils.env_checker import check_env

    _checked(subject, lambda env: check_env(env, skip_render_check=True))
    return ""


def sb3_accepts(subject: Subject) -> str:
    """`stable_baselines3.common.env_checker.check_env` passes, warnings being errors."""
    from stable_baselines3.common.env_checker import check_env

    _checked(subject, lambda env: check_env(env, warn=True, skip_render_check=True))
    return ""


def _checked(subject: Subject, check: Callable[[FamilyEnv], None]) -> None:
    kinds: tuple[Observation, ...] = ("flat", "dict")
    for observation in kinds:
        env = subject.env(observation, seed=0)
        env.action_space.seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check(env)


CHECKS = {
    "Gymnasium accepts it": gymnasium_accepts,
    "Stable-Baselines3 accepts it": sb3_accepts,
}
