"""Meta-critic networks: one critic of many tasks that teaches each task's own actor."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from metarl.adapt.adaptation import Adapted, ByParameters, per_task
from metarl.adapt.meeting import Meeting
from metarl.errors import CheckpointError
from metarl.family import TaskFamily
from metarl.learn.rollout import Trajectories
from metarl.meta.critic.config import MetaCriticConfig
from metarl.meta.critic.lessons import (
    Errors,
    Lesson,
    critic_errors,
    draw_pair,
)
from metarl.meta.critic.teaching import RATES, School
from metarl.meta.finite import require_finite
from metarl.meta.trainer import MetaTrainer, outcomes
from metarl.methods import Adapting, Method, Training
from metarl.nn.critics import MetaCritic
from metarl.nn.functional import Params, parameters_of
from metarl.nn.policy import GaussianPolicy, network_of, start_policy
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.networks import load_network
from metarl.runs.policies import config_of, load_policy_for
from metarl.runs.state import load_optimizer
from metarl.runs.trained import annealed
from metarl.sim.blocks import ObservationStack
from metarl.sim.worlds import Worlds
from metarl.types import Spec

_MOMENTUM = 0.9  # of how steep values are


class MetaCriticTrainer(MetaTrainer):
    """Trains a critic on a family's training tasks, by teaching actors there.

    Every iteration draws K tasks, gives each a fresh actor, teaches it U times, and then lets
    critic and encoder learn from what all actors did. A fresh actor is the pretrained policy
    where one is given, with the task hidden from it; else a network drawn anew.

    Args:
        family: The family.
        config: Everything else that decides what is computed.
        initial: Parameters of a pretrained `GaussianPolicy`; those that fit are taken.
        num_threads: Physics threads; 0 takes every core. It changes no result.
    Raises:
        ConfigError: If none of the initial parameters fits.
    """

    method = "meta-critic"
    networks = ("policy", "meta_critic")  # a fresh actor, and the critic
    config: MetaCriticConfig

    def __init__(
        self,
        family: TaskFamily[Any],
        config: MetaCriticConfig,
        *,
        initial: Mapping[str, Tensor] | None = None,
        num_threads: int = 0,
    ):
        super().__init__(family, config, num_threads=num_threads)
        self.pretrained = initial is not None
        self.policy = self._draw_actor(initial)
        self.critic = make_critic(self.worlds.spec, config, self.generator).to(config.device)
        self.memory: list[list[Lesson]] = []

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """Moves the critic."""
        return torch.optim.Adam(self.critic.parameters(), lr=self.config.critic_rate)

    def _draw_actor(self, initial: Mapping[str, Tensor] | None = None) -> GaussianPolicy:
        config = self.config
        actor = start_policy(
            self.worlds.spec, self.generator,
            initial=initial, log_std=config.log_std, **network_of(vars(config)),
        )  # fmt: skip
        return actor.to(config.device)

    def _fresh_actors(self) -> Params:
        """Give each task an actor, parameters (K, ...)."""
        if self.pretrained:
            return per_task(self.policy, parameters_of(self.policy), self.config.num_tasks)
        drawn = [parameters_of(self._draw_actor()) for _ in range(self.config.num_tasks)]
        return {name: torch.stack([d[name].detach() for d in drawn]) for name in drawn[0]}

    # One iteration ----------------------------------------------------------------------

    def iterate(self) -> dict[str, float]:
        """Teach fresh actors in fresh tasks, and improve the critic on what they did.

        Returns:
            Metrics by name: success and return before and after teaching, and the like.
        Raises:
            TrainingError: If rewards, taught actors, loss or gradient are not finite; critic
                and optimizer then keep their last good state.
        """
        start_s = time.perf_counter()
        self.draw_tasks()
        school, episodes = self._hold_school()
        self.memory = [*self.memory, school.lessons][-self.config.memory :]
        collected_s = time.perf_counter()
        errors = self._improve_critic()
        self._measure_steepness(school)
        end_s = time.perf_counter()
        self.iteration += 1
        self.num_steps += sum(e.num_steps for e in episodes)
        self.seconds += end_s - start_s
        return {
            **outcomes(episodes),
            "value_error": float(errors.value),
            "task_error": float(errors.task),
            "steepness": float(self.critic.scale),
            "num_steps": self.num_steps,
            "steps_per_s": sum(e.num_steps for e in episodes) / (end_s - start_s),
            "collect_s": collected_s - start_s,
            "update_s": end_s - collected_s,
        }

    def _hold_school(self) -> tuple[School, list[Trajectories]]:
        """Collect and teach U times, and collect once more."""
        task = task_blocks(self.worlds, self.config.num_tasks).to(self.config.device)
        school = School(
            self.worlds, self.policy, self._fresh_actors(), self.critic, self.config,
            task=task, generator=self.generator,
        )  # fmt: skip
        episodes = []
        for _ in range(self.config.updates):
            episodes.append(school.explore())
            if self.iteration == 0 and len(episodes) == 1:
                self.critic.standardise(school.lessons[0].trace)
                self._measure_steepness(school)
            school.teach()
        episodes.append(school.explore())
        return school, episodes

    def _measure_steepness(self, school: School) -> None:
        """Keep track of the unit in which an actor's gain is measured."""
        found = school.steepness()
        require_finite("how steep the critic's values are", {"steepness": found}, RATES)
        scale = self.critic.scale
        first = self.iteration == 0
        scale.copy_(found if first else _MOMENTUM * scale + (1.0 - _MOMENTUM) * found)

    def _improve_critic(self) -> Errors:
        """Take gradient steps on what is remembered; returns the mean errors before them."""
        config = self.config
        self.optimizer.param_groups[0]["lr"] = config.critic_rate * annealed(
            config, self.iteration, self.seconds
        )
        found = []
        for _ in range(config.critic_steps):
            pair = draw_pair(
                self.memory, config.lessons, config.judged, config.encoded, self.generator
            )
            errors = critic_errors(self.critic, pair, config.gamma, config.lam)
            self._step(errors.value + config.task_weight * errors.task)
            found.append(Errors(*(e.detach() for e in errors)))
        return Errors(*(torch.stack(column).mean() for column in zip(*found)))

    def _step(self, loss: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.critic.parameters(), self.config.max_grad_norm)
        require_finite("the critic's loss and gradient", {"loss": loss, "norm": norm}, RATES)
        self.optimizer.step()

    # State ------------------------------------------------------------------------------

    def own_state(self) -> dict[str, Any]:
        """Everything of the method's that the next iteration depends on."""
        return {
            "policy": self.policy.state_dict(),
            "meta_critic": self.critic.state_dict(),
            "pretrained": self.pretrained,
            "optimizer": self.optimizer.state_dict(),
            "memory": [[tuple(lesson) for lesson in lessons] for lessons in self.memory],
        }

    def load_own_state(self, saved: Mapping[str, Any]) -> None:
        """Continue from an `own_state`."""
        try:
            self.policy.load_state_dict(saved["policy"])
            self.critic.load_state_dict(saved["meta_critic"])
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(f"this state is of another critic: {error}") from error
        self.pretrained = saved["pretrained"]
        load_optimizer(self.optimizer, saved["optimizer"])
        self.memory = [[self._lesson(rows) for rows in lessons] for lessons in saved["memory"]]

    def _lesson(self, rows: Sequence[Tensor]) -> Lesson:
        return Lesson(*(x.to(self.config.device) for x in rows))


