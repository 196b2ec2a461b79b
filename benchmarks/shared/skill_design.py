"""One network for several skills, and networks of one skill: what is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from metarl.adapt.protocol import Protocol
from shared.learned import Learned

ALONE, TOGETHER, OTHER_NOISE = "alone", "together", "other-noise"


@dataclass(frozen=True)
class Design:
    """What is trained and how it is measured.

    Args:
        skills: At least two.
        name: Of a skill's family, with ``{skill}``.
        iterations: Of each training; each is an episode in every world of every skill.
        settings: Fields of the configs that differ from their defaults, the same for every arm.
        alone: Those that get networks of their own as well.
        protocol: Which held-out tasks, and how many episodes.
    """

    skills: tuple[str, ...]
    name: str
    iterations: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    alone: tuple[str, ...] = ()
    protocol: Protocol = Protocol()

    @property
    def arms(self) -> tuple[str, ...]:
        """Every training of a seed, what answers the question first."""
        return (TOGETHER, *(f"{ALONE}.{skill}" for skill in self.alone), OTHER_NOISE)

    def family(self, skill: str) -> str:
        """The name of a skill's family."""
        return self.name.format(skill=skill)

    def learned(self, arm: str, seed: int) -> Learned:
        """A training of an arm: one skill's is called ``alone.SKILL``."""
        alone = arm.removeprefix(f"{ALONE}.")
        if alone != arm:
            return self._learned(arm, seed, "dagger", (alone,))
        return self._learned(arm, seed, "multi-task", self.skills, {"learner": "dagger"})

    def _learned(
        self, arm: str, seed: int, method: str, skills: tuple[str, ...],
        more: Mapping[str, Any] = MappingProxyType({}),
    ) -> Learned:  # fmt: skip
        return Learned(
            arm=arm, method=method, families=tuple(map(self.family, skills)),
            iterations=self.iterations, settings={**self.settings, **more}, seed=seed,
            noise=int(arm == OTHER_NOISE),
        )  # fmt: skip
