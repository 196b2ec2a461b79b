"""Which source to start from, how much of it to keep, and whether it will hurt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from metarl.advise.advice import Advice, Option
from metarl.advise.carried import PLAIN, Reading
from metarl.advise.evidence import Target, gather
from metarl.advise.model import load_model
from metarl.advise.named import find_sources, require_one
from metarl.advise.prediction import Predictor
from metarl.advise.rule import Rule
from metarl.advise.signals import Evidence
from metarl.family import TaskFamily
from metarl.registry import make_family
from metarl.transfer.strategy import get_strategy


def advise(
    sources: Sequence[Path | str],
    target: TaskFamily[Any] | str,
    *,
    episodes: int | None = None,
    seed: int = 0,
    reading: Reading = PLAIN,
    predictor: Predictor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Advice:
    """Rank ways of starting from sources on a target, without training.

    Args:
        sources: Checkpoints, run folders, policies of others, or names of checkpoints that the
            target's package ships.
        target: A family, or its name.
        episodes: How many of each policy are run; None: 32, fewer where they are long.
        seed: Of tasks, starts, noise and new weights.
        reading: What a source does not say itself: a mapping, names, statistics; of one source.
        predictor: Predicts gains from signals; None: the shipped model, or a plain rule where none
            is shipped.
        progress: Called with (sources done, sources in all).
    Returns:
        The advice, with the evidence that it rests on.
    Raises:
        ConfigError: If there is no source, one comes twice, or nothing of one fits the target.
        CheckpointError: If one cannot be read, or holds no policy.
    """
    made = make_family(target) if isinstance(target, str) else target
    paths = find_sources(sources, made.id)
    require_one(paths, reading.mapping, reading.names, reading.statistics)
    there = Target(made, episodes=episodes, seed=seed)
    found = []
    for name, path in paths.items():
        found.append(gather(path, there, name=name, reading=reading))
        if progress is not None:
            progress(len(found), len(paths))
    return rank(found, made.id, predictor or load_model() or Rule())


def rank(evidence: Sequence[Evidence], target: str, predictor: Predictor) -> Advice:
    """Predict every arm of every source, the best first.

    Args:
        evidence: Of each source.
        target: The target's name.
        predictor: What predicts.
    """
    options = [
        Option(
            source=one.source, strategy=arm.strategy, exploration=arm.exploration,
            new_head=get_strategy(arm.strategy).new_head,
            prediction=predictor.predict(arm, one.signals),
            noise=predictor.noise,
        )
        for one in evidence
        for arm in predictor.arms
    ]  # fmt: skip
    options.sort(key=lambda option: -option.prediction.gain)
    return Advice(target, tuple(options), tuple(evidence), predictor.about)
