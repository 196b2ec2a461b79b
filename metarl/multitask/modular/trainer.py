"""Modular policies: any robot whose parts are known does any skill whose parts are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import product
from typing import Any

import torch

from metarl.errors import ConfigError
from metarl.methods import Method, Training
from metarl.multitask.learners import Learner
from metarl.multitask.modular.config import LEARNERS, ModularConfig
from metarl.multitask.modular.hindsight import ByHindsight
from metarl.multitask.modular.network import ModularNetwork
from metarl.multitask.modular.pairs import Pairs
from metarl.multitask.shared import SharedNetwork, Shells
from metarl.multitask.trainer import MultiTaskTrainer
from metarl.nn.policy import LOG_STD, network_of
from metarl.nn.views import View
from metarl.registry import make_family
from metarl.runs.pairs import Pair, pair_of
from metarl.runs.several import PAIR, TASKS
from metarl.sim.kinds import make_worlds
from metarl.types import Spec


class ModularTrainer(MultiTaskTrainer):
    """Trains the parts of modular policies on some pairs of robot and skill; arguments as of its base.

    Raises:
        ConfigError: If the robot of a family cannot be chosen, or parts do not fit together.
    Source: Devin et al. 2017, arXiv:1609.07088.
    """

    method = "modular"
    config: ModularConfig

    @property
    def said(self) -> str:
        """Which parts there are, which pairs can be put together of them, and what is missing."""
        pairs = self.actor.pairs
        more = ", ".join(f"{pair.robot} with {pair.skill}" for pair in pairs.more)
        parts = [
            f"encoders and decoders of {', '.join(pairs.robots)}; cores of {', '.join(pairs.skills)}",
            f"never trained, and yet in the checkpoint: {more or 'no pair'}",
        ]
        for robot in pairs.robots:
            if strange := [column.name for column in pairs.unseen(robot)]:
                parts.append(f"{robot} never observes {', '.join(strange)}: zero weights")
        return "; ".join(parts)

    def make_networks(self) -> tuple[Any, Any]:
        """Draw the parts, and critics with a trunk that all share."""
        config, tasks = self.config, self.tasks
        trained = dict[Pair, Spec]()
        for family, spec in zip(tasks.families, tasks.specs):
            pair = pair_of(family)
            if pair in trained:
                raise ConfigError(
                    f"{family.id} is {pair.robot} with {pair.skill}, which stands there twice"
                )
            trained[pair] = spec
        pairs = Pairs(trained, more_pairs(trained, task_visible=config.task_visible))
        log_std = LOG_STD if config.log_std is None else config.log_std
        actor = ModularNetwork(pairs, config, self.generator, log_std=log_std)
        critic = SharedNetwork(
            tasks, [1] * len(tasks.specs), self.generator,
            hidden=config.hidden, one_head=False, head_gain=1.0,
        )  # fmt: skip
        if config.learner == "dagger":
            for spread in actor.log_std.values():
                spread.requires_grad_(False)
        return actor, critic

    def make_learner(self, critics: Shells) -> Learner:
        """As of its base, or one that looks back."""
        if self.config.hindsight:
            return ByHindsight(self.policies, self.config, self.generator)
        return super().make_learner(critics)

    def plain_network(self, hidden: Sequence[int]) -> dict[str, Any]:
        """As of its base; widths are those of the parts together."""
        return {**network_of(vars(self.config)), "hidden": self.actor.widths}

    def more_views(self) -> list[tuple[str, Spec, View]]:
        """The pairs that were never trained."""
        return [
            (pair.family, spec, self.actor.view(pair))
            for pair, spec in self.actor.pairs.more.items()
        ]

    @cached_property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """As of its base, with weight decay for the policies."""
        found = super().optimizers
        if self.config.weight_decay:
            plain = found["policy"].param_groups[0]
            found["policy"] = torch.optim.AdamW(
                plain["params"], lr=plain["lr"], eps=plain["eps"],
                weight_decay=self.config.weight_decay,
            )  # fmt: skip
        return found

    def _described(self) -> dict[str, Any]:
        pairs = [*self.actor.pairs.trained, *self.actor.pairs.more]
        tasks = zip(self._tasks(), pairs, strict=True)
        return {TASKS: [{**task, PAIR: list(pair)} for task, pair in tasks]}


def more_pairs(trained: Mapping[Pair, Spec], *, task_visible: bool) -> dict[Pair, Spec]:
    """Every pair of these robots and skills that is not among them, and the interface of its worlds."""
    robots = dict.fromkeys(pair.robot for pair in trained)
    skills = dict.fromkeys(pair.skill for pair in trained)
    pairs = [
        pair for pair in (Pair(*each) for each in product(robots, skills)) if pair not in trained
    ]
    return {
        pair: make_worlds(make_family(pair.family), 1, task_visible=task_visible).spec
        for pair in pairs
    }


METHOD = Method(
    "an encoder and a decoder for each robot, a core for each skill; pairs never trained work, too",
    Training(ModularConfig, ModularTrainer, variants={"learner": LEARNERS}, several=True),
    source="Devin et al. 2017, arXiv:1609.07088",
)
