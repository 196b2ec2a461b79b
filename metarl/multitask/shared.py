"""A trunk that several tasks share, with a head each or one for all."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from metarl.multitask.tasks import TaskList
from metarl.nn.functional import Params, parameters_of
from metarl.nn.initialise import linear
from metarl.nn.network import Network
from metarl.nn.policy import Critic, GaussianPolicy
from metarl.nn.trunks import Mlp
from metarl.nn.views import Part, View, indices, seen

FIRST = "trunk.layers.0"


class SharedNetwork(nn.Module):
    """What several tasks share; each task's plain network is a view of it.

    The trunk has a column for every column of any task's observations, and one more a task where all
    share a head: a one-hot of the task, which a plain network has within its first bias.

    Args:
        tasks: The tasks.
        outs: Width of what each task's head gives; where there is one head, all are the same.
        generator: Draws the first weights.
        hidden: Widths of the trunk's layers, one at least.
        one_head: Whether one head serves all tasks.
        head_gain: Scale of the heads' orthogonal weights.
        activation: Of the trunk.
        log_std: First log standard deviation of every action; None: there are no actions.
    Attributes:
        views: What each task's plain network consists of.
        common: Names of the parameters that all tasks share.
    Source: Caruana 1997, Machine Learning 28 (hard parameter sharing); Ruder 2017, arXiv:1706.05098.
    """

    def __init__(
        self,
        tasks: TaskList,
        outs: Sequence[int],
        generator: torch.Generator,
        *,
        hidden: Sequence[int],
        one_head: bool,
        head_gain: float,
        activation: str = "tanh",
        log_std: float | None = None,
    ):
        super().__init__()
        one_hot = len(outs) if one_head else 0
        self._width = tasks.obs_dim + one_hot
        self.trunk = Mlp(self._width, hidden, activation, generator=generator)
        widths = outs[:1] if one_head else outs
        self.heads = nn.ModuleList(
            linear(self.trunk.num_features, out, generator, gain=head_gain) for out in widths
        )
        spreads = [] if log_std is None else [torch.full((out,), log_std) for out in widths]
        self.log_stds = nn.ParameterList(spreads)
        self.views: tuple[View, ...] = tuple(
            self._view(k, tasks, one_head) for k in range(len(outs))
        )
        self._places, self._one_head = tasks.places, one_head
        own = () if one_head else ("heads", "log_stds")
        self.common = [n for n, _ in self.named_parameters() if n.partition(".")[0] not in own]

    def trunk_view(self, columns: Sequence[int]) -> View:
        """What the trunk alone is for observations that consist of these columns."""
        names = [f"trunk.{n}" for n, _ in self.trunk.named_parameters()]
        first = Part(f"{FIRST}.weight", tuple(columns))
        return {**{name: Part(name) for name in names}, f"{FIRST}.weight": first}

    def together(self, obs: Sequence[Tensor]) -> list[Tensor]:
        """Ask all tasks' heads at once.

        Args:
            obs: Of each task, (M, D), as its family gives them.
        Returns:
            What each task's plain network's head gives, (M, A), up to rounding.
        """
        rows = []
        for k, (x, places) in enumerate(zip(obs, self._places)):
            row = x.new_zeros(len(x), self._width).index_copy(1, indices(places, x), x)
            if self._one_head:
                row[:, k - len(obs)] = 1.0
            rows.append(row)
        features = self.trunk(torch.cat(rows)).split([len(x) for x in obs])
        heads = self.heads if not self._one_head else [self.heads[0]] * len(obs)
        return [head(x) for head, x in zip(heads, features)]

    def _view(self, k: int, tasks: TaskList, one_head: bool) -> View:
        view = dict(self.trunk_view(tasks.places[k]))
        if one_head:
            column = (f"{FIRST}.weight", tasks.obs_dim + k)
            view[f"{FIRST}.bias"] = Part(f"{FIRST}.bias", plus=column)
        head = 0 if one_head else k
        view |= {f"head.{n}": Part(f"heads.{head}.{n}") for n in ("weight", "bias")}
        if len(self.log_stds):
            view["log_std"] = Part(f"log_stds.{head}")
        return view


class Shells:
    """The tasks' plain networks, which hold no weights of their own that count.

    Args:
        shared: What they are views of, with ``views`` and ``together``.
        networks: One a task.
    """

    def __init__(self, shared: Any, networks: Sequence[Network]):
        self.shared, self.networks = shared, tuple(networks)

    @cached_property
    def _named(self) -> Params:
        return parameters_of(self.shared)

    def parameters(self, k: int) -> Params:
        """A task's parameters, by its plain network's names; gradients reach the shared ones."""
        own = {n: p.detach() for n, p in parameters_of(self.networks[k]).items() if n == "context"}
        return {**own, **seen(self.shared.views[k], self._named)}

    def __call__(self, k: int, obs: Tensor, params: Params | None = None) -> Any:
        """Ask a task's network.

        Args:
            k: Which task.
            obs: As its family gives them, (..., D).
            params: The task's `parameters`, where who asks has them; None: they are made.
        Returns:
            Of a policy mean (..., A) and log standard deviation (A,), of a critic values (...).
        """
        params = self.parameters(k) if params is None else params
        return functional_call(self.networks[k], params, (obs,))

    def together(self, obs: Sequence[Tensor]) -> list[Any]:
        """Ask every task's network, in a fraction of the time that one after the other takes.

        Args:
            obs: Of each task, (M, D), as its family gives them.
        Returns:
            What each answers, up to rounding.
        """
        return [self.answer(k, raw) for k, raw in enumerate(self.shared.together(obs))]

    def answer(self, k: int, raw: Tensor) -> Any:
        """Make a task's answer of what its head gives."""
        network = self.networks[k]
        if not isinstance(network, GaussianPolicy):
            return raw.squeeze(-1)
        spread = seen({"log_std": self.shared.views[k]["log_std"]}, self._named)["log_std"]
        return network.distribution(raw, spread)


def policy_shells(shared: Any, tasks: TaskList, device: str, **network: Any) -> Shells:
    """Make the tasks' plain policies.

    Args:
        shared: What they are views of.
        tasks: The tasks.
        device: Where they act.
        network: What each is made of, as `metarl.nn.policy.network_of` picks it.
    """
    made = [
        GaussianPolicy(spec.obs_dim, spec.action_dim, spec.task_dim, torch.Generator(), **network)
        for spec in tasks.specs
    ]
    return Shells(shared, [policy.to(device) for policy in made])


def critic_shells(shared: Any, tasks: TaskList, device: str, hidden: Sequence[int]) -> Shells:
    """Make the tasks' plain critics; arguments as for `policy_shells`."""
    made = [Critic(spec.obs_dim, torch.Generator(), hidden=hidden) for spec in tasks.specs]
    return Shells(shared, [critic.to(device) for critic in made])
