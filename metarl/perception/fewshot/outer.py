"""The outer loop: what MAML and ANIL start from is learned on one task after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metarl.errors import TrainingError
from metarl.perception.fewshot.config import FewShotConfig
from metarl.perception.fewshot.learners import MetaLearner
from metarl.perception.fewshot.tasks import Tasks, accuracy
from metarl.perception.resuming import resume_from
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.state import flatten, load_optimizer


class OuterLoop:
    """A learner on its way.

    Args:
        learner: Learns.
        network: What it learns in, for a checkpoint.
        tasks: To learn from.
        config: How many of them in a step, the rate and the device.
        of: Says of which pictures and weights it is.
    Attributes:
        iterations: Steps so far. The tasks of a step hang on its number alone.
    """

    def __init__(
        self, learner: MetaLearner, network: nn.Module, tasks: Tasks, config: FewShotConfig, of: str
    ):
        self.learner, self.network, self.tasks, self.config = learner, network, tasks, config
        self.of, self.iterations, self.seconds = of, 0, 0.0
        self.optimizer = torch.optim.Adam(learner.parameters(), lr=config.outer_rate)

    def step(self) -> dict[str, float]:
        """Go one step down the mean loss of the next tasks after their inner loops.

        Returns:
            ``loss``, and ``accuracy`` on the queries of tasks to learn from.
        Raises:
            TrainingError: If the loss is not finite; nothing is changed then.
        """
        count, losses, right = self.config.tasks, list[Tensor](), list[float]()
        self.optimizer.zero_grad(set_to_none=True)
        for number in range(self.iterations * count, (self.iterations + 1) * count):
            task = self.tasks.task(number).to(self.config.device)
            loss, logits = self.learner.loss(task)
            (loss / count).backward()
            losses.append(loss.detach())
            right.append(accuracy(logits, task.query_label))
        mean = float(torch.stack(losses).mean())
        if not np.isfinite(mean):
            raise TrainingError(
                f"the loss is {mean}; the step was refused; lower inner_rate or outer_rate"
            )
        self.optimizer.step()
        self.iterations += 1
        return {"loss": mean, "accuracy": float(np.mean(right))}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What a checkpoint holds."""
        return flatten(
            {
                "network": dict(self.network.state_dict()),
                "optimizer": self.optimizer.state_dict(),
                "counts": [self.iterations, self.seconds],
                "of": self.of,
            }
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint; what is computed is what would have been.

        Raises:
            CheckpointError: If it is of other pictures, another trunk or another network.
        """
        resume_from(checkpoint, self.of, self._take)

    def _take(self, state: Any) -> None:
        self.network.load_state_dict(state["network"])
        load_optimizer(self.optimizer, state["optimizer"])
        self.iterations, self.seconds = int(state["counts"][0]), float(state["counts"][1])
