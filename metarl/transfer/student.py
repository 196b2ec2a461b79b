"""A student: a network that learns as a strategy says, for itself or a copy for each of K tasks."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from metarl.errors import ConfigError, TrainingError
from metarl.nn.functional import Params, apply, expand, parameters_of
from metarl.nn.network import Network
from metarl.transfer.strategy import TRUNK, Strategy, depths_of

# How widely to explore is set, or learned, by itself: nothing pulls it to the source.
EXPLORATION = "log_std"


class Student:
    """Named tensors that learn as a strategy says.

    Without tasks they are the network's own; what a strategy adds stands beside it. With K tasks each
    has copies of its own, and the network's stay as they are.

    Args:
        network: The network, as it starts.
        strategy: How it learns.
        rate: Learning rate before the strategy's factors, > 0.
        generator: Draws what the strategy adds; alike for every task.
        source: The source's parameters, those that were taken; as copies, each (...).
        new: Names of the parameters that were drawn afresh.
        teacher: All of the source's parameters and buffers, each (...), where it is imitated.
        num_tasks: K; None: the network itself learns.
        fixed: Names of parameters that never learn.
    Attributes:
        leaves: What learns, by name; each (...) or (K, ...).
    Raises:
        ConfigError: If the rate is not positive, nothing learns, or there is no source where the
            strategy needs one.
    """

    def __init__(
        self,
        network: nn.Module,
        strategy: Strategy,
        *,
        rate: float,
        generator: torch.Generator,
        source: Mapping[str, Tensor] | None = None,
        new: Collection[str] = (),
        teacher: Mapping[str, Tensor] | None = None,
        num_tasks: int | None = None,
        fixed: Collection[str] = (),
    ):
        if not (math.isfinite(rate) and rate > 0.0):
            raise ConfigError(f"the learning rate is {rate}; expected a finite number > 0")
        self.network, self.strategy, self.rate = network, strategy, rate
        self.num_tasks, self.new = num_tasks, set(new)
        params = parameters_of(network)
        self.depths = depths_of(params)
        mine = {name: p for name, p in params.items() if name not in fixed}
        leaves = strategy.leaves(mine, self.new, generator)
        if not leaves:
            raise ConfigError(f"strategy {strategy.name!r} leaves no parameter to train")
        self.added = [name for name in leaves if name not in params]
        self.leaves = {name: self._as_leaf(t) for name, t in leaves.items()}
        kept = {name: p for name, p in params.items() if name not in leaves}
        self.kept = {name: self._as_kept(p) for name, p in kept.items()}
        device = next(iter(params.values())).device
        self.source = _copies(source, device) if strategy.keeps_source else {}
        self.teacher = _copies(teacher, device) if strategy.imitates else {}
        self.progress = 0.0
        self.at(0.0)

    def _as_leaf(self, tensor: Tensor) -> Tensor:
        if self.num_tasks is not None:
            return _for_each(tensor, self.num_tasks).requires_grad_()
        return tensor if isinstance(tensor, nn.Parameter) else nn.Parameter(tensor)

    def _as_kept(self, param: Tensor) -> Tensor:
        if self.num_tasks is not None:
            return _for_each(param, self.num_tasks)
        param.grad = None
        return param.requires_grad_(False)

    # How it learns ----------------------------------------------------------------------

    def at(self, progress: float, share: float = 1.0) -> None:
        """Let learn what the strategy lets learn now: the rest has no gradient.

        Args:
            progress: Share of the budget that is spent, in [0, 1).
            share: Factor on every learning rate.
        """
        self.progress = progress
        factors = {n: self.strategy.rate(self.depth(n), progress) for n in self.leaves}
        if isinstance(self.network, Network) and self.num_tasks is None:
            learns = any(n.startswith(TRUNK) and factors[n] and n in self.depths for n in factors)
            _let_trunk(self.network, learns)
            for param in self.kept.values():
                param.requires_grad_(False)
        for name, leaf in self.leaves.items():
            leaf.requires_grad_(factors[name] > 0.0)
            if not factors[name]:
                leaf.grad = None
        if "optimizer" in vars(self):
            self.set_rates(self.optimizer, self.rate * share)

    def trunk_stands(self) -> bool:
        """Whether nothing of the trunk learns, now and later."""
        now = any(self.strategy.rate(d, self.progress) for d in self._depths() if d)
        return not now and not self.strategy.turns

    def depth(self, leaf: str) -> int:
        """How far below the output a leaf lies: an addition where what it is added to lies."""
        return self.depths[leaf if leaf in self.depths else leaf.rpartition(".")[0]]

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """Adam; it works element by element, so one of it over (K, ...) tensors is K of them."""
        made = torch.optim.Adam([{"params": group} for group in self.groups()], lr=self.rate)
        self.set_rates(made, self.rate)
        return made

    def groups(self) -> list[list[Tensor]]:
        """The leaves by depth, the head's first; all together where they learn at one rate."""
        if self.strategy.uniform:
            return [list(self.leaves.values())]
        return [[t for n, t in self.leaves.items() if self.depth(n) == d] for d in self._depths()]

    def _depths(self) -> list[int]:
        return sorted({self.depth(name) for name in self.leaves})

    def set_rates(self, optimizer: torch.optim.Optimizer, rate: float) -> None:
        """Set the learning rate of each of the optimiser's first groups, which are `groups`."""
        if self.strategy.uniform:
            optimizer.param_groups[0]["lr"] = rate
            return
        for depth, group in zip(self._depths(), optimizer.param_groups):
            group["lr"] = rate * self.strategy.rate(depth, self.progress)

    def pull(self) -> Tensor | None:
        """What the strategy adds to the loss; None: nothing."""
        return self.strategy.penalty(self.weights(), self.source)

    @property
    def teaching(self) -> float:
        """The weight of imitating the source now."""
        return self.strategy.teaching(self.progress)

    @torch.no_grad()
    def teach(self, x: Tensor) -> Any:
        """What the source answers; inputs (M, D), or (K, M, D) with tasks."""
        if self.num_tasks is None:
            return functional_call(self.network, self.teacher, (x,))
        return apply(self.network, self.teacher, x)

    # What it is -------------------------------------------------------------------------

    def weights(self) -> Params:
        """All weights as they are, differentiable; each (...) or (K, ...)."""
        return self.strategy.weights(self.leaves, self.kept)

    def __call__(self, x: Tensor) -> Any:
        """Answer, without tasks."""
        if not self.added:
            return self.network(x)
        return functional_call(self.network, self.weights(), (x,))

    @torch.no_grad()
    def finished(self) -> Params:
        """All weights as they are handed out, judged and saved: copies under the network's names."""
        now = {name: t.detach().clone() for name, t in self.weights().items()}
        return self.strategy.finish({name: now[name] for name in self.depths}, self.source)

    def lacks_source(self) -> bool:
        """Whether its strategy needs a source, and there is none."""
        needs = (
            (self.strategy.keeps_source, not self.source),
            (self.strategy.imitates, not self.teacher),
        )
        nothing = self.strategy.start == "source" and self.new >= set(self.depths)
        return nothing or any(needed and missing for needed, missing in needs)

    @contextlib.contextmanager
    def handed_out(self) -> Iterator[None]:
        """Put what is handed out into the network for a while; without tasks."""
        before = {name: p.detach().clone() for name, p in self.network.named_parameters()}
        _copy_into(self.network, self.finished())
        try:
            yield
        finally:
            _copy_into(self.network, before)

    def require_finite(self) -> None:
        """Check that it can be gone on with.

        Raises:
            TrainingError: If a weight is not finite; with tasks the message names these.
        """
        where = set[int]()
        for leaf in self.leaves.values():
            good = torch.isfinite(leaf).flatten(1).all(1) if self.num_tasks else leaf.isfinite()
            where |= set((~good).nonzero()[:, 0].tolist())
        if where:
            tasks = f" in tasks {sorted(where)[:10]}" if self.num_tasks else ""
            raise TrainingError(f"the policy is not finite any more{tasks}; try a smaller rate")

    # State ------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What going on takes beside the network's own tensors; empty where they are all."""
        if not (self.added or self.source or self.teacher):
            return {}
        own = {name: t.detach() for name, t in {**self.kept, **self.leaves}.items()}
        new = sorted(self.new)
        return {"own": own, "new": new, "source": self.source, "teacher": self.teacher}

    @torch.no_grad()
    def load(self, own: Mapping[str, Tensor]) -> None:
        """Take the tensors of a `state`; keys and shapes are as here.

        Raises:
            KeyError, RuntimeError: If they are not.
        """
        for name, tensor in {**self.kept, **self.leaves}.items():
            if own[name].shape != tensor.shape:
                raise RuntimeError(f"{name} has shape {tuple(own[name].shape)}")
            tensor.copy_(own[name])


def _let_trunk(network: Network, learns: bool) -> None:
    if learns:
        network.unfreeze_trunk()
    else:
        network.freeze_trunk()


def _for_each(tensor: Tensor, num_tasks: int) -> Tensor:
    return expand({"": tensor.detach()}, num_tasks)[""].clone()


def _copies(tensors: Mapping[str, Tensor] | None, device: torch.device) -> Params:
    return {name: t.detach().to(device, copy=True) for name, t in (tensors or {}).items()}


@torch.no_grad()
def _copy_into(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    for name, p in network.named_parameters():
        p.copy_(tensors[name])
