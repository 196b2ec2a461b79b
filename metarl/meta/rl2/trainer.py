"""RL2: a policy whose memory learns to learn; at test time nothing but the memory changes."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from metarl.errors import CheckpointError, TrainingError
from metarl.family import TaskFamily
from metarl.meta.finite import require_finite
from metarl.meta.rl2.adaptation import by_memory, make_memory
from metarl.meta.rl2.config import Rl2Config
from metarl.meta.rl2.trial import Lesson, Trials, advantages, run_trials
from metarl.meta.rl2.update import RATES, TrialCritic, descend, policy_loss, task_loss
from metarl.meta.trainer import MetaTrainer, outcomes
from metarl.methods import Adapting, Method, Training
from metarl.nn.policy import network_of, start_policy
from metarl.nn.recurrent import RecurrentPolicy
from metarl.runs.state import load_optimizer
from metarl.runs.trained import annealed


class Rl2Trainer(MetaTrainer):
    """Trains a policy with a memory on whole trials of a family's training tasks.

    The memory writes the policy's task context, 0 at first: a pretrained policy keeps its
    skill, and what is learned is to tell the task.

    Args:
        family: The family.
        config: Everything else that decides what is computed.
        initial: Parameters of a pretrained `GaussianPolicy`; those that fit are taken, but for
            the task context, in whose place the memory writes.
        num_threads: Physics threads; 0 takes every core. It changes no result.
    Raises:
        ConfigError: If none of the initial parameters fits.
    Source: Duan et al. 2016, arXiv:1611.02779; Wang et al. 2016, arXiv:1611.05763; the
        regression on the true task: Humplik et al. 2019, arXiv:1905.06424.
    Deviation: The memory speaks to the policy through the task context alone. With `task_loss`,
        which is the default, it learns mostly from the true task; without, from rewards.
    """

    method = "rl2"
    networks = ("policy", "memory", "critic")
    config: Rl2Config

    def __init__(
        self,
        family: TaskFamily[Any],
        config: Rl2Config,
        *,
        initial: Mapping[str, Tensor] | None = None,
        num_threads: int = 0,
    ):
        super().__init__(family, config, num_threads=num_threads)
        spec = self.worlds.spec
        if initial is not None:
            initial = {name: x for name, x in initial.items() if name != "context"}
        start = start_policy(
            spec, self.generator,
            initial=initial, log_std=config.log_std, **network_of(vars(config)),
        )  # fmt: skip
        start.context.requires_grad_(False)
        memory = make_memory(spec, config, self.generator)
        self.policy = RecurrentPolicy(start, memory).to(config.device)
        self.critic = TrialCritic(spec, self.generator, hidden=config.hidden).to(config.device)
        self.past: list[Lesson] = []  # of the last iterations

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """Moves every network, by rewards."""
        return torch.optim.Adam(self._groups(), eps=1e-5)

    @cached_property
    def lessons(self) -> torch.optim.Optimizer:
        """Moves the memory, by what the task was."""
        return torch.optim.Adam(self.policy.memory.parameters(), lr=self.config.task_rate)

    @property
    def _networks(self) -> dict[str, nn.Module]:
        policy = self.policy
        return {"policy": policy.policy, "memory": policy.memory, "critic": self.critic}

    def _groups(self) -> list[dict[str, Any]]:
        """What learns from rewards, with its rates."""
        return [
            {
                "params": [p for p in network.parameters() if p.requires_grad],
                "lr": getattr(self.config, f"{name}_rate"),
            }
            for name, network in self._networks.items()
        ]

    # One iteration ----------------------------------------------------------------------

    def iterate(self) -> dict[str, float]:
        """Run a trial of each of K tasks, B times, and learn from them.

        Returns:
            Metrics by name: success in the first and the last episode of a trial, and the like.
        Raises:
            TrainingError: If rewards, a loss, a gradient or parameters are not finite; networks
                and optimizers then keep their last good state.
        """
        start_s = time.perf_counter()
        config, worlds = self.config, self.worlds
        self.draw_tasks()
        trials, episodes = run_trials(
            worlds, self.policy,
            num_tasks=config.num_tasks, length=config.trial, generator=self.generator,
        )  # fmt: skip
        collected_s = time.perf_counter()
        learned = self._learn(trials)
        end_s = time.perf_counter()
        steps = sum(e.num_steps for e in episodes)
        self.iteration += 1
        self.num_steps += steps
        self.seconds += end_s - start_s
        return {
            **outcomes(episodes),
            **learned,
            "std": float(self.policy.policy.log_std.detach().exp().mean()),
            "num_steps": self.num_steps,
            "steps_per_s": steps / (end_s - start_s),
            "collect_s": collected_s - start_s,
            "update_s": end_s - collected_s,
        }

    def _learn(self, trials: Trials) -> dict[str, float]:
        """Improve everything, or leave everything as it was."""
        parts: list[Any] = [*self._networks.values(), self.optimizer, self.lessons]
        good, past = copy.deepcopy([p.state_dict() for p in parts]), self.past
        try:
            self._anneal()
            if self.iteration == 0:
                self._calibrate(trials)
            learned = self._from_rewards(trials) | self._from_tasks(trials)
            for name, network in self._networks.items():
                require_finite(f"the {name}", dict(network.named_parameters()), RATES)
        except TrainingError:
            for p, state in zip(parts, good):
                p.load_state_dict(state)
            self.past = past
            raise
        return learned

    def _anneal(self) -> None:
        """Set the rates by what is left of the budget, in iterations or in time."""
        config, share = self.config, annealed(self.config, self.iteration, self.seconds)
        for group, plain in zip(self.optimizer.param_groups, self._groups()):
            group["lr"] = share * plain["lr"]
        self.lessons.param_groups[0]["lr"] = share * config.task_rate

    def _calibrate(self, trials: Trials) -> None:
        """Fix in which units rewards are read and values are learned."""
        reward = trials.reward[trials.mask > 0]
        memory, critic = self.policy.memory, self.critic
        memory.shift[-1], memory.scale[-1] = reward.mean(), _spread(reward)
        targets = advantages(trials, torch.zeros_like(trials.reward), self.config.gamma, 1.0, False)
        returns = targets[1][trials.mask > 0]
        critic.mean.copy_(returns.mean())
        critic.std.copy_(_spread(returns))

    def _from_rewards(self, trials: Trials) -> dict[str, float]:
        """Take PPO's steps; returns the mean losses, and how well the critic had foreseen."""
        config, critic = self.config, self.critic
        with torch.no_grad():
            view = critic.look(trials, self.policy.memory.forward_head(trials.memory))
            values = critic(view)
            advantage, targets = advantages(trials, values, config.gamma, config.lam, config.across)
            counts = trials.mask > 0
            unforeseen = (targets - values)[counts].var() / targets[counts].var()
        losses = []
        for _ in range(config.epochs):
            order = torch.randperm(trials.mask.shape[1], generator=self.generator)
            for ids in order.to(config.device).chunk(config.minibatches):
                some = trials.some(ids)
                of_policy = policy_loss(
                    self.policy, some, advantage[:, ids], config.clip, config.entropy
                )
                of_critic = critic.loss(view[:, ids], targets[:, ids], some.mask)
                descend(of_policy + of_critic, self._networks, self.optimizer, config.max_grad_norm)
                losses.append(torch.stack([of_policy.detach(), of_critic.detach()]))
        policy, value = torch.stack(losses).mean(0).tolist()
        return {"loss": policy, "critic_loss": value, "foreseen": 1.0 - float(unforeseen)}

    def _from_tasks(self, trials: Trials) -> dict[str, float]:
        """Take the memory's lessons; returns the mean error, in units of the task block."""
        config, memory = self.config, self.policy.memory
        known, losses = [*self.past, trials.lesson], []
        size = -(-trials.mask.shape[1] // config.minibatches)
        for _ in range(config.task_loss):
            which = int(torch.randint(len(known), (), generator=self.generator))
            order = torch.randperm(trials.mask.shape[1], generator=self.generator)
            loss = task_loss(memory, known[which].some(order[:size].to(config.device)))
            descend(loss, {"memory": memory}, self.lessons, config.max_grad_norm)
            losses.append(loss.detach())
        if not losses:
            return {}
        self.past = known[max(0, len(known) - config.replay + 1) :]
        return {"task_error": float(torch.stack(losses).mean().sqrt())}

    # State ------------------------------------------------------------------------------

    def own_state(self) -> dict[str, Any]:
        """Everything of the method's that the next iteration depends on."""
        return {
            **{name: network.state_dict() for name, network in self._networks.items()},
            "optimizer": self.optimizer.state_dict(),
            "lessons": self.lessons.state_dict(),
            "past": [tuple(lesson) for lesson in self.past],
        }

    def load_own_state(self, saved: Mapping[str, Any]) -> None:
        """Continue from an `own_state`."""
        try:
            for name, network in self._networks.items():
                network.load_state_dict(saved[name])
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(f"this state is of another policy: {error}") from error
        load_optimizer(self.optimizer, saved["optimizer"])
        self.lessons.load_state_dict(saved["lessons"])
        device = torch.device(self.config.device)
        self.past = [Lesson(*(x.to(device) for x in lesson)) for lesson in saved["past"]]


def _spread(x: Tensor) -> Tensor:
    """The standard deviation, or 1 where there is none, ()."""
    std = x.std()
    return std if std > 1e-6 else torch.ones_like(std)


METHOD = Method(
    "RL2: a memory that learns to learn",
    Training(Rl2Config, Rl2Trainer),
    Adapting(by_memory),
    "Duan et al. 2016, arXiv:1611.02779",
)
