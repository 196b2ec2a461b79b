"""Which families are learned together, and which of their columns and actions are the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from metarl.errors import ConfigError
from metarl.family import TaskFamily
from metarl.names import slug, split_name
from metarl.sources.plan import TASK, options_of
from metarl.types import Spec


class Column(NamedTuple):
    """One column of observations; two families share it where all of it is the same.

    Args:
        block: Of which block.
        of: Whose: empty, if the block's columns have names; else how wide the block is, for blocks
            without names are the same where they are as wide; of the task block the family, without
            options.
        name: The column's, or its place within the block.
    """

    block: str
    of: str
    name: str


@dataclass(frozen=True)
class TaskList:
    """Families that are learned together, in an order that counts.

    Args:
        families: The families.
        specs: The interface of each one's worlds.
    Raises:
        ConfigError: If one has no column in common with any other.
    """

    families: tuple[TaskFamily[Any], ...]
    specs: tuple[Spec, ...]

    def __post_init__(self) -> None:
        for k, mine in enumerate(self._columns):
            others = {c for j, row in enumerate(self._columns) if j != k for c in row}
            if len(self._columns) > 1 and not others & set(mine):
                raise ConfigError(
                    f"{self.families[k].id} has no column of observations in common with the others:"
                    f" {self._blocks_of(k)}, and they have {self._blocks_without(k)}; leave it out, or"
                    " train it alone"
                )

    def _blocks_of(self, k: int) -> str:
        return ", ".join(f"{n} of {w}" for n, w in self.specs[k].blocks.items() if n != TASK and w)

    def _blocks_without(self, k: int) -> str:
        found = [self._blocks_of(j) for j in range(len(self.specs)) if j != k]
        return " or ".join(dict.fromkeys(found))

    @property
    def names(self) -> list[str]:
        """The families' names, options included."""
        return [family.id for family in self.families]

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """A short name of each, for metrics and pictures: ``season``, or with its options."""
        short = [split_name(name)[0].rpartition("/")[2] for name in self.names]
        if len(set(short)) < len(short):
            short = [slug(name) for name in self.names]
        short = [label[:_LONGEST] for label in short]
        if len(set(short)) < len(short):
            short = [f"{k} {label}" for k, label in enumerate(short)]
        return tuple(short)

    @cached_property
    def _columns(self) -> tuple[tuple[Column, ...], ...]:
        return tuple(
            tuple(columns_of(family.id, spec.blocks, spec.columns, spec.task_fields))
            for family, spec in zip(self.families, self.specs)
        )

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Every column of any family once: first those that families come with, then their tasks."""
        found = dict.fromkeys(c for row in self._columns for c in row)
        return tuple(sorted(found, key=lambda c: c.block == TASK))  # stable

    @cached_property
    def places(self) -> tuple[tuple[int, ...], ...]:
        """Of each family: where each column of its observations stands among all of them."""
        where = {column: i for i, column in enumerate(self.columns)}
        return tuple(tuple(where[c] for c in row) for row in self._columns)

    @property
    def obs_dim(self) -> int:
        """How many columns there are in all."""
        return len(self.columns)

    @property
    def union(self) -> Spec:
        """An interface that has every column and action of any family."""
        blocks = {block: 0 for block in (*(c.block for c in self.columns if c.block != TASK), TASK)}
        for column in self.columns:
            blocks[column.block] += 1
        return Spec(
            blocks,
            max(spec.action_dim for spec in self.specs),
            max(spec.horizon for spec in self.specs),
            self.specs[0].control_dt_s,
            (),
        )

    def require_same_actions(self) -> None:
        """Check that one head can act in all of them.

        Raises:
            ConfigError: If actions differ; says how.
        """
        kinds = [
            (spec.action_dim, options_of(name).get("control"))
            for name, spec in zip(self.names, self.specs)
        ]
        for name, kind in zip(self.names, kinds):
            if kind != kinds[0]:
                raise ConfigError(
                    f"one head cannot act in {self.names[0]}, {_actions(*kinds[0])}, and in {name},"
                    f" {_actions(*kind)}; give each task its own: heads=per-task"
                )

    def said(self) -> str:
        """Say which columns are shared by all, and which are zero where a family lacks them."""
        shared = set(self._columns[0]).intersection(*self._columns)
        parts = [f"{len(shared)} of {self.obs_dim} columns are seen in every task"]
        for block in dict.fromkeys(c.block for c in self.columns):
            lacks = [
                label
                for label, row in zip(self.labels, self._columns)
                if {c for c in self.columns if c.block == block} - set(row)
            ]
            if lacks and block != TASK:
                own = len({c.of for c in self.columns if c.block == block}) > 1
                why = "is of several kinds, each with columns of its own" if own else "differs"
                parts.append(f"{block} {why}: what a task lacks is zero in {', '.join(lacks)}")
        if len({split_name(name)[0] for name in self.names}) > 1:
            parts.append("task fields are each family's own")
        return "; ".join(parts)


_LONGEST = 60  # letters of a label


def columns_of(
    family: str,
    blocks: Mapping[str, int],
    names: Mapping[str, Sequence[str]],
    task_fields: Sequence[tuple[str, int, bool]],
) -> list[Column]:
    """List what a family's observations consist of, in their order.

    Args:
        family: Its name.
        blocks: Widths of its blocks.
        names: Names of columns by block, of those that have any.
        task_fields: As of a `Spec`.
    """
    found = list[Column]()
    for block, width in blocks.items():
        if block == TASK:
            base = split_name(family)[0]
            found += [
                Column(block, base, f"{name}[{i}]")
                for name, size, _ in task_fields
                for i in range(size)
            ]
        elif block in names:
            found += [Column(block, "", name) for name in names[block]]
        else:
            found += [Column(block, str(width), str(i)) for i in range(width)]
    return found


def _actions(count: int, control: str | None) -> str:
    return f"{count} actions" + (f" of control={control}" if control else "")
