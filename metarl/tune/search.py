"""A search: everything that decides which settings are tried, and how they are judged."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metarl.adapt.protocol import Protocol
from metarl.benchmark.sections import Metric
from metarl.errors import CheckpointError, ConfigError
from metarl.matrix.cells import Given
from metarl.methods import training_config
from metarl.runs import fields
from metarl.runs.config import (
    CONFIG_FILE,
    config_differences,
    config_values,
    load_config,
    read_json,
)
from metarl.runs.run import SEARCH_FILE, write_json
from metarl.streams import derive_seed
from metarl.tune.space import Searched, parse_space

STARTUP = 10  # trials that are drawn blindly: before, there is too little to learn from
_TOLD = 3  # differences in a line
_PURPOSE = "tasks that judge a search"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Search(fields.Checked):
    """Everything that decides which settings are tried, and how they are judged.

    There is no field for a split: tasks are drawn from the training tasks, always.

    Args:
        family: Whose training tasks.
        method: What is trained.
        iterations: Of each training.
        search: What is searched, by field, as ``--search`` takes it.
        settings: Fields of the config that are the same in every trial.
        start: The policy that every training starts from; None: from nothing.
        metric: What is judged.
        seeds: Trainings of each trial.
        seed: Of what is tried and of the tasks that judge, and the first of the trainings' seeds.
        together: How many trials run side by side, without knowing of each other's results.
        num_tasks: Training tasks that judge, held back from training.
        episodes: Of each task for each update, of methods that adapt.
        updates: How many, likewise.
        eval_episodes: Of each task that judge.
    """

    family: str
    method: str
    iterations: int = fields.count(60)
    search: Mapping[str, str]
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    start: Given | None = None
    metric: Metric = "score"
    seeds: int = fields.count(2, most=1_000)
    seed: int = fields.seed()
    together: int = fields.count(1, most=1_000)
    num_tasks: int = fields.count(20, most=10_000)
    episodes: int = fields.count(10, most=10_000)
    updates: int = fields.count(5, least=0, most=1_000)
    eval_episodes: int = fields.count(10, most=10_000)

    @property
    def protocol(self) -> Protocol:
        """How a trial is judged: on training tasks, from streams that neither a training nor any other
        measurement draws from."""
        return Protocol(
            num_tasks=self.num_tasks, episodes=self.episodes, updates=self.updates,
            eval_episodes=self.eval_episodes, seed=derive_seed(self.seed, _PURPOSE), split="train",
        )  # fmt: skip

    @property
    def space(self) -> dict[str, Searched]:
        """What is searched."""
        pairs = [f"{name}={text}" for name, text in self.search.items()]
        return parse_space(pairs, training_config(self.method))

    @property
    def training_seeds(self) -> range:
        """The seeds of a trial's trainings."""
        return range(self.seed, self.seed + self.seeds)


def require_same_search(search: Search, folder: Path) -> None:
    """Check that a folder's trials, if there are any, are of the same search.

    Raises:
        ConfigError: If they are of another one, in one line that says what differs, or the folder holds a
            run of another kind.
        CheckpointError: If what is kept there is damaged.
    """
    path = folder / SEARCH_FILE
    if not path.exists():
        if (folder / CONFIG_FILE).exists():
            raise ConfigError(f"{folder} holds a run; give another --out")
        return
    differing = config_differences(read_json(path), config_values(search))
    if differing:
        more = f" (and {len(differing) - _TOLD} more)" if len(differing) > _TOLD else ""
        raise ConfigError(
            f"{folder} holds trials of another search: {'; '.join(differing[:_TOLD])}{more}; give the"
            " saved values, or another --out"
        )


def keep_search(search: Search, folder: Path) -> None:
    """Write what is searched into a folder.

    Raises:
        CheckpointError: If it cannot be written.
    """
    if not (folder / SEARCH_FILE).exists():
        write_json(folder / SEARCH_FILE, config_values(search))


def read_search(folder: Path) -> Search:
    """Read the search whose trials a folder holds.

    Raises:
        CheckpointError: If it holds none, or it is damaged.
    """
    path = folder / SEARCH_FILE
    if not path.is_file():
        raise CheckpointError(f"no file {path}; expected a folder that metarl tune has written")
    try:
        return load_config(read_json(path), Search)
    except (ConfigError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
