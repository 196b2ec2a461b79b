"""Pretraining by imitation: a policy that sees its task learns from the family's expert."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metarl.errors import CheckpointError, ConfigError, TrainingError
from metarl.family import TaskFamily
from metarl.methods import Method, Training
from metarl.nn.policy import network_of, start_policy
from metarl.rl.config import DaggerConfig
from metarl.rl.lesson import collect_lesson, expert_share
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.state import flatten, load_optimizer, unflatten
from metarl.runs.trained import annealed, describe, join, part
from metarl.sim.kinds import make_worlds

NOT_LEARNED = ("context", "log_std")


class DaggerTrainer:
    """Trains a policy on the expert's answers to the states that the policy itself gets into.

    Args:
        family: The family; it must have an expert.
        config: Everything else that decides what is computed.
        initial: Parameters of a `GaussianPolicy` to start from; those that fit are taken,
            but for the task context: it stays zero while the task is seen.
        num_threads: Physics threads; 0 takes every core. It changes no result.
    Raises:
        ConfigError: If the family has no expert, or none of the initial parameters fits.
    Source: Ross et al. 2011, arXiv:1011.0686.
    Deviation: Every iteration learns from its own episodes alone; with hundreds of worlds
        these are enough, and nothing has to be stored. Expert and learner take turns by segments
        of an episode, not by steps: a learner's errors need time to show.
    """

    method = "dagger"

    def __init__(
        self,
        family: TaskFamily[Any],
        config: DaggerConfig,
        *,
        initial: Mapping[str, Tensor] | None = None,
        num_threads: int = 0,
    ):
        if not family.has_expert():
            raise ConfigError(f"{family.id or type(family).__name__} has no expert to imitate")
        self.family, self.config = family, config
        self.worlds = make_worlds(
            family,
            config.num_worlds,
            seed=config.noise_seed,
            task_visible=config.task_visible,
            num_threads=num_threads,
        )
        self.generator = torch.Generator().manual_seed(config.seed)
        given = initial and {n: t for n, t in initial.items() if n not in NOT_LEARNED}
        self.policy = start_policy(
            self.worlds.spec, self.generator,
            initial=given, log_std=config.log_std, **network_of(vars(config)),
        ).to(config.device)  # fmt: skip
        if config.noise:
            self.generator.manual_seed(config.noise_seed)
        self.learned = [p for n, p in self.policy.named_parameters() if n not in NOT_LEARNED]
        self.iteration, self.num_steps, self.seconds = 0, 0, 0.0

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """Moves what learns."""
        return torch.optim.Adam(self.learned, lr=self.config.learning_rate)

    def iterate(self) -> dict[str, float]:
        """Run one episode in every world and learn what the expert would have done there.

        Returns:
            Metrics by name; success and return are those of whoever acted, noise included.
        Raises:
            TrainingError: If the policy is no longer finite; it keeps its last good state then.
        """
        start_s, diverged = time.perf_counter(), self.worlds.num_diverged
        obs, wanted, outcome = self._collect()
        good = {n: t.clone() for n, t in self.policy.state_dict().items()}
        share = annealed(self.config, self.iteration, self.seconds)
        self.optimizer.param_groups[0]["lr"] = share * self.config.learning_rate
        loss = self._learn(obs, wanted)
        if not all(torch.isfinite(p).all() for p in self.policy.parameters()):
            self.policy.load_state_dict(good)
            raise TrainingError("the policy is not finite any more; try a smaller learning_rate")
        seconds = time.perf_counter() - start_s
        self.iteration += 1
        self.num_steps += len(obs)
        self.seconds += seconds
        return {
            **outcome,
            "loss": loss,
            "num_diverged": self.worlds.num_diverged - diverged,
            "num_steps": self.num_steps,
            "steps_per_s": len(obs) / seconds,
        }

    def _collect(self) -> tuple[Tensor, Tensor, dict[str, float]]:
        """Run an episode in every world, on new tasks.

        Returns:
            Observations (M, D), the expert's actions (M, A), and what the episodes came to.
        """
        config, worlds = self.config, self.worlds
        worlds.assign(worlds.sample("train"))
        lesson = collect_lesson(
            worlds, self._act, share=expert_share(config, self.iteration, self.seconds),
            segment=config.segment, generator=self.generator,
        )  # fmt: skip
        obs, wanted = (torch.from_numpy(x).to(config.device) for x in lesson[:2])
        return obs, wanted, lesson.outcome

    @torch.no_grad()
    def _act(self, obs: np.ndarray) -> np.ndarray:
        mean, log_std = self.policy(torch.from_numpy(obs).to(self.config.device))
        noise = torch.randn(mean.shape, generator=self.generator).to(mean.device)
        return (mean + log_std.exp() * noise).cpu().numpy()

    def _learn(self, obs: Tensor, wanted: Tensor) -> float:
        """Regress the mean action onto the expert's; returns the last pass's mean loss."""
        total = 0.0
        for _ in range(self.config.epochs):
            total = 0.0
            order = torch.randperm(len(obs), generator=self.generator).to(obs.device)
            for rows in order.split(self.config.minibatch):
                loss = ((self.policy(obs[rows])[0] - wanted[rows]) ** 2).mean()
                self.optimizer.zero_grad()
                loss.backward(inputs=self.learned)
                torch.nn.utils.clip_grad_norm_(self.learned, self.config.max_grad_norm)
                self.optimizer.step()
                total += float(loss.detach()) * len(rows) / len(obs)
        return total

    # State ------------------------------------------------------------------------------

    def checkpoint(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give what a run saves: ``policy.*``, and what resuming needs."""
        state = {
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "worlds": self.worlds.state_dict(),
            "progress": (self.iteration, self.num_steps, self.seconds),
        }
        tensors, meta = flatten(state)
        tensors |= join("policy", self.policy.state_dict())
        meta |= describe(
            self.method, self.family.id, self.worlds.spec, self.config,
            steps=self.num_steps, seconds=self.seconds,
        )  # fmt: skip
        return tensors, meta

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from a `checkpoint` of the same family and config.

        Raises:
            CheckpointError: If it is of another policy.
        """
        state = unflatten(checkpoint.tensors, checkpoint.meta)
        try:
            self.policy.load_state_dict(part("policy", checkpoint.tensors))
        except RuntimeError as error:
            raise CheckpointError(f"this state is of another policy: {error}") from error
        load_optimizer(self.optimizer, state["optimizer"])
        self.generator.set_state(state["generator"])
        self.worlds.load_state_dict(state["worlds"])
        self.iteration, self.num_steps, self.seconds = state["progress"]


METHOD = Method(
    "imitation of the family's expert, the task in view",
    Training(DaggerConfig, DaggerTrainer, needs="an expert"),
    source="Ross et al. 2011, arXiv:1011.0686",
)
