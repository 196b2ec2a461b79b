"""Pretraining with Stable-Baselines3's PPO on our own networks and worlds.

SB3's zip files are never written nor read: what SB3 trains is a `GaussianPolicy` and a
`Critic`, saved as every checkpoint here.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger
from torch import Tensor

from metarl.errors import CheckpointError, TrainingError
from metarl.family import TaskFamily
from metarl.interop.sb3 import FamilyVecEnv
from metarl.methods import Method, Training
from metarl.nn.policy import LOG_STD, GaussianPolicy, network_of
from metarl.rl.actor_critic import ActorCritic
from metarl.rl.beginning import begin, resume
from metarl.rl.config import PpoConfig
from metarl.rl.outcomes import Outcomes
from metarl.rl.random_state import check_random_state, lend, read_random_state
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.state import flatten, load_optimizer, unflatten
from metarl.runs.trained import describe, join, part, spent
from metarl.sim.given import checked_saved
from metarl.types import Spec

# SB3's names of what it notes of an update, and ours.
_NOTED = {
    "train/policy_gradient_loss": "loss/policy",
    "train/value_loss": "loss/value",
    "train/entropy_loss": "loss/entropy",
    "train/approx_kl": "kl",
    "train/clip_fraction": "clip_fraction",
    "train/explained_variance": "explained_variance",
}


class Ppo(PPO):
    """Stable-Baselines3's, whose learning rates are what the actor's strategy makes of them."""

    def _update_learning_rate(self, optimizers: Any) -> None:
        super()._update_learning_rate(optimizers)
        cast(ActorCritic, self.policy).set_rates(self.lr_schedule(self._current_progress_remaining))


class PpoTrainer:
    """Trains a policy that sees its task, on a family's training tasks.

    The actor learns as the config's strategy says. The critic has no source: it starts afresh and
    learns everything at the whole rate, under every strategy.

    Args:
        family: The family.
        config: Everything else that decides what is computed.
        initial: Parameters of a `GaussianPolicy` to start from; of those that fit, the ones that the
            strategy takes are taken, but for the task context: it stays zero while the task is seen.
        num_threads: Physics threads; 0 takes every core. It changes no result.
    Raises:
        ConfigError: If none of the initial parameters fits, or there are not those that the strategy
            needs.
    """

    method = "ppo"

    def __init__(
        self,
        family: TaskFamily[Any],
        config: PpoConfig,
        *,
        initial: Mapping[str, Tensor] | None = None,
        num_threads: int = 0,
    ):
        self.family, self.config = family, config
        self.env = FamilyVecEnv(
            family,
            config.num_worlds,
            seed=config.noise_seed,
            task_visible=config.task_visible,
            num_threads=num_threads,
        )
        self.random_state = read_random_state()
        with lend(self.random_state):
            self.model = self._build()
        begin(self.networks, config, initial)
        self.outcomes = Outcomes(config.reward_scale)
        self.iteration, self.num_steps, self.seconds = 0, 0, 0.0

    def _build(self) -> Ppo:
        config, spec = self.config, self.env.worlds.spec
        with warnings.catch_warnings():  # about GPUs, and batches that do not divide evenly
            warnings.simplefilter("ignore", UserWarning)
            model = self._make_ppo(config, spec)
        model.set_logger(Logger(folder=None, output_formats=[]))
        return model

    def _make_ppo(self, config: PpoConfig, spec: Spec) -> Ppo:
        return Ppo(
            ActorCritic,
            self.env,
            learning_rate=config.learning_rate,
            n_steps=spec.horizon,
            batch_size=min(config.minibatch, spec.horizon * config.num_worlds),
            n_epochs=config.epochs,
            gamma=config.gamma,
            gae_lambda=config.lam,
            clip_range=config.clip,
            ent_coef=config.entropy,
            max_grad_norm=config.max_grad_norm,
            seed=config.noise_seed,
            device=config.device,
            policy_kwargs={
                "context_dim": spec.task_dim,
                "network": network_of(vars(config)),
                "first_log_std": LOG_STD if config.log_std is None else config.log_std,
                "seed": config.seed,
            },
        )

    @property
    def networks(self) -> ActorCritic:
        """The actor and the critic."""
        return cast(ActorCritic, self.model.policy)

    @property
    def policy(self) -> GaussianPolicy:
        """The actor."""
        return self.networks.actor

    def iterate(self) -> dict[str, float]:
        """Run one episode in every world and improve the policy on them.

        Returns:
            Metrics by name.
        Raises:
            TrainingError: If the networks are no longer finite; they and the optimizer then
                keep their last good state.
        """
        start_s = time.perf_counter()
        horizon = self.env.worlds.spec.horizon
        steps, diverged = self.config.num_worlds * horizon, self.env.worlds.num_diverged
        net = self.networks
        net.begin_iteration(spent(self.config, self.iteration, self.seconds))
        with lend(self.random_state):
            self.model.learn(steps, callback=self.outcomes, reset_num_timesteps=False)
        if not all(torch.isfinite(p).all() for p in net.parameters()):
            networks, optimizer = self.outcomes.good
            net.load_state_dict(networks)
            net.optimizer.load_state_dict(optimizer)
            raise TrainingError("the policy is not finite any more; try a smaller learning_rate")
        seconds = time.perf_counter() - start_s
        self.iteration += 1
        self.num_steps += steps
        self.seconds += seconds
        return {
            "success": float(np.mean(self.outcomes.successes)),
            "return": float(np.mean(self.outcomes.returns)),
            "std": float(self.policy.log_std.detach().exp().mean()),
            **{f"term/{name}": total / horizon for name, total in self.outcomes.terms.items()},
            **self._losses(),
            **net.added_losses(),
            "num_diverged": self.env.worlds.num_diverged - diverged,
            "num_steps": self.num_steps,
            "steps_per_s": steps / seconds,
        }

    def _losses(self) -> dict[str, float]:
        """What SB3 noted of the last update, by our names."""
        noted = self.model.logger.name_to_value
        return {name: float(noted[key]) for key, name in _NOTED.items() if key in noted}

    def checkpoint(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give what a run saves: ``policy.*``, ``critic.*``, and what resuming needs.

        The policy is what its strategy hands out, as plain weights; what goes on learning is beside it
        where it is something else.
        """
        net, env = self.networks, self.env
        obs = self.model._last_obs
        state = {
            "optimizer": net.optimizer.state_dict(),
            "random": self.random_state,
            "worlds": env.worlds.state_dict(),
            "returns": env._returns.copy(),
            "lengths": env._lengths.copy(),
            "last_obs": None if obs is None else np.array(obs),
            "counters": (self.model.num_timesteps, self.model._n_updates),
            "progress": (self.iteration, self.num_steps, self.seconds),
            **({"student": student} if (student := net.student.state()) else {}),
        }
        tensors, meta = flatten(state)
        tensors |= join("policy", {**net.actor.state_dict(), **net.student.finished()})
        tensors |= join("critic", net.critic.state_dict())
        meta |= describe(
            self.method, self.family.id, env.worlds.spec, self.config,
            steps=self.num_steps, seconds=self.seconds,
        )  # fmt: skip
        return tensors, meta

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from a `checkpoint` of the same family and config."""
        net, env, tensors = self.networks, self.env, checkpoint.tensors
        state = unflatten(tensors, checkpoint.meta)
        try:
            net.actor.load_state_dict(part("policy", tensors))
            net.critic.load_state_dict(part("critic", tensors))
            resume(net, self.config, state.get("student"))
        except RuntimeError as error:
            raise CheckpointError(f"this state is of another policy: {error}") from error
        load_optimizer(net.optimizer, state["optimizer"])
        self.random_state = check_random_state(state["random"])
        env.worlds.load_state_dict(state["worlds"])
        env._returns = checked_saved(state["returns"], env._returns, "returns")
        env._lengths = checked_saved(state["lengths"], env._lengths, "lengths")
        obs = state["last_obs"]
        self.model._last_obs = None if obs is None else self._checked_obs(obs)
        # SB3 wants it and never uses its value: advantages look at the starts after the first row.
        self.model._last_episode_starts = np.ones(self.config.num_worlds, bool)
        self.model.num_timesteps, self.model._n_updates = state["counters"]
        self.iteration, self.num_steps, self.seconds = state["progress"]

    def _checked_obs(self, saved: Any) -> np.ndarray:
        space = self.env.observation_space
        shape = (self.config.num_worlds, *(space.shape or ()))
        return checked_saved(saved, np.zeros(shape, space.dtype), "last_obs")


METHOD = Method(
    "Stable-Baselines3's PPO, the task in view",
    Training(PpoConfig, PpoTrainer),
    source="Schulman et al. 2017, arXiv:1707.06347",
)
