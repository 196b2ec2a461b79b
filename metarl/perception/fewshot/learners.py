"""Ways to answer a task's queries after its few pictures: with nothing learned before, and with MAML or ANIL."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from metarl.meta.maml.learn2learn_backend import load_learn2learn
from metarl.nn.network import Network
from metarl.perception.fewshot.config import FewShotConfig
from metarl.perception.fewshot.tasks import Task
from metarl.perception.fitting import as_input
from metarl.perception.heads import logistic_head
from metarl.transfer.strategy import HEAD


class Learner(Protocol):
    """Answers a task."""

    def answer(self, task: Task) -> Tensor:
        """Give the logits of its queries, shape (ways * queries, ways)."""


class NearestCentroid:
    """Answer by the class whose mean of features is nearest.

    Source: Wang et al. 2019, "SimpleShot", arXiv:1911.04623.
    """

    def answer(self, task: Task) -> Tensor:
        """Give minus half the squared distances to the means; the task is of `unit_features`."""
        ways = int(task.support_label.max()) + 1
        member = nn.functional.one_hot(task.support_label, ways).to(task.support)
        means = member.T @ task.support / member.sum(0)[:, None]
        return -0.5 * torch.cdist(task.query, means).square()


class Logistic:
    """Answer by a logistic head that is fitted to the few pictures, with an L2 penalty.

    Args:
        penalty_weight: C, the weight of the loss (a sum over pictures) against half the squared
            weights.
    Deviation: C is 10, not 1, which did better on ingredients to learn from (another seed's).
    Source: Tian et al. 2020, "Rethinking Few-Shot Image Classification", arXiv:2003.11539.
    """

    def __init__(self, penalty_weight: float = 10.0):
        self.penalty_weight = penalty_weight

    def answer(self, task: Task) -> Tensor:
        """Fit, and give logits; the task is of `unit_features`."""
        weight, bias = self.fit(task.support.cpu().numpy(), task.support_label.cpu().numpy())
        head = torch.from_numpy(np.column_stack((weight, bias))).to(task.query)
        return task.query @ head[:, :-1].T + head[:, -1]

    def fit(self, features: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fit the head; the problem is convex, so that nothing is drawn.

        Args:
            features: Shape (n, F).
            label: Shape (n,), 0 to ways - 1.
        Returns:
            Weights, (ways, F), and biases, (ways,).
        """
        return logistic_head(features, label, int(label.max()) + 1, self.penalty_weight)


def unit_features(features: Tensor, seen: Tensor) -> Tensor:
    """Move features so that those of the seen classes are around 0, and give each length 1.

    Args:
        features: Shape (n, F).
        seen: Which may be learned from, shape (n,), bool.
    Returns:
        The same shape.
    Source: "CL2N" of Wang et al. 2019, arXiv:1911.04623, section 3.
    """
    return nn.functional.normalize(features - features[seen].mean(0), dim=-1)


class MetaLearner:
    """Answer by gradient steps from a start that is learned on other tasks, by learn2learn's MAML.

    Args:
        body: From a task's inputs to what adapts; does not change within a task.
        adapting: What changes within a task, by gradient steps.
        config: Rate and number of these steps.
    Raises:
        MissingDependencyError: If learn2learn is absent; the message is the line that installs it.
    Source: Finn et al. 2017, arXiv:1703.03400; of which only the head adapts: Raghu et al. 2020,
        "ANIL", arXiv:1909.09157.
    """

    def __init__(self, body: nn.Module, adapting: nn.Module, config: FewShotConfig):
        self.body, self.updates = body, config.updates
        algorithms = load_learn2learn().algorithms
        if config.method == "maml":  # learn2learn's MAML knows one rate
            rates = _standing_rates(adapting, config)
            self._maml = algorithms.MetaSGD(adapting, first_order=config.first_order, lrs=rates)
        else:
            self._maml = algorithms.MAML(
                adapting, lr=config.step_size, first_order=config.first_order
            )

    def parameters(self) -> list[nn.Parameter]:
        """What is learned on tasks."""
        both = (*self.body.parameters(), *self._maml.parameters())
        return [p for p in both if p.requires_grad]

    def loss(self, task: Task) -> tuple[Tensor, Tensor]:
        """Adapt to a task, and be judged by its queries.

        Returns:
            The mean cross-entropy, a scalar; the logits.
        """
        logits = self.answer(task)
        return nn.functional.cross_entropy(logits, task.query_label), logits

    def answer(self, task: Task) -> Tensor:
        """Give logits after the inner loop."""
        both = self.body(torch.cat((as_input(task.support), as_input(task.query))))
        support, query = both.split((len(task.support), len(task.query)))
        clone = self._maml.clone()
        for _ in range(self.updates):
            clone.adapt(nn.functional.cross_entropy(clone(support), task.support_label))
        return clone(query)


def _standing_rates(network: nn.Module, config: FewShotConfig) -> nn.ParameterList:
    """A rate for each number of a network, its head's or its trunk's; none of them is learned."""
    rates = [
        torch.full_like(p, config.step_size if name.startswith(HEAD) else config.trunk_step_size)
        for name, p in network.named_parameters()
    ]
    return nn.ParameterList(nn.Parameter(rate, requires_grad=False) for rate in rates)


def meta_learner(network: Network, config: FewShotConfig) -> MetaLearner:
    """Build the learner of MAML, of ANIL, or of ANIL whose inputs are features already.

    Args:
        network: Is trained in place. It stays in evaluation: the statistics of batch norms stand,
            and nothing is drawn within it.
        config: Which, and its rates.
    """
    network.eval()
    if config.method == "maml":
        return MetaLearner(nn.Identity(), network, config)
    body = nn.Identity() if config.trunk_stands else network.trunk
    return MetaLearner(body, network.head, config)


def plain_learner(config: FewShotConfig) -> Learner:
    """Build a learner that learns nothing before its task."""
    if config.method == "nearest-centroid":
        return NearestCentroid()
    return Logistic(config.penalty_weight)
