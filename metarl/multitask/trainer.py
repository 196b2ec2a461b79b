"""One trunk over several families, by reward or by imitation."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from metarl.errors import CheckpointError, ConfigError, TrainingError
from metarl.family import TaskFamily
from metarl.learn.following import require_no_start
from metarl.meta.finite import require_finite
from metarl.methods import Method, Training, require_families
from metarl.multitask.aggregate import Aggregator
from metarl.multitask.config import BETWEEN, COSINE, LEARNERS, MultiTaskConfig
from metarl.multitask.learners import Gathered, Learner, learner_of, take_rows
from metarl.multitask.shared import SharedNetwork, Shells, critic_shells, policy_shells
from metarl.multitask.tasks import TaskList
from metarl.multitask.update import descend, descend_values
from metarl.nn.functional import parameters_of
from metarl.nn.policy import LOG_STD, network_of
from metarl.nn.views import View
from metarl.rl.lesson import expert_share
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.several import TASKS, TRUNK, describe_task, describe_trunk
from metarl.runs.state import flatten, load_optimizer, unflatten
from metarl.runs.trained import annealed, describe, join, part
from metarl.sim.kinds import make_worlds
from metarl.types import Spec

MOST_PAIRS = 66  # whose cosine is logged: those of 12 tasks


class MultiTaskTrainer:
    """Trains one trunk on the training tasks of several families.

    Args:
        families: The families; their order counts.
        config: Everything else that decides what is computed.
        initial: None: it starts from nothing.
        num_threads: Physics threads; 0 takes every core. It changes no result.
    Raises:
        ConfigError: If families do not fit together, one has no expert that is needed, or there is
            something to start from.
    Source: Ruder 2017, arXiv:1706.05098 (hard parameter sharing).
    """

    method = "multi-task"

    def __init__(
        self,
        families: Sequence[TaskFamily[Any]],
        config: MultiTaskConfig,
        *,
        initial: Mapping[str, Tensor] | None = None,
        num_threads: int = 0,
    ):
        if initial is not None:
            require_no_start(self.method)
        self.families, self.config = tuple(families), config
        require_families(self.method, [family.id for family in families])
        lacks = [f.id for f in families if config.learner == "dagger" and not f.has_expert()]
        if lacks:
            raise ConfigError(f"{lacks[0]} has no expert to imitate; learner=ppo needs none")
        self.worlds = [
            make_worlds(
                family,
                config.num_worlds,
                seed=config.noise_seed,
                task_visible=config.task_visible,
                num_threads=num_threads,
                first_stream=k * config.num_worlds,
            )
            for k, family in enumerate(families)
        ]
        self.tasks = TaskList(self.families, tuple(worlds.spec for worlds in self.worlds))
        self.generator = torch.Generator().manual_seed(config.seed)
        self.actor, self.critic = (net.to(config.device) for net in self.make_networks())
        if config.noise:
            self.generator.manual_seed(config.noise_seed)
        self.units = torch.zeros(len(self.families), device=config.device)
        self.policies = policy_shells(
            self.actor, self.tasks, config.device, **self.plain_network(config.hidden)
        )
        critics = critic_shells(self.critic, self.tasks, config.device, config.hidden)
        self.learner = self.make_learner(critics)
        self.iteration, self.num_steps, self.seconds = 0, 0, 0.0

    @property
    def said(self) -> str:
        """What the tasks share, in one line."""
        return self.tasks.said()

    def make_networks(self) -> tuple[Any, Any]:
        """Draw what the tasks' policies share, and their critics: modules with ``views`` and ``common``.

        Raises:
            ConfigError: If one head is asked for, and actions differ.
        """
        config, tasks = self.config, self.tasks
        one_head = config.heads == "shared"
        if one_head:
            tasks.require_same_actions()
        actor = SharedNetwork(
            tasks, [spec.action_dim for spec in tasks.specs], self.generator,
            hidden=config.hidden, one_head=one_head, head_gain=0.01, activation=config.activation,
            log_std=LOG_STD if config.log_std is None else config.log_std,
        )  # fmt: skip
        critic = SharedNetwork(
            tasks, [1] * len(tasks.specs), self.generator,
            hidden=config.hidden, one_head=one_head, head_gain=1.0,
        )  # fmt: skip
        if config.learner == "dagger":
            for spread in actor.log_stds:
                spread.requires_grad_(False)
        return actor, critic

    def make_learner(self, critics: Shells) -> Learner:
        """What learns of episodes."""
        return learner_of(self.config, self.policies, (critics, self.units), self.generator)

    def more_views(self) -> list[tuple[str, Spec, View]]:
        """Families that were not trained on, and yet have a policy made of what was: by name."""
        return []

    def plain_network(self, hidden: Sequence[int]) -> dict[str, Any]:
        """What each task's plain policy is made of."""
        return {**network_of(vars(self.config)), "hidden": tuple(hidden)}

    @cached_property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """What moves the policies, and the critics."""
        networks = {"policy": self.actor, "critic": self.critic}
        small = 1e-5 if self.config.learner == "ppo" else 1e-8  # an expert's losses end small
        return {
            name: torch.optim.Adam(
                [p for p in network.parameters() if p.requires_grad],
                lr=self.config.learning_rate, eps=small,
            )
            for name, network in networks.items()
        }  # fmt: skip

    @cached_property
    def aggregator(self) -> Aggregator:
        """What the tasks' gradients become."""
        config = self.config
        return Aggregator(
            config.aggregation, len(self.families), rate=config.learning_rate, device=config.device
        )

    # One iteration ----------------------------------------------------------------------

    def iterate(self) -> dict[str, float]:
        """Run an episode in every world of every task, and learn from all of them.

        Returns:
            Metrics by name; those of one task have its label behind a slash.
        Raises:
            TrainingError: If rewards, a gradient or parameters are not finite; everything then keeps
                its last good state.
        """
        start_s = time.perf_counter()
        diverged = sum(worlds.num_diverged for worlds in self.worlds)
        units, good = self.units.clone(), None  # episodes fix units
        try:
            gathered = self._gather()
            good = self._learned()  # not sooner: worlds can play before optimizers are loaded
            self.learner.prepare([each.samples for each in gathered])
            learned = self._learn(gathered)
            for name, network in (("policy", self.actor), ("critic", self.critic)):
                require_finite(f"the {name}", parameters_of(network), "learning_rate")
        except TrainingError:
            if good is not None:
                self._load_learned(good)
            self.units.copy_(units)
            raise
        seconds, steps = time.perf_counter() - start_s, sum(g.num_steps for g in gathered)
        self.iteration += 1
        self.num_steps += steps
        self.seconds += seconds
        return {
            **self._outcomes(gathered),
            **learned,
            "num_diverged": sum(w.num_diverged for w in self.worlds) - diverged,
            "num_steps": self.num_steps,
            "steps_per_s": steps / seconds,
        }

    def _gather(self) -> list[Gathered]:
        share = expert_share(self.config, self.iteration, self.seconds)
        gathered = []
        for k, worlds in enumerate(self.worlds):
            worlds.assign(worlds.sample("train"))
            gathered.append(self.learner.gather(k, worlds, share))
        return gathered

    def _outcomes(self, gathered: Sequence[Gathered]) -> dict[str, float]:
        found = dict[str, float]()
        for name in gathered[0].outcome:
            rates = [each.outcome[name] for each in gathered]
            found[name] = sum(rates) / len(rates)
            found |= {f"{name}/{label}": r for label, r in zip(self.tasks.labels, rates)}
        return found

    def _learn(self, gathered: Sequence[Gathered]) -> dict[str, float]:
        """Take an iteration's gradient steps; returns the last pass's mean losses, and cosines."""
        config, samples = self.config, [each.samples for each in gathered]
        share = annealed(config, self.iteration, self.seconds)
        for optimizer in self.optimizers.values():
            optimizer.param_groups[0]["lr"] = share * config.learning_rate
        sizes = [len(each["obs"]) for each in samples]
        count = min(-(-max(sizes) // config.minibatch), *sizes)
        losses, values, cosines = [], [], []
        for epoch in range(config.epochs):
            orders = [
                torch.randperm(n, generator=self.generator).tensor_split(count) for n in sizes
            ]
            for i, rows in enumerate(zip(*orders)):
                some = [take_rows(x, r.to(config.device)) for x, r in zip(samples, rows)]
                stepped = descend(
                    self.learner, some, self.actor, self.optimizers["policy"], self.aggregator,
                    max_grad_norm=config.max_grad_norm, generator=self.generator, apart=i == 0,
                )  # fmt: skip
                if stepped.cosines is not None:
                    cosines.append(stepped.cosines)
                if config.learner == "ppo":
                    values.append(self._descend_values(some))
                if epoch == config.epochs - 1:
                    losses.append(stepped.losses)
        found = self._named("loss", torch.stack(losses).mean(0))
        if values:
            found["loss/value"] = float(torch.stack(values).mean())
        return {**found, **self._conflict(torch.stack(cosines).mean(0))}

    def _descend_values(self, some: Any) -> Tensor:
        return descend_values(
            self.learner, some, self.critic, self.optimizers["critic"],
            max_grad_norm=self.config.max_grad_norm,
        )  # fmt: skip

    def _named(self, name: str, each: Tensor) -> dict[str, float]:
        mine = {f"{name}/{label}": x for label, x in zip(self.tasks.labels, each.tolist())}
        return {name: float(each.mean()), **mine}

    def _conflict(self, cosines: Tensor) -> dict[str, float]:
        """How the tasks' gradients on what they share agree: 1 alike, below 0 in conflict."""
        labels, pairs = self.tasks.labels, dict[str, float]()
        for i, a in enumerate(labels):
            for j in range(i + 1, len(labels)):
                pairs[f"{COSINE}/{a}{BETWEEN}{labels[j]}"] = float(cosines[i, j])
        if not pairs:
            return {}
        mean, least = sum(pairs.values()) / len(pairs), min(pairs.values())
        each = pairs if len(pairs) <= MOST_PAIRS else {}
        return {COSINE: mean, f"{COSINE}/least": least, **each}

    # State ------------------------------------------------------------------------------

    def _learned(self) -> dict[str, Any]:
        """Copies of everything that gradient steps change."""
        found = {
            "critic": self.critic.state_dict(),
            "units": self.units,
            "aggregator": self.aggregator.state(),
            "optimizers": {n: o.state_dict() for n, o in self.optimizers.items()},
            "policy": self.actor.state_dict(),
        }
        return copy.deepcopy(found)

    def _load_learned(self, saved: Mapping[str, Any]) -> None:
        try:
            self.actor.load_state_dict(saved["policy"])
            self.critic.load_state_dict(saved["critic"])
            self.units.copy_(saved["units"])
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(f"this state is of another policy: {error}") from error
        for name, optimizer in self.optimizers.items():
            load_optimizer(optimizer, saved["optimizers"][name])
        self.aggregator.load(saved["aggregator"])

    def checkpoint(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give what a run saves: what the tasks share, ``policy.*``, how each is made of it, and what
        resuming needs."""
        learned = self._learned()
        del learned["policy"]
        state = {
            "learned": learned,
            "generator": self.generator.get_state(),
            "worlds": [worlds.state_dict() for worlds in self.worlds],
            "progress": (self.iteration, self.num_steps, self.seconds),
        }
        tensors, meta = flatten(state)
        tensors |= join("policy", self.actor.state_dict())
        meta |= describe(
            self.method, " + ".join(self.tasks.names), self.tasks.union, self.config,
            steps=self.num_steps, seconds=self.seconds,
        )  # fmt: skip
        return tensors, meta | self._described()

    def _described(self) -> dict[str, Any]:
        trunk = self.actor.trunk_view(range(self.tasks.obs_dim))
        return {TASKS: self._tasks(), TRUNK: describe_trunk(self.tasks.columns, trunk)}

    def _tasks(self) -> list[dict[str, Any]]:
        """Describe the tasks that were trained, and behind them those that were not."""
        trained = zip(self.tasks.names, self.tasks.specs, self.actor.views)
        tasks = [describe_task(name, spec, view) for name, spec, view in trained]
        return tasks + [describe_task(*more, trained=False) for more in self.more_views()]

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from a `checkpoint` of the same families and config.

        Raises:
            CheckpointError: If it is of others.
        """
        state = unflatten(checkpoint.tensors, checkpoint.meta)
        self._load_learned({**state["learned"], "policy": part("policy", checkpoint.tensors)})
        self.generator.set_state(state["generator"])
        for worlds, saved in zip(self.worlds, state["worlds"], strict=True):
            worlds.load_state_dict(saved)
        self.iteration, self.num_steps, self.seconds = state["progress"]


METHOD = Method(
    "one trunk over several families, by reward or by imitation, the task in view",
    Training(MultiTaskConfig, MultiTaskTrainer, variants={"learner": LEARNERS}, several=True),
    source="Ruder 2017, arXiv:1706.05098",
)
