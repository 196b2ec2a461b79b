"""From a source and a target to signals: a few episodes, no training."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metarl.advise.carried import PLAIN, Carried, Reading, carry_source, draw_policy
from metarl.advise.distance import mmd
from metarl.advise.episodes import Episodes, Stage
from metarl.advise.features import leep_gain, mean_actions, score_gain
from metarl.advise.gradients import cosine, give_common, policy_gradient
from metarl.advise.plasticity import plasticity
from metarl.advise.signals import SCORED, SIGNALS, Evidence
from metarl.ambient import steady
from metarl.errors import MetaRLError, ScoreError
from metarl.family import TaskFamily
from metarl.nn.policy import LOG_STD, GaussianPolicy
from metarl.registry import make_family
from metarl.rl.config import PpoConfig

EPISODES, LEAST_EPISODES, STEPS = 32, 8, 6400  # of each policy; steps are where episodes are long
_LEARNER = PpoConfig()  # whose discounts are asked for
_TINY = 1e-12


def default_episodes(horizon: int) -> int:
    """How many episodes of each policy are run, where nothing else is said: 32, fewer of long ones."""
    return min(EPISODES, max(LEAST_EPISODES, STEPS // horizon))


@dataclass(frozen=True)
class Untrained:
    """A fresh policy on a target, which sources are held against.

    Args:
        policy: The policy.
        episodes: As it explores.
        greedy: By its mean actions.
    """

    policy: GaussianPolicy
    episodes: Episodes
    greedy: Episodes


class Target:
    """A family that something is to be learned on, and what of it is the same for every source.

    Args:
        family: The family.
        episodes: How many of each policy; None: `default_episodes`.
        seed: Of tasks, starts, noise and new weights.
    """

    def __init__(self, family: TaskFamily[Any], *, episodes: int | None = None, seed: int = 0):
        self.family, self.seed = family, seed
        self.episodes = episodes or default_episodes(family.horizon)
        self.stage = Stage(family, self.episodes, seed=seed, task_visible=True)
        self._untrained: dict[str, Untrained] = {}

    def untrained(self, network: Mapping[str, Any]) -> Untrained:
        """A fresh policy of some widths and activation, and what it does."""
        key = repr(sorted(network.items()))
        if key not in self._untrained:
            policy = draw_policy(self.stage.worlds.spec, network, self.seed)
            runs = self.stage.run(policy), self.stage.run(policy, greedy=True)
            self._untrained[key] = Untrained(policy, *runs)
        return self._untrained[key]

    @cached_property
    def expert(self) -> Episodes | None:
        """The expert's episodes, where there is one."""
        return self.stage.run_expert() if self.family.has_expert() else None


@steady(num_threads=1)
def gather(
    source: Path, target: Target, *, name: str | None = None, reading: Reading = PLAIN
) -> Evidence:
    """Ask what a source's policy is worth on a target, without training it.

    The source's policy, an untrained one of its widths, and the expert where there is one meet the
    same tasks, starts and noise, the task in view as PPO shows it.

    Args:
        source: Whatever `metarl.sources.read_source` takes as a path.
        target: Where to.
        name: How it is called; None: by its path.
        reading: What the source does not say itself.
    Returns:
        Every signal of `SIGNALS`, or why it could not be had.
    Raises:
        CheckpointError: If the source cannot be read, or holds no policy.
        ConfigError: If nothing of it fits.
        FamilyError: If the target breaks its contract.
    """
    begun, before = time.perf_counter(), target.stage.num_steps
    carried = carry_source(source, target.family, target.stage.worlds.spec, target.seed, reading)
    found = _Gathering(carried, target)
    found.run()
    return Evidence(
        source=str(source) if name is None else name,
        family=carried.family,
        target=target.family.id,
        signals={name: found.signals[name] for name in SIGNALS if name in found.signals},
        absent={name: found.absent[name] for name in SIGNALS if name in found.absent},
        carried=carried.said,
        steps=target.stage.num_steps - before + found.steps_there,
        seconds=time.perf_counter() - begun,
    )


