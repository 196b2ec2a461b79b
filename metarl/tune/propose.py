"""Which settings are tried next: Optuna is asked, and told what came of the others.

Optuna is given no storage. A fresh study in memory is told the finished trials, which the search's folder
keeps as JSON, so that nothing of Optuna's is read from a file; and what it proposes depends on a seed and
on these trials alone, whether or not the search was stopped in between.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from metarl.errors import MissingDependencyError
from metarl.streams import derive_seed
from metarl.tune.search import STARTUP
from metarl.tune.space import Choices, Searched, Space, every, holds, same, size_of

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

_DRAWS = 20  # before a search that is small is gone through in order
# Settings of an earlier trial, and its value; None: it is under way.
Told = tuple[Mapping[str, Any], float | None]


def require_optuna() -> None:
    """Check that Optuna is installed.

    Raises:
        MissingDependencyError: If it is not.
    """
    found = importlib.util.find_spec("optuna")
    if found is None or found.origin is None:  # a folder of that name is none
        raise MissingDependencyError("Optuna is not installed: pip install 'metarl-sim[tune]'")


def propose(space: Space, told: Sequence[Told], *, seed: int, number: int) -> dict[str, Any]:
    """Propose settings that no earlier trial has.

    Args:
        space: What is searched; not every one of its settings was tried.
        told: The earlier trials, in order.
        seed: Of the search.
        number: Of the trial.
    Returns:
        JSON values by field.
    """
    found = dict[str, Any]()
    for draw in range(_DRAWS):
        found = _ask(space, told, derive_seed(seed, f"trial {number} draw {draw}"))
        if not any(same(found, settings) for settings, _ in told):
            return found
    if size_of(space) == float("inf"):
        return found
    left = (s for s in every(space) if not any(same(s, settings) for settings, _ in told))
    return next(left)


def _ask(space: Space, told: Sequence[Told], seed: int) -> dict[str, Any]:
    import optuna

    distributions = {name: _distribution(one) for name, one in space.items()}
    with _quiet():
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for settings, value in told:
            if holds(space, settings):  # the method's own may lie elsewhere
                states = optuna.trial.TrialState
                trial = optuna.trial.create_trial(
                    state=states.RUNNING if value is None else states.COMPLETE,
                    params={n: _param(one, settings[n]) for n, one in space.items()},
                    distributions=distributions,
                    value=value,
                )
                study.add_trial(trial)
        params = study.ask(distributions).params
    return {name: _setting(one, params[name]) for name, one in space.items()}


def _distribution(one: Searched) -> BaseDistribution:
    from optuna import distributions

    if isinstance(one, Choices):  # by place: Optuna takes no lists
        return distributions.CategoricalDistribution(range(len(one.each)))
    if one.whole:
        return distributions.IntDistribution(int(one.low), int(one.high), log=one.log)
    return distributions.FloatDistribution(one.low, one.high, log=one.log)


def _param(one: Searched, setting: Any) -> Any:
    if isinstance(one, Choices):
        return [json.dumps(value) for value in one.each].index(json.dumps(setting))
    return int(setting) if one.whole else float(setting)


def _setting(one: Searched, param: Any) -> Any:
    return one.each[param] if isinstance(one, Choices) else one.short(param)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Let Optuna say what is wrong, not what it does."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
