"""What meets new tasks: a policy, and how it learns there, one update after another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from metarl.errors import ConfigError
from metarl.family import TaskFamily
from metarl.learn.rollout import Trajectories, collect
from metarl.nn.functional import Params, expand, is_batched, parameters_of
from metarl.sim.blocks import ObservationStack
from metarl.sim.worlds import Worlds
from metarl.types import Act, Spec

State = dict[str, Tensor]


class Adaptation(ABC):
    """A policy in K tasks that it does not know, and how it learns there.

    Everything that an update changes is in `state`, so that what the policy was after any
    update can be kept, judged and filmed later.

    Args:
        worlds: K * B worlds with their tasks assigned; task k's are rows k*B ... k*B + B - 1.
        policy: The policy.
        num_tasks: K.
        generator: Draws whatever is drawn.
    Attributes:
        num_steps: Control steps that the updates took.
    """

    def __init__(
        self, worlds: Worlds, policy: nn.Module, *, num_tasks: int, generator: torch.Generator
    ):
        self.worlds, self.policy = worlds, policy
        self.num_tasks, self.generator = num_tasks, generator
        self.num_steps = 0

    @abstractmethod
    def update(self) -> None:
        """Run B episodes of each task, count their steps, and learn from them."""

    @abstractmethod
    def state(self) -> State:
        """What the policy is now in each task: tensors by name, each (K, ...), as copies."""

    @abstractmethod
    def judge(self, worlds: Worlds) -> Trajectories:
        """Run an episode with mean actions in each of K * E worlds; nothing is learned."""

    @abstractmethod
    def act_in(self, worlds: Worlds, task: int, state: State) -> Act:
        """Act in worlds of one task with mean actions, as the policy was in a `state`.

        Args:
            worlds: Worlds of that task, of any number.
            task: k.
            state: What `state` returned, now or earlier.
        """


class Adapted(NamedTuple):
    """One update.

    Args:
        params: The parameters after it, each (K, ...).
        trajectories: The episodes that it learned from, collected before it.
    """

    params: Params
    trajectories: Trajectories


class ByParameters(Adaptation):
    """Adaptation whose state is the policy's parameters, each (K, ...).

    Args:
        worlds: As for `Adaptation`.
        policy: Likewise.
        updates: One `Adapted` an update, from episodes in these worlds.
        num_tasks: K.
        generator: As for `Adaptation`.
    """

    def __init__(
        self,
        worlds: Worlds,
        policy: nn.Module,
        updates: Iterator[Adapted],
        *,
        num_tasks: int,
        generator: torch.Generator,
    ):
        super().__init__(worlds, policy, num_tasks=num_tasks, generator=generator)
        self.params: Params = per_task(policy, dict(policy.named_parameters()), num_tasks)
        self._updates = updates

    def update(self) -> None:
        self.params, episodes = next(self._updates)
        self.num_steps += episodes.num_steps

    def state(self) -> State:
        return {name: p.detach().clone() for name, p in self.params.items()}

    def judge(self, worlds: Worlds) -> Trajectories:
        return collect(
            worlds, self.policy, {n: p.detach() for n, p in self.params.items()},
            num_tasks=self.num_tasks, generator=self.generator, deterministic=True,
        )  # fmt: skip

    def act_in(self, worlds: Worlds, task: int, state: State) -> Act:
        return act_with(self.policy, {name: p[task] for name, p in state.items()})


class ByContext(Adaptation):
    """Adaptation whose policy keeps its parameters and acts as if it knew what is hidden.

    Its state has at least ``mean``: the H hidden numbers of each task that it goes by, (K, H), in
    units of the task block.

    Attributes:
        bound: Largest size of a number that it acts by; a field's declared range ends at 1.
    """

    bound: float

    @abstractmethod
    def state(self) -> State: ...

    def judge(self, worlds: Worlds) -> Trajectories:
        each = worlds.num_worlds // self.num_tasks
        return self._act_as_if(
            worlds, self.state()["mean"].repeat_interleave(each, 0), deterministic=True
        )

    def act_in(self, worlds: Worlds, task: int, state: State) -> Act:
        act = act_with(self.policy, parameters_of(self.policy))
        offset = self._offset(worlds, state["mean"][task]).cpu().numpy()
        block = worlds.spec.slice("task")

        def act_as_if(obs: np.ndarray) -> np.ndarray:
            believed = obs.copy()
            believed[:, block] += offset
            return act(believed)

        return act_as_if

    def _act_as_if(
        self,
        worlds: Worlds,
        hidden: Tensor,
        *,
        deterministic: bool = False,
        residual: Tensor | None = None,
    ) -> Trajectories:
        """Run an episode in every world, each as if H numbers were so, (N, H).

        The residual is as for `metarl.learn.rollout.collect`.
        """
        return collect(
            worlds, self.policy, parameters_of(self.policy), num_tasks=self.num_tasks,
            generator=self.generator, deterministic=deterministic,
            offset=self._offset(worlds, hidden), residual=residual,
        )  # fmt: skip

    def _offset(self, worlds: Worlds, hidden: Tensor) -> Tensor:
        return as_offset(hidden.clamp(-self.bound, self.bound), worlds.spec)


def as_offset(hidden: Tensor, spec: Spec) -> Tensor:
    """Place H hidden numbers into their columns of the task block, (..., H) -> (..., C)."""
    columns = [i for i, is_hidden in enumerate(spec.hidden) if is_hidden]
    block = torch.zeros(*hidden.shape[:-1], spec.task_dim, device=hidden.device)
    for column, values in zip(columns, hidden.float().unbind(-1), strict=True):
        block[..., column] = values
    return block


def hidden_of(tasks: Any, family: TaskFamily[Any], spec: Spec) -> Tensor:
    """Read what is hidden in tasks, in units of the task block, shape (K, H)."""
    stack = ObservationStack(spec, family.task_type)
    stack.show(tasks, True)
    block = torch.from_numpy(stack.blank()[:, spec.slice("task")])
    return block[:, list(spec.hidden)]


def require_hidden(worlds: Worlds) -> None:
    """Check that something is hidden.

    Raises:
        ConfigError: If the family's tasks hide nothing.
    """
    spec = worlds.spec
    if not any(spec.hidden):
        raise ConfigError(
            f"{worlds.family.id} hides nothing of its tasks (fields:"
            f" {', '.join(name for name, *_ in spec.task_fields) or 'none'}); there is nothing"
            " to infer"
        )


def act_with(policy: nn.Module, params: Mapping[str, Tensor]) -> Act:
    """Act with the mean of a policy whose parameters are given, each (...)."""
    own = dict(params)
    device = next(iter(own.values())).device

    @torch.no_grad()
    def act(obs: np.ndarray) -> np.ndarray:
        mean, _ = functional_call(policy, own, (torch.from_numpy(obs).to(device),))
        return mean.cpu().numpy()

    return act


def per_task(policy: nn.Module, params: Mapping[str, Tensor], num_tasks: int) -> Params:
    """Give each task its parameters, outside any graph."""
    own = {name: p.detach() for name, p in params.items()}
    return own if is_batched(policy, own) else expand(own, num_tasks)
