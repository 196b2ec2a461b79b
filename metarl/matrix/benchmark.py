"""A transfer matrix as data: which sources meet which targets, how, how often, and for how long."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from metarl.adapt.protocol import Protocol
from metarl.errors import CheckpointError, ConfigError, require
from metarl.grid.cell import Cell
from metarl.matrix.cells import (
    NOISE,
    SCRATCH,
    Adapting,
    Budget,
    Exploration,
    Given,
    Learning,
)
from metarl.runs import fields
from metarl.runs.config import config_values, load_config
from metarl.runs.run import MATRIX_FILE, write_json

FIRST_SOURCE_SEED = 500  # sources are trained in worlds that no target's training draws


def every_pair(sources: Sequence[str], targets: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Let every source meet every target."""
    return tuple(itertools.product(sources, targets))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group(fields.Checked):
    """Sources that meet targets, each by every strategy.

    Args:
        name: Of the picture.
        pairs: Source and target of those that meet: a family, or the name of a given policy, and a
            family.
        strategies: How a source starts, and what of it learns.
        explorations: Whether its spread of actions goes along.
    """

    name: str
    pairs: tuple[tuple[str, str], ...]
    strategies: tuple[str, ...] = ("fine-tune",)
    explorations: tuple[Exploration, ...] = ("fresh", "source")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("pairs", "strategies", "explorations"):
            value = getattr(self, name)
            require(len(set(value)) == len(value) > 0, name, value, "one or more, each once")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Matrix(fields.Checked):
    """A transfer matrix.

    Args:
        groups: Who meets whom.
        num_seeds: Trainings of each.
        budget: Of the targets.
        source_budget: Of the sources that are trained.
        own: Budgets of families that have one of their own, as target and as source.
        given: Sources that are there already.
        adapting: How adaptation to hidden tasks is measured, too; None: it is not.
    """

    groups: tuple[Group, ...]
    num_seeds: int = fields.count(3)
    budget: Budget = Budget()
    source_budget: Budget = Budget(iterations=60)
    own: Mapping[str, tuple[Budget, Budget]] = dataclasses.field(default_factory=dict)
    given: tuple[Given, ...] = ()
    adapting: Protocol | None = None

    @property
    def targets(self) -> tuple[str, ...]:
        """Every target, once."""
        return tuple(dict.fromkeys(t for group in self.groups for _, t in group.pairs))

    def scratch(self, target: str, seed: int, noise: int = 0) -> Learning:
        """The training from nothing that a target's others are held against."""
        return Learning(family=target, seed=seed, budget=self.budget_of(target), noise=noise)

    def source(self, name: str, seed: int) -> Learning | Given:
        """What a training of a seed starts from."""
        known = {given.name: given for given in self.given}
        if name in known:
            return known[name]
        budget = self.own[name][1] if name in self.own else self.source_budget
        return Learning(family=name, seed=FIRST_SOURCE_SEED + seed, budget=budget, keeps=True)

    def budget_of(self, target: str) -> Budget:
        """How long a target is learned."""
        return self.own[target][0] if target in self.own else self.budget

    def arms(self, seed: int) -> Iterator[tuple[Group, str, Learning]]:
        """Every meeting of a seed: its group, its source's name, its cell."""
        for group in self.groups:
            for strategy, exploration in itertools.product(group.strategies, group.explorations):
                for source, target in group.pairs:
                    yield group, source, Learning(
                        family=target, seed=seed, budget=self.budget_of(target),
                        start=self.source(source, seed), strategy=strategy,
                        exploration=exploration,
                    )  # fmt: skip

    def adaptations(self, seed: int) -> Iterator[tuple[str, Adapting]]:
        """What meets hidden tasks in a seed: the source's name, and its cell."""
        if self.adapting is None:
            return
        for group in self.groups:
            for source, target in group.pairs:
                start = self.source(source, seed)
                for strategy in group.strategies:
                    yield (
                        source,
                        Adapting(
                            family=target, start=start, strategy=strategy, protocol=self.adapting
                        ),
                    )

    def adapting_levels(self, target: str, seed: int) -> tuple[Adapting, Adapting] | None:
        """What adaptations of a target are held against: from nothing, and once more with other
        noise; None if its family is no source, whose architecture a fresh network takes."""
        start = self.source(target, seed)
        if self.adapting is None or not self._is_source(target):
            return None
        again = dataclasses.replace(self.adapting, noise=NOISE)
        one, other = (
            Adapting(family=target, start=start, strategy=SCRATCH, protocol=protocol)
            for protocol in (self.adapting, again)
        )
        return one, other

    def _is_source(self, name: str) -> bool:
        return any(name == source for group in self.groups for source, _ in group.pairs)

    def cells(self) -> list[Cell]:
        """Every cell, in the order in which to run them: the whole of a seed before the next."""
        found: list[Cell] = []
        for seed in range(self.num_seeds):
            for target in self.targets:
                found += [self.scratch(target, seed), self.scratch(target, seed, NOISE)]
            found += [cell for _, _, cell in self.arms(seed)]
            for target in self.targets:
                found += self.adapting_levels(target, seed) or ()
            found += [cell for _, cell in self.adaptations(seed)]
        return found


def write_matrix(matrix: Matrix, folder: Path | str) -> None:
    """Keep a matrix's definition in its folder.

    Raises:
        CheckpointError: If it cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / MATRIX_FILE, config_values(matrix))


def read_matrix(folder: Path | str) -> Matrix:
    """Read what `write_matrix` wrote.

    Raises:
        CheckpointError: If there is none, or it is damaged.
    """
    folder = Path(folder)
    try:
        return load_config(folder / MATRIX_FILE, Matrix)
    except ConfigError as error:
        raise CheckpointError(f"{folder / MATRIX_FILE} is damaged: {error}") from error
