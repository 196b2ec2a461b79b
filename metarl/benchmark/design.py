"""A benchmark as data: tables of arms on one budget, and the cells that they are made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from metarl.adapt.protocol import Protocol
from metarl.benchmark.cells import Meeting, Training
from metarl.benchmark.sections import Metric, place
from metarl.errors import ConfigError
from metarl.grid.cell import Cell
from metarl.matrix.cells import NOISE, Given
from metarl.methods import defaults_of, get_training
from metarl.names import slug

CEILING = "ceiling"
OTHER_NOISE = ", other noise"  # behind the name of what a control arm repeats


@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """Policies that are there already.

    Args:
        names: A path or the name of a shipped one; one for all seeds, or one for each.
    """

    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class StartOf:
    """What another table starts from.

    Args:
        table: Its name.
    """

    table: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a policy is trained.

    Args:
        method: By which.
        iterations: How long; None: the method's own number.
        settings: Fields of its config that differ from its defaults.
        start: What it goes on from; None: nothing.
    """

    method: str
    iterations: int | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    start: Checkpoints | StartOf | None = None


Start = Checkpoints | StartOf | Recipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arm:
    """What meets a table's held-out tasks.

    Args:
        name: Its own.
        method: How it adapts, and how it is trained, if it is.
        seeds: Of trainings.
        settings: Of the training; of a strategy, of adapting.
        trains: Whether it is trained first.
        iterations: How long; None: the method's own number.
        fresh: Whether that is from nothing.
        checkpoint: What is trained already; none: it is trained, or meets the tasks from the start.
        repeats: The arm that it repeats under another noise; "": none.
        added: Whether the file does not name it: every table needs it.
    """

    name: str
    method: str
    seeds: tuple[int, ...]
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    trains: bool = False
    iterations: int | None = None
    fresh: bool = False
    checkpoint: tuple[str, ...] = ()
    repeats: str = ""
    added: bool = False

    @property
    def label(self) -> str:
        """How it is called in a table."""
        return f"{self.repeats}{OTHER_NOISE}" if self.repeats else self.name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """Arms that meet the same held-out tasks on the same budget.

    Args:
        name: Its own, by default the family's.
        family: Of the tasks.
        start: The policy that arms start from.
        seeds: Of trainings.
        protocol: How adaptation is measured.
        arms: What meets the tasks.
        metric: What is judged; None: whatever tells most.
        ceiling: Whether the start is also judged without updates, the task hidden and in view.
    """

    name: str
    family: str
    start: Start
    seeds: tuple[int, ...]
    protocol: Protocol
    arms: tuple[Arm, ...]
    metric: Metric | None = None
    ceiling: bool = True

    @property
    def mark(self) -> str:
        """What tells its cells from those of other tables of its family; "": nothing needs to."""
        return "" if self.name == self.family else self.name


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """A benchmark.

    Args:
        title: Its name.
        about: What is asked.
        tables: In their order.
        without: What the file leaves out, though every table needs it.
        given: What is there already, by family and the name that the file gives it.
    """

    title: str
    about: str
    tables: tuple[Table, ...]
    without: tuple[str, ...] = ()
    given: Mapping[tuple[str, str], Given] = dataclasses.field(default_factory=dict)

    def table(self, name: str) -> Table:
        """Look a table up."""
        return next(table for table in self.tables if table.name == name)

    def checkpoints(self) -> list[tuple[str, str]]:
        """List what must be there already: family, and the name that the file gives it, each once."""
        found = list[tuple[str, str]]()
        for table in self.tables:
            starts = [table.start, getattr(table.start, "start", None)]
            names = [n for start in starts if isinstance(start, Checkpoints) for n in start.names]
            names += [name for arm in table.arms for name in arm.checkpoint]
            found += [(table.family, name) for name in names]
        return list(dict.fromkeys(found))

    def meetings(self, table: Table, arm: Arm) -> dict[int, Meeting]:
        """An arm's cells on a table, by seed; of what is given once and for all, one."""
        protocol = table.protocol
        if arm.repeats:
            protocol = dataclasses.replace(protocol, noise=NOISE)
        methods = {arm.method: {} if arm.trains else dict(arm.settings)}
        cells = {
            seed: Meeting(
                family=table.family, arm=arm.name, start=self._start_of(table, arm, seed),
                methods=methods, protocol=protocol, table=table.mark,
            )
            for seed in arm.seeds
        }  # fmt: skip
        return _once(cells)

    def ceilings(self, table: Table) -> dict[int, Meeting]:
        """The cells that judge a table's start without updates, by seed."""
        if not table.ceiling:
            return {}
        return _once(
            {
                seed: Meeting(
                    family=table.family, arm=CEILING, start=self.start(table, seed), methods={},
                    protocol=table.protocol, levels=True, table=table.mark,
                )
                for seed in table.seeds
            }
        )  # fmt: skip

    def cells(self) -> list[Cell]:
        """Every cell, in the order in which to run them: each seed of everything before the next.

        Raises:
            ConfigError: If two trainings would have one name.
        """
        columns = list[list[Meeting]]()
        for table in self.tables:
            for arm in table.arms:
                columns.append(list(self.meetings(table, arm).values()))
            columns.append(list(self.ceilings(table).values()))
        rows = range(max(map(len, columns)))
        found: list[Cell] = [column[i] for i in rows for column in columns if i < len(column)]
        self._require_apart(found)
        return found

    def start(self, table: Table, seed: int) -> Training | Given:
        """The policy that arms of a table start from.

        Raises:
            ConfigError: If tables start from each other.
        """
        return self._resolve(table, table.start, table.seeds, seed, ())

    def _resolve(
        self,
        table: Table,
        start: Start,
        seeds: Sequence[int],
        seed: int,
        above: tuple[str, ...],
    ) -> Training | Given:
        if isinstance(start, Checkpoints):
            return self._given(
                table, start.names, seeds, seed, place("families", table.name, "start")
            )
        if isinstance(start, StartOf):
            other = self.table(start.table)
            if other.name in (*above, table.name):
                raise ConfigError(
                    f"{place('families', table.name, 'start')}: {start.table} starts from it in turn;"
                    " expected a checkpoint, or how it is trained"
                )
            return self._resolve(other, other.start, other.seeds, seed, (*above, table.name))
        before = None
        if start.start is not None:
            before = self._resolve(table, start.start, seeds, seed, above)
        return _training(table.family, start, seed, before, table.mark)

    def _start_of(self, table: Table, arm: Arm, seed: int) -> Training | Given:
        if arm.checkpoint:
            where = place("arms", arm.repeats or arm.name, "checkpoint")
            return self._given(table, arm.checkpoint, arm.seeds, seed, where)
        if not arm.trains:
            return self.start(table, seed)
        before = None if arm.fresh else self.start(table, seed)
        name = arm.repeats or arm.name
        recipe = Recipe(method=arm.method, iterations=arm.iterations, settings=arm.settings)
        return _training(table.family, recipe, seed, before, name if name != arm.method else "")

    def _given(
        self, table: Table, names: Sequence[str], seeds: Sequence[int], seed: int, where: str
    ) -> Given:
        if len(names) not in (1, len(seeds)) or (len(names) > 1 and seed not in seeds):
            raise ConfigError(
                f"{where} is {len(names)} checkpoints for {len(seeds)} seeds; expected one, or one for"
                " each seed"
            )
        name = names[0] if len(names) == 1 else names[list(seeds).index(seed)]
        return self.given[table.family, name]

    def _require_apart(self, cells: Sequence[Cell]) -> None:
        known = dict[str, Cell]()
        for cell in cells:
            for one in _trainings(cell):
                if known.setdefault(one.key, one).definition() == one.definition():
                    continue
                raise ConfigError(
                    f"{one.method} is trained on {one.family} in two ways that would both be called"
                    f" {one.key}; give one of the arms another name, and method = {one.method!r}"
                )
            if isinstance(cell, Meeting) and known.setdefault(cell.key, cell) != cell:
                raise ConfigError(
                    f"two measurements would both be called {cell.key}; give an arm or a table another name"
                )


def _once(cells: Mapping[int, Meeting]) -> dict[int, Meeting]:
    """Leave out seeds in which nothing is drawn anew: what starts from one checkpoint, untrained."""
    found = dict[int, Meeting]()
    for seed, cell in cells.items():
        if cell not in found.values():
            found[seed] = cell
    return found


def _training(
    family: str, recipe: Recipe, seed: int, start: Training | Given | None, label: str
) -> Training:
    iterations = recipe.iterations
    if iterations is None:
        iterations = defaults_of(get_training(recipe.method))["iterations"]
    return Training(
        family=family, method=recipe.method, iterations=iterations, settings=dict(recipe.settings),
        seed=seed, start=start, label=slug(label) if label else "",
    )  # fmt: skip


def _trainings(cell: Cell) -> Iterator[Training]:
    """What a cell stands on, nearest first."""
    start = getattr(cell, "start", None)
    while isinstance(start, Training):
        yield start
        start = start.start
