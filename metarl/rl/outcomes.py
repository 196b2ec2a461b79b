"""What an iteration of PPO came to, as Stable-Baselines3 calls back."""

from __future__ import annotations

import copy
from typing import Any, cast

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback

from metarl.interop.sb3 import FamilyVecEnv
from metarl.rl.actor_critic import ActorCritic


class Outcomes(BaseCallback):
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