class _Gathering:
    """The signals of one source on one target, as they come."""

    def __init__(self, carried: Carried, target: Target):
        self.carried, self.target = carried, target
        self.signals, self.absent = dict[str, float](), dict[str, str]()
        self.steps_there = 0
        stage = target.stage
        fresh = target.untrained(carried.network)
        self.fresh, self.untrained, self.fresh_greedy = fresh.policy, fresh.episodes, fresh.greedy
        self.own, self.expert = stage.run(carried.policy), target.expert

    def run(self) -> None:
        """Compute all that can be computed."""
        self._returns()
        self._against_expert()
        self._features()
        self._plasticity()
        self._from_its_family()
        self._note("shared_observations", lambda: self.carried.observed)
        self._note("shared_actions", lambda: self.carried.acted)
        log_std = self.carried.log_std
        if log_std is None:
            self.absent["exploration"] = "it has other actions"
        else:
            self.signals["exploration"] = log_std - LOG_STD

    def _note(self, name: str, compute: Callable[[], float | None]) -> None:
        try:
            value = compute()
        except ScoreError as error:
            self.absent[name] = str(error)
            return
        if value is None or not np.isfinite(value):
            self.absent[name] = "it is not defined here"
        else:
            self.signals[name] = float(value)

    def _returns(self) -> None:
        greedy = self.target.stage.run(self.carried.policy, greedy=True)
        self._note("zero_update", lambda: self._gain(self.own, self.untrained))
        self._note("greedy", lambda: self._gain(greedy, self.fresh_greedy))

    def _gain(self, own: Episodes, untrained: Episodes) -> float:
        """A difference of returns, as a share of what lies between nothing and the expert."""
        one, other = (e.trajectories.returns for e in (own, untrained))
        gain = float(one.mean() - other.mean())
        scale = float(np.concatenate([one - one.mean(), other - other.mean()]).std())
        if self.expert is not None:
            scale = max(scale, float(self.expert.trajectories.returns.mean() - other.mean()))
        return gain / max(abs(gain), scale, _TINY)

    def _against_expert(self) -> None:
        names = ("action_agreement", "expert_approach", "leep_actions")
        if self.expert is None:
            self.absent |= dict.fromkeys(names, "the family has no expert")
            return
        one, other = self.carried.policy, self.fresh
        states, actions = self._expert_said
        self._note(names[0], lambda: _nearer(one, other, states, actions))
        goal = self.expert.states()
        self._note(
            names[1], lambda: mmd(self.untrained.states(), goal) - mmd(self.own.states(), goal)
        )
        self._note(names[2], lambda: leep_gain(one, other, states, actions))

    @cached_property
    def _expert_said(self) -> tuple[np.ndarray, np.ndarray]:
        """States of all who acted, and the expert's actions there."""
        said = [(e.states(), e.expert_actions()) for e in self._met]
        return np.concatenate([s for s, _ in said]), np.concatenate(
            [a for _, a in said if a is not None]
        )

    def _features(self) -> None:
        for score, of in SCORED:
            if of == "actions" and self.expert is None:
                self.absent[f"{score}_{of}"] = "the family has no expert"
            else:
                self._note(f"{score}_{of}", partial(self._score_gain, score, of))

    def _score_gain(self, score: str, of: str) -> float:
        """Of the expert's actions over all states; of returns and values over those of each actor."""
        one, other = self.carried.policy, self.fresh
        if of == "actions":
            return score_gain(score, one, other, *self._expert_said)
        found, why = list[float](), ""
        for met in self._met:
            try:
                found.append(score_gain(score, one, other, met.states(), _target(met, of)))
            except ScoreError as error:  # reward that an actor never gets says nothing of it
                why = str(error)
        if not found:
            raise ScoreError(why)
        return float(np.mean(found))

    def _plasticity(self) -> None:
        """In the states that it comes to itself: there it must learn."""
        states = self.own.states()
        own, other = (plasticity(p, states) for p in (self.carried.policy, self.fresh))
        self._note("action_size", lambda: own["action_size"] - other["action_size"])
        self._note("actions_cut", lambda: own["actions_cut"] - other["actions_cut"])
        self._note("units_saturated", lambda: own["units_saturated"] - other["units_saturated"])
        directions = "feature_directions"
        self._note(directions, lambda: float(np.log(own[directions] / other[directions])))

    @property
    def _met(self) -> list[Episodes]:
        """Episodes of all who acted on the target."""
        return [e for e in (self.own, self.untrained, self.expert) if e is not None]

    def _from_its_family(self) -> None:
        """What is asked of the family that the source was trained on."""
        names = ("gradient_cosine", "gradient_cosine_untrained", "state_distance")
        with self._noting(names):
            carried, seed = self.carried, self.target.seed
            family = _family_of(carried)
            stage = Stage(  # other episodes, even of the same family: no cosine is 1 by itself
                family, self.target.episodes, seed=seed + 1, task_visible=carried.sees_task
            )
            if dict(stage.worlds.spec.blocks) != dict(carried.blocks):
                raise ScoreError(f"{carried.family} observes other blocks now")
            there = stage.run(carried.own)
            fresh = carry_fresh(carried, self.fresh)
            self._note(names[0], lambda: self._cosine(carried.policy, self.own, carried.own, there))
            self._note(
                names[1],
                lambda: self._cosine(self.fresh, self.untrained, fresh, stage.run(fresh)),
            )
            self._note(names[2], lambda: self._state_distance(there))
            self.steps_there = stage.num_steps

    def _state_distance(self, there: Episodes) -> float:
        common, asked = self.carried.common, self.expert or self.own
        if not len(common.here):
            raise ScoreError("they share no column of observations")
        seen = asked.states()[:, common.here] * common.factor.numpy()
        return mmd(seen, there.states()[:, common.there])

    @contextmanager
    def _noting(self, names: tuple[str, ...]) -> Iterator[None]:
        """Without the source's family there is less to say, and yet something."""
        try:
            yield
        except MetaRLError as error:
            self.absent |= {name: str(error) for name in names if name not in self.signals}

    def _cosine(
        self, here: GaussianPolicy, episodes: Episodes, there: GaussianPolicy, met: Episodes
    ) -> float | None:
        one, other = (
            policy_gradient(p, e.trajectories, gamma=_LEARNER.gamma, lam=_LEARNER.lam)
            for p, e in ((here, episodes), (there, met))
        )
        return cosine(one, other, self.carried.common)


