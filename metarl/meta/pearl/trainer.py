"""PEARL: infer the task from what was seen of it, and act on what is believed.

The policy was trained to act on a task that it sees. Here an encoder says what that task may be,
given the episodes so far, and a guess drawn from its belief is put where the task stood.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from metarl.adapt.adaptation import hidden_of
from metarl.family import TaskFamily
from metarl.learn.rollout import Trajectories
from metarl.meta.pearl.adaptation import PearlAdaptation, by_inference, start_encoder
from metarl.meta.pearl.config import PearlConfig
from metarl.meta.pearl.context import Lesson, make_lesson
from metarl.meta.pearl.learning import Pupil, all_or_nothing, teach_encoder, teach_policy
from metarl.meta.trainer import MetaTrainer, outcomes
from metarl.methods import Adapting, Method, Training
from metarl.nn.policy import network_of, start_policy
from metarl.runs.trained import annealed


class PearlTrainer(MetaTrainer):
    """Trains an encoder on training tasks, and a policy that acts on what it infers.

    Args:
        family: The family.
        config: Everything else that decides what is computed.
        initial: Parameters of a pretrained `GaussianPolicy`; those that fit are taken, but for
            the task context, in whose place the belief stands.
        num_threads: Physics threads; 0 takes every core. It changes no result.
    Raises:
        ConfigError: If none of the initial parameters fits, or the family's tasks hide nothing.
    Source: Rakelly et al. 2019, arXiv:1903.08254, algorithm 1.
    Deviation: The belief is about the hidden fields themselves, in the task block that a
        pretrained policy knows, and not about a latent space of its own. The contexts are those
        of the very loop in which it will adapt, of the last few iterations; the policy learns,
        if at all, by a clipped surrogate and not by soft actor-critic.
    """

    method = "pearl"
    networks = ("policy", "encoder")
    config: PearlConfig

    def __init__(
        self,
        family: TaskFamily[Any],
        config: PearlConfig,
        *,
        initial: Mapping[str, Tensor] | None = None,
        num_threads: int = 0,
    ):
        super().__init__(family, config, num_threads=num_threads)
        start = config.resolved(pretrained=initial is not None)
        given = None if initial is None else {n: t for n, t in initial.items() if n != "context"}
        self.policy = start_policy(
            self.worlds.spec, self.generator,
            initial=given, log_std=start.log_std, **network_of(vars(config)),
        ).to(config.device)  # fmt: skip
        self.policy.context.requires_grad_(False)
        self.encoder = start_encoder(self.worlds, config, self.generator).to(config.device)
        self.pupils = {
            "encoder": Pupil("encoder", self.encoder, config.encoder_rate, config.max_grad_norm),
            "policy": Pupil("policy", self.policy, start.policy_rate or 0.0, config.max_grad_norm),
        }
        self.lessons: list[Lesson] = []

    # One iteration ----------------------------------------------------------------------

    def iterate(self) -> dict[str, float]:
        """Sample tasks, adapt to each, and learn from what the adaptation saw.

        Returns:
            Metrics by name: success and return before and after adaptation, and the like.
        Raises:
            TrainingError: If observations, rewards, losses or gradients are not finite; networks
                and optimizers then keep their last good state.
        """
        start_s = time.perf_counter()
        config = self.config
        truth = hidden_of(self.draw_tasks(), self.family, self.worlds.spec).to(config.device)
        adaptation = PearlAdaptation(
            self.worlds, self.policy, self.encoder, config,
            num_tasks=config.num_tasks, generator=self.generator,
        )  # fmt: skip
        played = [adaptation.explore() for _ in range(config.updates)]
        episodes = [*(found for found, _ in played), adaptation.play()]
        collected_s = time.perf_counter()
        surprise, loss = self._learn(episodes, make_lesson([seen for _, seen in played], truth))
        end_s = time.perf_counter()
        self.iteration += 1
        self.num_steps += sum(e.num_steps for e in episodes)
        self.seconds += end_s - start_s
        return {
            **outcomes(episodes),
            "surprise": surprise,
            "error": float((adaptation.gaussian.mean - truth).square().mean().sqrt()),
            "policy_loss": loss,
            "std": float(self.policy.log_std.detach().exp().mean()),
            "num_steps": self.num_steps,
            "steps_per_s": sum(e.num_steps for e in episodes) / (end_s - start_s),
            "collect_s": collected_s - start_s,
            "update_s": end_s - collected_s,
        }

    def _learn(self, episodes: list[Trajectories], lesson: Lesson) -> tuple[float, float]:
        """Improve the encoder, and the policy where that is wanted."""
        share = annealed(self.config, self.iteration, self.seconds)
        lessons = [*self.lessons, lesson][-self.config.replay :]
        with all_or_nothing(self.pupils.values()):
            self.encoder.measure(lesson.x, lesson.mask)
            surprise = teach_encoder(
                self.pupils["encoder"], lessons, self.config, share, self.generator
            )
            loss = 0.0
            if self.pupils["policy"].rate > 0.0:
                loss = teach_policy(self.pupils["policy"], episodes, self.config, share)
        self.lessons = lessons
        return surprise, loss

    # State ------------------------------------------------------------------------------

    def own_state(self) -> dict[str, Any]:
        """Everything of the method's that the next iteration depends on."""
        return {
            "policy": self.policy.state_dict(),
            "encoder": self.encoder.state_dict(),
            "optimizers": {n: p.optimizer.state_dict() for n, p in self.pupils.items()},
            "lessons": [tuple(lesson) for lesson in self.lessons],
        }

    def load_own_state(self, saved: Mapping[str, Any]) -> None:
        """Continue from an `own_state`."""
        for name, pupil in self.pupils.items():
            pupil.load_state_dict({"network": saved[name], "optimizer": saved["optimizers"][name]})
        device = self.config.device
        self.lessons = [Lesson(*(x.to(device) for x in lesson)) for lesson in saved["lessons"]]


METHOD = Method(
    "PEARL's inference of the task from what was seen of it",
    Training(PearlConfig, PearlTrainer),
    Adapting(by_inference),
    "Rakelly et al. 2019, arXiv:1903.08254",
)