def make_critic(spec: Spec, config: MetaCriticConfig, generator: torch.Generator) -> MetaCritic:
    """Make a critic of a family's tasks, untrained."""
    asked = spec.task_dim if config.task_weight > 0.0 else 0
    return MetaCritic(
        spec.obs_dim, spec.action_dim, asked, generator, hidden=config.critic_hidden,
        encoder_hidden=config.encoder_hidden, num_features=config.embedding,
    )  # fmt: skip


def task_blocks(worlds: Worlds, num_tasks: int) -> Tensor:
    """The ``task`` block of each task as it is where nothing is hidden, shape (K, C)."""
    stack = ObservationStack(worlds.spec, worlds.family.task_type)
    stack.show(worlds.task, True)
    block = stack.blank()[:, worlds.spec.slice("task")]
    return torch.from_numpy(block[:: worlds.num_worlds // num_tasks].copy())


def by_critic(checkpoint: Checkpoint, meeting: Meeting, _: None = None) -> ByParameters:
    """Let the trained critic, which stays as it is, teach a fresh actor in each task.

    Args:
        checkpoint: Of a `MetaCriticTrainer`.
        meeting: With the tasks.
    Raises:
        CheckpointError: If it has no critic, another config, or another interface.
    """
    config, worlds = config_of(checkpoint), meeting.worlds()
    policy = load_policy_for(checkpoint, worlds)
    critic = load_network(
        checkpoint, "meta_critic", lambda: make_critic(worlds.spec, config, torch.Generator())
    )
    num_tasks, generator = meeting.num_tasks, meeting.generator
    school = School(
        worlds, policy, per_task(policy, parameters_of(policy), num_tasks), critic, config,
        task=task_blocks(worlds, num_tasks), generator=generator,
    )  # fmt: skip
    return ByParameters(
        worlds, policy, _lessons(school, meeting.updates), num_tasks=num_tasks, generator=generator
    )


def _lessons(school: School, updates: int) -> Iterator[Adapted]:
    for _ in range(updates):
        episodes = school.explore()
        school.teach()
        yield Adapted(school.params, episodes)


METHOD = Method(
    "a critic of many tasks that teaches each task's actor",
    Training(MetaCriticConfig, MetaCriticTrainer),
    Adapting(by_critic),
    "Sung et al. 2017, arXiv:1706.09529",
)