def _family_of(carried: Carried) -> TaskFamily[Any]:
    try:
        return make_family(carried.family)
    except MetaRLError as error:
        first = str(error).partition(";")[0]  # and not every name that there is
        raise ScoreError(f"what it was trained on cannot be run here: {first}") from error


def carry_fresh(carried: Carried, untrained: GaussianPolicy) -> GaussianPolicy:
    """Make an untrained policy in the source's interface, equal to the target's where both share."""
    own = carried.own
    fresh = GaussianPolicy(
        own.obs_dim, len(own.log_std), own.context.numel(),
        torch.Generator().manual_seed(0), log_std=LOG_STD, **carried.network,
    )  # fmt: skip
    give_common(fresh, untrained, carried.common)
    return fresh


def _nearer(
    one: GaussianPolicy, other: GaussianPolicy, states: np.ndarray, actions: np.ndarray
) -> float:
    """How much nearer one policy's mean actions are than another's, in [-1, 1]."""
    mine, its = (((mean_actions(p, states) - actions) ** 2).mean() for p in (one, other))
    return float((its - mine) / max(its + mine, _TINY))


def _target(episodes: Episodes, of: str) -> np.ndarray:
    found = episodes.returns_to_go if of == "returns" else episodes.values
    return found(_LEARNER.gamma)[:, None]
