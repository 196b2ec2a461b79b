"""A few-shot method in a run folder: learned on tasks of some classes, judged on tasks of others."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metarl.adapt.statistics import mean, stratified_bootstrap
from metarl.ambient import steady
from metarl.machine import require_device
from metarl.nn.network import Network
from metarl.perception.backbones import Origin, trained_backbone
from metarl.perception.features import cached_features, pictures_hash, trunk_hash
from metarl.perception.fewshot.config import FewShotConfig
from metarl.perception.fewshot.learners import (
    Learner,
    meta_learner,
    plain_learner,
    unit_features,
)
from metarl.perception.fewshot.outer import OuterLoop
from metarl.perception.fewshot.pool import Pool, load_pool
from metarl.perception.fewshot.tasks import Tasks, accuracy
from metarl.runs.run import Run
from metarl.runs.signals import Signals, Stopped, on_signals
from metarl.streams import derive_seed

Tell = Callable[[str], None]
CLASSES_FILE, EPISODES_FILE = "classes.json", "episodes.json"  # of a run folder
SAVE_EVERY_S = 30.0


@dataclass(frozen=True)
class Judged:
    """What a method has come to.

    Attributes:
        result: What result.json says.
        accuracies: The share of right answers of each task that judges, shape (episodes,).
    """

    result: Mapping[str, Any]
    accuracies: np.ndarray


@steady()
def few_shot(
    config: FewShotConfig,
    folder: Path | str,
    *,
    resume: bool = False,
    command: str = "",
    tell: Tell = lambda line: None,
    pool: Pool | None = None,
    features: Path | None = None,
) -> Judged:
    """Learn on tasks of some classes where the method learns, and be judged on tasks of others.

    Args:
        config: Everything about it.
        folder: The run folder: config, metrics, checkpoints, result, classes, each task's accuracy.
        resume: Go on with the run in it.
        command: The command line that started it.
        tell: Given lines for the user.
        pool: The pictures, where they are loaded already, as the config says.
        features: Where features of a trunk that stands are kept; None: in the run folder.
    Raises:
        Stopped: After a signal, with everything learned saved.
        MetaRLError: If pictures, weights or settings are not as they must be, or a loss is not finite.
    """
    folder = Path(folder)
    require_device(config.device)
    if pool is None:
        pool = load_pool(config)
        for line in pool.told:
            tell(line)
    generator = torch.Generator().manual_seed(
        derive_seed(config.seed, f"few-shot/head/{config.noise}")
    )
    weights = None if config.weights is None else Path(config.weights)
    network, origin = trained_backbone(config.backbone, config.ways, generator, weights=weights)
    if config.method == "maml":
        network.quiet_head()  # no class of a task is another than the others, before it is seen
    network.to(config.device).eval()
    with on_signals() as signals, Run.create(folder, config, resume=resume, command=command) as run:
        run.record(CLASSES_FILE, _about(pool, origin))
        work = _Work(config, pool, network, features or folder / "features")
        _learn(work, run, signals)
        judged = work.judge(signals)
        run.record(EPISODES_FILE, {"accuracies": judged.accuracies.tolist()})
        run.finish({**judged.result, "trunk": origin.said()})
    return judged


class _Work:
    """A method under way, and the tasks that it learns from and is judged by."""

    def __init__(self, config: FewShotConfig, pool: Pool, network: Network, cache: Path):
        self.config, self.pool, self.network = config, pool, network
        self._before = trunk_hash(network.trunk)
        self.inputs = self._features(cache) if config.trunk_stands else pool.pixels
        self.outer: OuterLoop | None = None
        self.learner: Learner
        if not config.learns:
            self.learner = plain_learner(config)
            return
        of = "".join((self._before, pictures_hash(pool.pixels), repr(pool.seen)))
        self.learner = learner = meta_learner(network, config)
        tasks = self._tasks(pool.seen, f"few-shot/train/{config.noise}")
        self.outer = OuterLoop(
            learner, network, tasks, config, hashlib.sha256(of.encode()).hexdigest()
        )

    def _features(self, cache: Path) -> Tensor:
        features = cached_features(self.network.trunk, self.pool.pixels, cache)
        units = unit_features(features, self.pool.rows_seen())
        # Gradient steps are made for numbers around 1, not for vectors of length 1.
        return units * units.shape[1] ** 0.5 if self.config.learns else units

    def _tasks(self, classes: tuple[int, ...], purpose: str) -> Tasks:
        config = self.config
        return Tasks(
            self.inputs, self.pool.label, classes, ways=config.ways, shots=config.shots,
            queries=config.queries, seed=derive_seed(config.seed, purpose),
        )  # fmt: skip

    def judge(self, signals: Signals) -> Judged:
        """Answer the tasks of unseen classes.

        Raises:
            Stopped: After a signal.
        """
        config, accuracies = self.config, list[float]()
        tasks = self._tasks(self.pool.unseen, "few-shot/test")
        begun = time.monotonic()
        for number in range(config.episodes):
            if signals.stop is not None:
                raise Stopped(signals.stop)
            task = tasks.task(number).to(config.device)
            accuracies.append(accuracy(self.learner.answer(task).detach(), task.query_label))
        seconds = time.monotonic() - begun
        rng = np.random.default_rng(derive_seed(config.seed, "few-shot/interval"))
        around = stratified_bootstrap(np.array([accuracies]), mean, rng=rng)
        return Judged(
            {
                "method": config.method,
                "ways": config.ways,
                "shots": config.shots,
                "accuracy": float(np.mean(accuracies)),
                "accuracy low": around.low,
                "accuracy high": around.high,
                "chance": 1.0 / config.ways,
                "episodes": config.episodes,
                "iterations": 0 if self.outer is None else self.outer.iterations,
                "seconds to learn": 0.0 if self.outer is None else round(self.outer.seconds, 3),
                "seconds an episode": seconds / config.episodes,
                "trunk stands": trunk_hash(self.network.trunk) == self._before,
            },
            np.array(accuracies),
        )


def _learn(work: _Work, run: Run, signals: Signals) -> None:
    """Run the outer loop, where there is one; saves now and then, and at the end.

    Raises:
        Stopped: After a signal.
    """
    outer = work.outer
    if outer is None:
        return
    latest = run.latest()
    if latest is not None:
        outer.restore(latest[1])
    saved_s = time.monotonic()
    while signals.stop is None and outer.iterations < work.config.iterations:
        begun = time.monotonic()
        row = outer.step()
        outer.seconds += time.monotonic() - begun
        run.log(outer.iterations, **row)
        if time.monotonic() - saved_s >= SAVE_EVERY_S:
            run.save(outer.iterations, *outer.state())
            saved_s = time.monotonic()
    if outer.iterations:
        run.save(outer.iterations, *outer.state())
    if signals.stop is not None:
        raise Stopped(signals.stop)


def _about(pool: Pool, origin: Origin) -> dict[str, Any]:
    """What classes.json says: which are learned from, which judge, and where the trunk is from."""
    counts = torch.bincount(pool.label, minlength=len(pool.names)).tolist()
    return {
        "seen": {pool.names[i]: counts[i] for i in pool.seen},
        "unseen": {pool.names[i]: counts[i] for i in pool.unseen},
        "told": pool.told,
        "trunk": origin.said(),
    }
