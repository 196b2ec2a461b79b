"""Few-shot methods side by side: a run each, and one table with intervals."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metarl.adapt.statistics import mean, stratified_bootstrap, t_interval
from metarl.errors import CheckpointError
from metarl.perception.fewshot.config import FewShotConfig
from metarl.perception.fewshot.pool import load_pool
from metarl.perception.fewshot.run import EPISODES_FILE, Tell, few_shot
from metarl.perception.own import Progress
from metarl.runs.config import read_json, require_same
from metarl.runs.run import RESULT_FILE, write_json

TABLE_FILE = "few-shot.json"
BASELINE = "nearest-centroid"  # what others are compared with, task by task


def few_shot_all(
    base: FewShotConfig,
    methods: Sequence[str],
    shots: Sequence[int],
    seeds: int,
    folder: Path | str,
    *,
    command: str = "",
    tell: Tell = lambda line: None,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Judge several methods with several numbers of shots, a run each, on the same tasks of a seed.

    Finished runs are read, the rest is run, and one that was stopped goes on. Pictures and features
    of a seed are shared.

    Args:
        base: What the runs have in common.
        methods: Of `metarl.perception.fewshot.config.METHODS`.
        shots: Pictures of each class that a task names.
        seeds: How many seeds, from the base's on.
        folder: Where the runs are, and few-shot.json.
        command: The command line.
        tell: Given lines for the user.
        progress: Called with (pictures done, pictures) while they are loaded.
    Returns:
        The rows of `summarise`.
    Raises:
        Stopped: After a signal; the same command goes on.
        MetaRLError: As for `few_shot`; a run that is there with another config is refused.
    """
    folder = Path(folder)
    accuracies: dict[tuple[str, int], list[np.ndarray]] = {}
    for seed in range(base.seed, base.seed + seeds):
        configs = [
            dataclasses.replace(base, seed=seed, method=method, shots=count)
            for count in shots
            for method in methods
        ]
        places = [folder / run_name(config) for config in configs]
        for config, place in zip(configs, places, strict=True):
            if (place / RESULT_FILE).exists():
                require_same(place, config)
        pool = None
        for config, place in zip(configs, places, strict=True):
            if not (place / RESULT_FILE).exists():
                if pool is None:
                    most = dataclasses.replace(base, seed=seed, shots=max(shots))
                    pool = load_pool(most, progress)
                    for line in pool.told:
                        tell(f"seed {seed}: {line}")
                few_shot(
                    config, place, resume=True, command=command, pool=pool,
                    features=folder / "features",
                )  # fmt: skip
                tell(f"{place.name}: done")
            accuracies.setdefault((config.method, config.shots), []).append(read_episodes(place))
    rows = summarise({key: np.array(table) for key, table in accuracies.items()})
    write_json(folder / TABLE_FILE, {"command": command, "ways": base.ways, "rows": rows})
    return rows


def run_name(config: FewShotConfig) -> str:
    """The name of a run's folder."""
    return f"{config.method}-{config.ways}way-{config.shots}shot-s{config.seed}"


def read_episodes(folder: Path) -> np.ndarray:
    """Read each task's accuracy from a run folder, shape (episodes,).

    Raises:
        CheckpointError: If they are missing or damaged.
    """
    path = folder / EPISODES_FILE
    found = read_json(path).get("accuracies")
    if not isinstance(found, list) or not all(isinstance(x, float) and 0 <= x <= 1 for x in found):
        raise CheckpointError(f"{path} holds no accuracies; delete {folder} to run it again")
    return np.array(found)


def summarise(accuracies: Mapping[tuple[str, int], np.ndarray]) -> list[dict[str, Any]]:
    """Summarise accuracies by method and number of shots.

    Args:
        accuracies: Shape (S, E): S seeds, E tasks each, by method and number of shots. Task e of
            seed s is the same for every method.
    Returns:
        A row each: ``method``, ``shots``, ``accuracy``; ``episodes``, the 95% interval over other
        tasks of these seeds (bootstrap); ``seeds``, that over other seeds (Student's t; None for one
        seed); ``gain``, the mean difference to the nearest centroid on the same tasks, and ``gain
        episodes``, its interval, both None where that is not there.
    """
    rows = []
    for (method, shots), table in accuracies.items():
        baseline = accuracies.get((BASELINE, shots))
        gain = None if baseline is None or method == BASELINE else table - baseline
        seeds = t_interval(table.mean(1))
        rows.append(
            {
                "method": method,
                "shots": shots,
                "accuracy": float(table.mean()),
                "episodes": _over_episodes(table),
                "seeds": None if len(table) == 1 else [seeds.low, seeds.high],
                "gain": None if gain is None else float(gain.mean()),
                "gain episodes": None if gain is None else _over_episodes(gain),
                "by seed": table.mean(1).tolist(),
            }
        )
    return rows


def _over_episodes(table: np.ndarray) -> list[float]:
    """The interval of the mean over other tasks, within each seed; table (S, E)."""
    around = stratified_bootstrap(table.T, mean, rng=np.random.default_rng(0))
    return [around.low, around.high]
