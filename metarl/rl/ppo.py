"""Pretraining with Stable-Baselines3's PPO on our own networks and worlds.

SB3's zip files are never written nor read: what SB3 trains is a `GaussianPolicy` and a
`Critic`, saved as every checkpoint here.
"""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from torch import Tensor

from metarl.errors import CheckpointError, ConfigError, TrainingError
from metarl.family import TaskFamily
from metarl.interop.sb3 import FamilyVecEnv
from metarl.methods import Method, Training
from metarl.nn.network import load_partial
from metarl.nn.policy import LOG_STD, GaussianPolicy
from metarl.rl.actor_critic import ActorCritic
from metarl.rl.config import PpoConfig
from metarl.rl.random_state import check_random_state, lend, read_random_state
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.state import flatten, load_optimizer, unflatten
from metarl.runs.trained import describe, join, part
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


class _Outcomes(BaseCallback):
    """Keeps how the iteration's episodes ended, and what the networks were before they learned.

    It also values what the time limit cut off: SB3 asks the critic about one ended world after
    another; here all are one batch.
    """

    def __init__(self, reward_scale: float) -> None:
        super().__init__()
        self.reward_scale = reward_scale
        self.successes: list[bool] = []
        self.returns: list[float] = []
        self.terms: dict[str, float] = {}
        self.good: tuple[dict[str, Any], dict[str, Any]] = ({}, {})

    def _on_rollout_start(self) -> None:
        self.successes, self.returns, self.terms = [], [], {}

    def _on_rollout_end(self) -> None:
        net = cast(ActorCritic, self.model.policy)
        self.good = copy.deepcopy((net.state_dict(), net.optimizer.state_dict()))

    def _on_step(self) -> bool:
        self.locals["rewards"] *= self.reward_scale
        step = cast(FamilyVecEnv, self.locals["env"]).latest
        for name, values in step.terms.items() if step else ():
            self.terms[name] = self.terms.get(name, 0.0) + float(values.mean())
        if self.locals["dones"].any():
            ended = [info for info in self.locals["infos"] if info]
            self.successes += [info["is_success"] for info in ended]
            self.returns += [info["episode"]["r"] for info in ended]
            self._bootstrap()
        return True

    @torch.no_grad()
    def _bootstrap(self) -> None:
        infos, rewards = self.locals["infos"], self.locals["rewards"]
        ids = [i for i, info in enumerate(infos) if info.get("TimeLimit.truncated")]
        if not ids:
            return
        last = np.stack([infos[i]["terminal_observation"] for i in ids])
        model = cast(PPO, self.model)
        critic = cast(ActorCritic, model.policy)
        values = critic.predict_values(torch.as_tensor(last, device=model.device))[:, 0]
        rewards[ids] += model.gamma * values.cpu().numpy()
        for i in ids:
            infos[i]["TimeLimit.truncated"] = False  # or SB3 would add the value once more


class PpoTrainer:
    """Trains a policy that sees its task, on a family's training tasks.

    Args:
        family: The family.
        config: Everything else that decides what is computed.
        initial: Parameters of a `GaussianPolicy` to start from; those that fit are taken,
            but for the task context: it stays zero while the task is seen.
        num_threads: Physics threads; 0 takes every core. It changes no result.
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
            seed=config.seed,
            task_visible=config.task_visible,
            num_threads=num_threads,
        )
        self.random_state = read_random_state()
        with lend(self.random_state):
            self.model = self._build()
        if initial is not None:
            own = ("context",) if config.log_std is None else ("context", "log_std")
            given = {name: tensor for name, tensor in initial.items() if name not in own}
            report = load_partial(self.policy, given)
            if not report.loaded:
                raise ConfigError(f"none of the initial parameters fits this policy:\n{report}")
        self.outcomes = _Outcomes(config.reward_scale)
        self.iteration, self.num_steps, self.seconds = 0, 0, 0.0

    def _build(self) -> PPO:
        config, spec = self.config, self.env.worlds.spec
        with warnings.catch_warnings():  # about GPUs, and batches that do not divide evenly
            warnings.simplefilter("ignore", UserWarning)
            model = self._make_ppo(config, spec)
        model.set_logger(Logger(folder=None, output_formats=[]))
        return model

    def _make_ppo(self, config: PpoConfig, spec: Spec) -> PPO:
        return PPO(
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
            seed=config.seed,
            device=config.device,
            policy_kwargs={
                "context_dim": spec.task_dim,
                "hidden": config.hidden,
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
            "num_diverged": self.env.worlds.num_diverged - diverged,
            "num_steps": self.num_steps,
            "steps_per_s": steps / seconds,
        }

    def _losses(self) -> dict[str, float]:
        """What SB3 noted of the last update, by our names."""
        noted = self.model.logger.name_to_value
        return {name: float(noted[key]) for key, name in _NOTED.items() if key in noted}

    def checkpoint(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give what a run saves: ``policy.*``, ``critic.*``, and what resuming needs."""
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
        }
        tensors, meta = flatten(state)
        tensors |= join("policy", net.actor.state_dict())
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
