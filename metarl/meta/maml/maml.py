"""MAML for policies: meta-train parameters and inner rates that adapt in a few updates."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from metarl.adapt.adaptation import ByParameters
from metarl.adapt.meeting import Meeting
from metarl.errors import CheckpointError
from metarl.family import TaskFamily
from metarl.learn.rollout import Trajectories
from metarl.learn.share import Pace, Share, alone
from metarl.meta.baseline import make_batch
from metarl.meta.finite import require_finite
from metarl.meta.maml.config import BACKENDS, MamlConfig
from metarl.meta.maml.explore import Exploration, exploring
from metarl.meta.maml.inner import Batch, detached_gradient, follow, policy_gradient
from metarl.meta.maml.inner_loop import with_rates
from metarl.meta.maml.outer import Backend, outer_gradients
from metarl.meta.trainer import MetaTrainer, outcomes
from metarl.methods import Adapting, Method, Training
from metarl.nn.functional import Params, expand, parameters_of
from metarl.nn.policy import network_of, start_policy
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.policies import config_of, load_policy_for, load_rates
from metarl.runs.run import WORKERS
from metarl.runs.state import load_optimizer
from metarl.runs.trained import annealed

if TYPE_CHECKING:
    from metarl.cluster.instance import Cluster
    from metarl.meta.maml.split import Split

RATES = "inner_rate or outer_rate"  # smaller ones may help where something is not finite


class MamlTrainer(MetaTrainer):
    """Meta-trains a policy on a family's training tasks.

    Args:
        family: The family.
        config: Everything else that decides what is computed.
        initial: Parameters of a pretrained `GaussianPolicy`; those that fit are taken.
        num_threads: Physics threads; 0 takes every core. It changes no result.
    Raises:
        ConfigError: If none of the initial parameters fits.
    """

    method = "maml"
    networks = ("policy", "rates")
    config: MamlConfig
    # What is a mean over tasks, computed of (policy, params, rates, batches, outer): where workers have the
    # batches, they compute it, each of its own tasks.
    means: ClassVar[tuple[str, ...]] = ("gradients",)

    def __init__(
        self,
        family: TaskFamily[Any],
        config: MamlConfig,
        *,
        initial: Mapping[str, Tensor] | None = None,
        num_threads: int = 0,
    ):
        super().__init__(family, config, num_threads=num_threads)
        self.policy = start_policy(
            self.worlds.spec, self.generator,
            initial=initial, log_std=config.log_std, **network_of(vars(config)),
        ).to(config.device)  # fmt: skip
        self.params = parameters_of(self.policy)
        self.rates = config.rates(self.params, self.worlds.spec.hidden)
        for rate in self.rates.values():
            rate.requires_grad_(config.learn_rates)
        self.inner_loss = policy_gradient(self.policy)
        self.outer, self.gradients = config.outer, self._backend()
        self.share: Share | None = None  # of the batch that is here
        self.split: Split | None = None

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """Moves the parameters (its first group) and the inner rates (its second)."""
        groups: list[dict[str, Any]] = [{"params": list(self.params.values())}]
        if self.config.learn_rates:
            groups.append({"params": list(self.rates.values()), "lr": self.config.rates_rate})
        return torch.optim.Adam(groups, lr=self.config.outer_rate)

    def split_over(self, cluster: Cluster, family: str, num_workers: int | None = None) -> Split:
        """Let workers do the tasks: each explores its own, and computes its part of every mean.

        Args:
            cluster: Where they are.
            family: The family's name, as a user gives it.
            num_workers: How many; None: one a core, and one a task at most.
        Raises:
            ConfigError: If that cannot be.
        """
        from metarl.meta.maml.split import Split

        self.split = Split(self, cluster, family, num_workers)
        for name in self.means:
            setattr(self, name, functools.partial(self.split.mean, name))
        return self.split

    def _backend(self) -> Backend:
        """Choose what computes the meta-gradient."""
        if self.config.backend == "torch":
            return outer_gradients
        from metarl.meta.maml.learn2learn_backend import load_learn2learn
        from metarl.meta.maml.learn2learn_backend import outer_gradients as by_learn2learn

        load_learn2learn()  # if it is missing, before the run has a folder
        return by_learn2learn

    # One iteration ----------------------------------------------------------------------

    def iterate(self) -> dict[str, float]:
        """Sample tasks, adapt to each, and improve what adaptation starts from.

        Returns:
            Metrics by name: success and return before and after adaptation, and the like.
        Raises:
            TrainingError: If rewards, adapted parameters, loss or gradient are not finite;
                parameters, rates and optimizer then keep their last good state.
        """
        start_s = time.perf_counter()
        found = alone(self.exploring()) if self.split is None else self.split.explore()
        batches, episodes = found
        collected_s = time.perf_counter()
        learned = self._learn(batches)
        end_s = time.perf_counter()
        self.iteration += 1
        self.num_steps += sum(e.num_steps for e in episodes)
        self.seconds += end_s - start_s
        return {
            **outcomes(episodes),
            **learned,
            "std": float(self.policy.log_std.detach().exp().mean()),
            "num_steps": self.num_steps,
            "steps_per_s": sum(e.num_steps for e in episodes) / (end_s - start_s),
            "collect_s": collected_s - start_s,
            "update_s": end_s - collected_s,
            **({} if self.split is None else self.split.seconds()),
        }

    def _anneal(self) -> None:
        """Set the outer rates by what is left of the budget, in iterations or in time."""
        config, share = self.config, annealed(self.config, self.iteration, self.seconds)
        for group, rate in zip(self.optimizer.param_groups, (config.outer_rate, config.rates_rate)):
            group["lr"] = share * rate

    def exploring(self) -> Pace[tuple[list[Batch], list[Trajectories]]]:
        """Draw tasks, collect and adapt U times, and collect once more.

        Yields:
            As `metarl.learn.rollout.playing`, for each of the U + 1 collections.
        Returns:
            What the outer loss needs, and the episodes; of each collection.
        """
        self.draw_tasks()
        config = self.config
        params: Params = {n: p.detach() for n, p in expand(self.params, config.num_tasks).items()}
        batches, episodes = [], []
        for u in range(config.inner_updates + 1):
            found = yield from exploring(
                self.worlds, self.policy, params, num_tasks=config.num_tasks,
                generator=self.generator, gamma=config.gamma, lam=config.lam, update=u,
                noise=config.noise(self.worlds.spec.hidden), share=self.share,
            )  # fmt: skip
            episodes.append(found.episodes)
            batches.append(self._judged(found, params))
            if u < config.inner_updates:
                params = self._follow(params, batches, u)
                require_finite(f"parameters after inner update {u + 1}", params, RATES)
        return batches, episodes

    def _follow(self, params: Params, batches: list[Batch], update: int) -> Params:
        """Adapt by the last batch, which keeps the gradient where that is taken as constant.

        Adapting again by another gradient would lead away from the policies that acted, which
        the outer loss compares with.
        """
        config, batch = self.config, batches[-1]
        gradient = detached_gradient(
            params, batch, self.rates, self.inner_loss, clip=config.inner_clip
        )
        if config.first_order and config.backend == "torch":
            batches[-1] = batch._replace(followed=gradient)
        with torch.no_grad():
            return follow(params, gradient, self.rates, update)

    def _judged(self, found: Exploration, params: Params) -> Batch:
        """Give a batch what the outer loss needs: an advantage, if it has its own discount.

        Args:
            found: What was collected.
            params: By which parameters, each (K, ...).
        """
        gamma = self.config.outer_gamma
        if gamma is None:
            return found.batch
        far = make_batch(found.episodes, gamma, self.config.outer_lam)
        return found.batch._replace(merit=far.advantage, scale=far.scale)

    def _learn(self, batches: Sequence[Batch]) -> dict[str, float]:
        """Improve what adaptation starts from, and say how that went."""
        self._anneal()
        for _ in range(self.config.outer_epochs):
            loss, norm = self._update(batches)
        return {"loss": loss, "grad_norm": norm}

    def _update(self, batches: Sequence[Batch]) -> tuple[float, float]:
        """Take one outer step; returns the loss and the gradient's norm before clipping."""
        loss, of_params, of_rates = self.gradients(
            self.policy, self.params, self.rates, batches, self.outer
        )
        require_finite("the outer loss", {"loss": loss}, RATES)
        require_finite("the meta-gradient", of_params, RATES)
        require_finite("the meta-gradient of the rates", of_rates, RATES)
        for name, p in self.params.items():
            p.grad = of_params[name]
        for name, gradient in of_rates.items():
            self.rates[name].grad = gradient
        norm = torch.nn.utils.clip_grad_norm_(self.params.values(), self.config.max_grad_norm)
        require_finite("the meta-gradient's norm", {"norm": norm}, RATES)
        if self.config.learn_rates:
            torch.nn.utils.clip_grad_norm_(self.rates.values(), self.config.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(loss), float(norm)

    # State ------------------------------------------------------------------------------

    def own_state(self) -> dict[str, Any]:
        """Everything of the method's that the next iteration depends on."""
        return {
            "policy": self.policy.state_dict(),
            "rates": {name: rate.detach() for name, rate in self.rates.items()},
            "optimizer": self.optimizer.state_dict(),
        }

    def checkpoint(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """As of every meta-trainer; it also says how many workers there were."""
        tensors, meta = super().checkpoint()
        return tensors, meta if self.split is None else {**meta, WORKERS: self.split.size}

    def load_own_state(self, saved: Mapping[str, Any]) -> None:
        """Continue from an `own_state`."""
        try:
            self.policy.load_state_dict(saved["policy"])
            with torch.no_grad():
                for name, rate in self.rates.items():
                    rate.copy_(saved["rates"][name])
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(f"this state is of another policy: {error}") from error
        load_optimizer(self.optimizer, saved["optimizer"])


def by_inner_loop(checkpoint: Checkpoint, meeting: Meeting, _: None = None) -> ByParameters:
    """Adapt a meta-trained policy by the inner loop that it was trained for.

    Args:
        checkpoint: Of a `MamlTrainer`.
        meeting: With the tasks.
    Raises:
        CheckpointError: If it has no inner rates, another config, or another interface.
    """
    config = config_of(checkpoint)
    worlds = meeting.worlds()
    policy = load_policy_for(checkpoint, worlds)
    return with_rates(
        worlds, policy, load_rates(checkpoint, policy), config,
        num_tasks=meeting.num_tasks, updates=meeting.updates, generator=meeting.generator,
    )  # fmt: skip


METHOD = Method(
    "first-order MAML with a clipped surrogate",
    Training(MamlConfig, MamlTrainer, variants={"backend": BACKENDS}, splits=True),
    Adapting(by_inner_loop),
    "Finn et al. 2017, arXiv:1703.03400",
)
