"""What the gradients of several tasks become: TorchJD's aggregators and loss weightings.

TorchJD is imported when one is made.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from metarl.errors import CheckpointError, TrainingError
from metarl.multitask.config import OF_LOSSES
from metarl.runs.state import load_optimizer

# By our names: weightings of tasks that look at the Gramian of their gradients alone.
OF_GRAMIAN = {
    "mean": "MeanWeighting",
    "sum": "SumWeighting",
    "pcgrad": "PCGradWeighting",
    "upgrad": "UPGradWeighting",
    "mgda": "MGDAWeighting",
    "aligned-mtl": "AlignedMTLWeighting",
    "imtl-g": "IMTLGWeighting",
}
PLAIN = ("mean", "sum")
DRAWS = ("pcgrad", "graddrop")


class Aggregator:
    """Turns K gradients on shared parameters into one.

    What draws, draws from a seed that the given generator gives; torch's global generator is as before
    afterwards.

    Args:
        name: One of `metarl.multitask.config.Aggregation`.
        num_tasks: K.
        rate: Learning rate of the log variances of uncertainty weighting.
        device: Where losses live.
    Source: Yu et al. 2020, arXiv:2001.06782 (PCGrad); Quinton and Rey 2024, arXiv:2406.16232 (UPGrad);
        Désidéri 2012 and Sener and Koltun 2018, arXiv:1810.04650 (MGDA); Senushkin et al. 2023,
        arXiv:2305.19000 (Aligned-MTL); Liu et al. 2021, ICLR (IMTL-G); Chen et al. 2020,
        arXiv:2010.06808 (GradDrop); Kendall et al. 2018, arXiv:1705.07115 (uncertainty); Liu et al.
        2023, arXiv:2306.03792 (FAMO).
    """

    def __init__(self, name: str, num_tasks: int, *, rate: float, device: str):
        from torchjd import aggregation, scalarization

        self.name = name
        self.scalarizer: Any = None
        self.optimizer: torch.optim.Optimizer | None = None
        if name == "uncertainty":
            self.scalarizer = scalarization.UW(num_tasks).to(device)
            self.optimizer = torch.optim.Adam(self.scalarizer.parameters(), lr=rate)
        elif name == "famo":
            self.scalarizer = scalarization.FAMO(num_tasks).to(device)
        elif name == "graddrop":
            self.whole: Any = aggregation.GradDrop()
        else:
            self.weighting: Any = getattr(aggregation, OF_GRAMIAN[name])()

    def __call__(
        self, losses: Tensor, jacobian: Tensor, gramian: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Aggregate.

        Args:
            losses: The tasks', without a graph, shape (K,).
            jacobian: Their gradients on P shared parameters, shape (K, P).
            gramian: Its products, float64, shape (K, K).
            generator: Gives the seed of whatever draws.
        Returns:
            One gradient, shape (P,), and what every task's gradient on its own parameters is to be
            multiplied by, shape (K,).
        Raises:
            TrainingError: If the aggregator finds no answer.
        """
        if self.name in OF_LOSSES:
            weights = self._weigh(losses)
            return weights @ jacobian, weights
        with _drawing(generator) if self.name in DRAWS else contextlib.nullcontext():
            try:
                return self._aggregate(jacobian, gramian), torch.ones_like(losses)
            except (ValueError, RuntimeError) as error:  # a solver's, or of linear algebra
                raise TrainingError(
                    f"aggregation {self.name} finds no common gradient: {error}; the update was"
                    " refused and the last good state kept; a smaller learning_rate may help"
                ) from error

    def _aggregate(self, jacobian: Tensor, gramian: Tensor) -> Tensor:
        if self.name == "graddrop":
            return self.whole(jacobian)
        # To scale, for solvers take small numbers for zeros.
        size = gramian.diagonal().sum()
        gramian = (gramian / torch.where(size > 0.0, size, 1.0)).cpu()
        weights = self.weighting(gramian)
        return weights.to(jacobian.device, jacobian.dtype) @ jacobian

    def _weigh(self, losses: Tensor) -> Tensor:
        """The derivative of the combined loss in each, (K,)."""
        leaf = losses.detach().clone().requires_grad_()
        if self.optimizer is not None:
            self.optimizer.zero_grad()
        self.scalarizer(leaf).backward()
        assert leaf.grad is not None
        if self.optimizer is not None:
            self.optimizer.step()
        return leaf.grad

    @property
    def plain(self) -> bool:
        """Whether gradients are just added up, so that nobody has to see one task's alone."""
        return self.name in PLAIN

    @property
    def looks_back(self) -> bool:
        """Whether it wants to know the losses on the same samples after the step."""
        return self.name == "famo"

    def look_back(self, losses: Tensor) -> None:
        """Take note of the losses after the step, (K,)."""
        self.scalarizer.update(losses)

    def state(self) -> dict[str, Any]:
        """What the next step depends on."""
        if self.scalarizer is None:
            return {}
        optimizer = self._own_optimizer()
        saved = None if optimizer is None else optimizer.state_dict()
        return {"weights": self.scalarizer.state_dict(), "optimizer": saved}

    def load(self, saved: Mapping[str, Any]) -> None:
        """Go on from a `state`.

        Raises:
            CheckpointError: If it is of another aggregation, or other tasks.
        """
        if self.scalarizer is None:
            return
        try:
            self.scalarizer.load_state_dict(saved["weights"])
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(f"this state is of another aggregation: {error}") from error
        if self.name == "famo":  # it makes its optimizer in its first step, and saves none
            famo = self.scalarizer
            famo._optimizer = None
            if saved["optimizer"] is not None:
                famo._optimizer = torch.optim.Adam(
                    [famo._w], lr=famo.lr, weight_decay=famo.weight_decay
                )
        optimizer = self._own_optimizer()
        if optimizer is not None:
            load_optimizer(optimizer, saved["optimizer"])

    def _own_optimizer(self) -> torch.optim.Optimizer | None:
        return self.scalarizer._optimizer if self.name == "famo" else self.optimizer


def cosines(gramian: Tensor) -> Tensor:
    """The cosine of every two gradients, (K, K) -> (K, K); 0 where one of them is zero."""
    size = gramian.diagonal().clamp(min=0.0).sqrt()
    both = size[:, None] * size
    return torch.where(both > 0.0, gramian / torch.where(both > 0.0, both, 1.0), 0.0)


@contextlib.contextmanager
def _drawing(generator: torch.Generator) -> Iterator[None]:
    """Let what follows draw from a seed of ours, as it would from torch's global generators."""
    seed = int(torch.randint(2**31, (), generator=generator))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
