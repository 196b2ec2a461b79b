"""One network for several skills, and a network for each: what is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from metarl.adapt.protocol import Protocol
from shared.learned import Learned

ALONE, TOGETHER, OTHER_NOISE, ONE_HEAD = "alone", "together", "other-noise", "one-head"


@dataclass(frozen=True)
class Design:
    """What is trained and how it is measured.

    Args:
        skills: At least two.
        name: Of a skill's family, with ``{skill}``.
        iterations: Of each training; each is an episode in every world of every skill.
        settings: Fields of the configs that differ from their defaults, the same for every arm.
        aggregations: Further ways of adding gradients, by TorchJD.
        protocol: Which held-out tasks, and how many episodes.
    """

    skills: tuple[str, ...]
    name: str
    iterations: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    aggregations: tuple[str, ...] = ()
    protocol: Protocol = Protocol()

    @property
    def arms(self) -> tuple[str, ...]:
        """Every training of a seed."""
        alone = tuple(f"{ALONE}.{skill}" for skill in self.skills)
        return (*self.together, *alone)

    @property
    def together(self) -> tuple[str, ...]:
        """Those of one network for all skills."""
        return (TOGETHER, *self.further, OTHER_NOISE)

    @property
    def further(self) -> tuple[str, ...]:
        """Those that are run last: other heads, other ways of adding gradients."""
        return (ONE_HEAD, *self.aggregations)

    def family(self, skill: str) -> str:
        """The name of a skill's family."""
        return self.name.format(skill=skill)

    def learned(self, arm: str, seed: int) -> Learned:
        """A training of an arm: one skill's is called ``alone.SKILL``."""
        alone = arm.removeprefix(f"{ALONE}.")
        if alone != arm:
            return self._learned(arm, seed, "dagger", (alone,))
        more: dict[str, Any] = {"learner": "dagger"}
        more |= {"heads": "shared"} if arm == ONE_HEAD else {}
        more |= {"aggregation": arm} if arm in self.aggregations else {}
        return self._learned(arm, seed, "multi-task", self.skills, more)

    def _learned(
        self, arm: str, seed: int, method: str, skills: tuple[str, ...],
        more: Mapping[str, Any] = MappingProxyType({}),
    ) -> Learned:  # fmt: skip
        return Learned(
            arm=arm, method=method, families=tuple(map(self.family, skills)),
            iterations=self.iterations, settings={**self.settings, **more}, seed=seed,
            noise=int(arm == OTHER_NOISE),
        )  # fmt: skip
