"""Which columns of a pair's observations are its robot's, and which are its skill's."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from metarl.errors import ConfigError
from metarl.multitask.tasks import Column, columns_of
from metarl.runs.pairs import ROBOT, Pair
from metarl.types import Spec


class Pairs:
    """Robots and skills, and what each observes and does.

    Args:
        trained: The pairs that are trained, and the interface of each one's worlds.
        more: Likewise of pairs of the same robots and skills that are not.
    Raises:
        ConfigError: If a skill has other things with another robot, or a robot other actions.
    """

    def __init__(self, trained: Mapping[Pair, Spec], more: Mapping[Pair, Spec]):
        self.trained, self.more = trained, more
        self.layouts = {
            pair: columns_of(pair.skill, spec.blocks, spec.columns, spec.task_fields)
            for pair, spec in {**trained, **more}.items()
        }
        for pair, spec in {**trained, **more}.items():
            self._require_like_others(pair, spec)

    @cached_property
    def robots(self) -> dict[str, list[Column]]:
        """Each robot's own columns: all that it has in any pair."""
        return self._union(0, own=True)

    @cached_property
    def skills(self) -> dict[str, list[Column]]:
        """Each skill's columns: of things and task."""
        return self._union(1, own=False)

    @cached_property
    def actions(self) -> dict[str, int]:
        """How many actions each robot has."""
        return {pair.robot: spec.action_dim for pair, spec in {**self.more, **self.trained}.items()}

    @property
    def named(self) -> list[Column]:
        """The columns that every robot has by the same name, in whatever it does.

        A pair that lacks one, for example of a hand that holds still there, gives zeros for it.

        Raises:
            ConfigError: If there are none.
        """
        own = list(self.robots.values())
        met = {column for pair in self.trained for column in self.layouts[pair]}
        found = [c for c in own[0] if not c.of and c in met and all(c in row for row in own[1:])]
        if not found:
            raise ConfigError(
                f"no column of the block {ROBOT} has the same name in all of"
                f" {', '.join(self.robots)}; use encoders=per-robot"
            )
        return found

    def unseen(self, robot: str) -> list[Column]:
        """A robot's columns that no trained pair observes."""
        met = {c for pair in self.trained if pair.robot == robot for c in self.layouts[pair]}
        return [column for column in self.robots[robot] if column not in met]

    def places(self, pair: Pair, columns: list[Column]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Find what a pair observes among some columns.

        Returns:
            Their places among these columns, and their places in the pair's own observations.
        """
        where = {column: i for i, column in enumerate(columns)}
        here = [(where[c], i) for i, c in enumerate(self.layouts[pair]) if c in where]
        return tuple(there for there, _ in here), tuple(own for _, own in here)

    def _union(self, axis: int, *, own: bool) -> dict[str, list[Column]]:
        found = dict[str, dict[Column, None]]()
        for pair, row in self.layouts.items():
            mine = (c for c in row if (c.block == ROBOT) == own)
            found.setdefault(pair[axis], {}).update(dict.fromkeys(mine))
        return {name: list(columns) for name, columns in found.items()}

    def _require_like_others(self, pair: Pair, spec: Spec) -> None:
        if not any(c.block == ROBOT for c in self.layouts[pair]):
            raise ConfigError(
                f"{pair.family} has no block {ROBOT} but {', '.join(spec.blocks)}; an encoder would see"
                " nothing"
            )
        if spec.action_dim != self.actions[pair.robot]:
            raise ConfigError(
                f"{pair.robot} has {spec.action_dim} actions in {pair.skill} and"
                f" {self.actions[pair.robot]} elsewhere; one decoder cannot give both"
            )
        lacks = [c for c in self.skills[pair.skill] if c not in self.layouts[pair]]
        if lacks:
            blocks = ", ".join(dict.fromkeys(column.block for column in lacks))
            raise ConfigError(
                f"{pair.skill} observes other things with {pair.robot} than with other robots: block"
                f" {blocks} differs; one core cannot see both"
            )
