"""Robots x skills: which pairs are trained, and which never meet, by rules that nobody picks from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from metarl.adapt.protocol import Protocol
from metarl.errors import ConfigError
from shared.learned import Learned

MAIN, OTHER_NOISE, RESTRICTED, ALONE = "main", "other-noise", "restricted", "alone"
SPLITS = (MAIN, RESTRICTED)
METHOD = "modular"


@dataclass(frozen=True)
class Design:
    """What is trained and how it is measured.

    Unseen are, in the alphabet's order of skills and of robots: the j-th skill with robot j + `turn` modulo
    their number, for the first `num_unseen` skills. So every robot lacks as many, and no skill lacks two. In the
    restricted split the last robot was met with the first skill alone, all others with every skill.

    Args:
        robots: At least two.
        skills: At least two.
        name: Of a pair's family, with ``{robot}`` and ``{skill}``.
        num_unseen: How many pairs never meet.
        iterations: Of each training; each is an episode in every world of every pair.
        settings: Fields of the config that differ from its defaults.
        protocol: Which held-out tasks, and how many episodes.
        num_episodes: Of each pair, from which features are taken.
        turn: Another one leaves out other pairs, by which a design may be chosen.
        pivot: Names of further families with ``{robot}``, which every robot learns and nobody is judged
            by.
    Raises:
        ConfigError: If some robot or skill would be trained in no pair.
    Source: Mendez et al. 2022, arXiv:2207.04136 (the restricted split).
    """

    robots: tuple[str, ...]
    skills: tuple[str, ...]
    name: str
    num_unseen: int
    iterations: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    protocol: Protocol = Protocol()
    num_episodes: int = 8
    turn: int = 0
    pivot: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for split in SPLITS:
            trained = self.trained(split)
            met = {name for pair in trained for name in pair}
            lacks = [name for name in (*self.robots, *self.skills) if name not in met]
            if lacks or not self.unseen(split):
                raise ConfigError(
                    f"{self.num_unseen} unseen of {len(self.robots)} robots x {len(self.skills)} skills:"
                    f" {', '.join(lacks) or 'nothing'} is left out of the {split} split; expected every"
                    " robot and skill in some trained pair, and some pair that is none"
                )

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every robot with every skill."""
        return list(product(sorted(self.robots), sorted(self.skills)))

    def unseen(self, split: str) -> list[tuple[str, str]]:
        """The pairs that never meet in a split's training, as (robot, skill)."""
        robots, skills = sorted(self.robots), sorted(self.skills)
        if split == RESTRICTED:
            return [(robots[-1], skill) for skill in skills[1:]]
        return [(robots[(j + self.turn) % len(robots)], skills[j]) for j in range(self.num_unseen)]

    def trained(self, split: str) -> list[tuple[str, str]]:
        """The pairs that do."""
        unseen = self.unseen(split)
        return [pair for pair in self.pairs if pair not in unseen]

    def family(self, pair: tuple[str, str]) -> str:
        """The name of a pair's family."""
        return self.name.format(robot=pair[0], skill=pair[1])

    def families(self, pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
        """The names of pairs' families."""
        return tuple(self.family(pair) for pair in pairs)

    def nearest(self, pair: tuple[str, str], split: str) -> list[tuple[str, str]]:
        """The trained pairs of the same skill and another robot."""
        return [other for other in self.trained(split) if other[1] == pair[1]]

    def learned(self, arm: str, seed: int) -> Learned:
        """The training of a split, of another arm of it, or of one pair: ``alone.ROBOT.SKILL``."""
        pairs = self.trained(RESTRICTED if arm == RESTRICTED else MAIN)
        if arm.startswith(ALONE):
            pairs = [pair for pair in self.pairs if arm == alone(pair)]
        families = self.families(pairs)
        if not arm.startswith(ALONE):
            robots = sorted(self.robots)
            families += tuple(name.format(robot=r) for name in self.pivot for r in robots)
        return Learned(
            arm=arm, method=METHOD, families=families, iterations=self.iterations,
            settings=self.settings, seed=seed, noise=int(arm == OTHER_NOISE),
        )  # fmt: skip


def alone(pair: tuple[str, str]) -> str:
    """The arm that is trained on one pair."""
    return ".".join((ALONE, *pair))
