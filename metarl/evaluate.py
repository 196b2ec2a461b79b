"""The adaptation protocol: success on held-out tasks after exactly 0 .. U updates."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from metarl.adaptation import Adaptation, ByParameters, State
from metarl.checkpoint import Checkpoint
from metarl.config import describe_config, load_config
from metarl.errors import CheckpointError, ConfigError, UnknownNameError
from metarl.family import TaskFamily
from metarl.meta.config import MamlConfig
from metarl.meta.maml import with_rates
from metarl.methods import adaptation_of, get_method, method_names
from metarl.nn.functional import parameters_of
from metarl.nn.policy import GaussianPolicy
from metarl.policies import load_policy_for
from metarl.rollout import Trajectories, collect
from metarl.sim.worlds import Worlds
from metarl.statistics import Estimate, estimate
from metarl.streams import Streams
from metarl.transfer import STRATEGIES, UNTRAINED, get_strategy, prepare
from metarl.transfer.fine_tuning import FineTuning, fine_tune
from metarl.types import Split, repeat

# What any pretrained policy can do on new tasks; a meta-trained one has its method beside these.
BASELINES = (*STRATEGIES, UNTRAINED)
TUNED = ("rate", "epochs", "log_std", "gamma", "lam")  # what a strategy's fine-tuning is made of
Progress = Callable[[int, int], None]
_FIRST_JUDGE = 1 << 20  # index of the first stream that judging draws from


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How adaptation is measured; fine-tuning's settings won on train tasks.

    Args:
        num_tasks: K held-out tasks.
        episodes: B, of each task before each update.
        updates: U.
        eval_episodes: Of each task after each update, with mean actions, in other worlds.
        seed: Of tasks, worlds and noise.
        split: Where the tasks come from.
        rate: Adam's rate of fine-tuning.
        epochs: Adam steps on each update's episodes of fine-tuning.
        log_std: First log standard deviation of the actions; a meta-trained policy has its own.
        gamma: Discount per control step of fine-tuning; inner loops have their own.
        lam: Of fine-tuning's generalised advantage estimate.
        untrained: The inner loop of ``untrained-inner-loop``, as it is before any meta-training.
    """

    num_tasks: int = 20
    episodes: int = 10
    updates: int = 5
    eval_episodes: int = 10
    seed: int = 1000
    split: Split = "test"
    rate: float = 3e-3
    epochs: int = 5
    log_std: float = -1.3
    gamma: float = 0.95
    lam: float = 0.95
    untrained: MamlConfig = MamlConfig()

    def __post_init__(self) -> None:
        for name in ("num_tasks", "episodes", "eval_episodes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected an integer >= 1")
        if self.updates < 0:
            raise ConfigError(f"updates is {self.updates}; expected an integer >= 0")
        for name in ("rate", "epochs", "gamma", "lam", "log_std"):
            value = getattr(self, name)
            if not math.isfinite(value) or (value <= 0 and name in ("rate", "epochs")):
                bound = " > 0" if name in ("rate", "epochs") else ""
                raise ConfigError(f"{name} is {value}; expected a finite number{bound}")

    def tuned(self, method: str, settings: Mapping[str, Any]) -> Protocol:
        """Change how a baseline learns.

        Args:
            method: One of `BASELINES`, or a method, which takes no settings: it adapts as it was
                trained to.
            settings: Of a strategy some of `TUNED`, of the untrained inner loop fields of
                `MamlConfig`.
        Raises:
            ConfigError: If one is unknown, of another type, or out of range.
        """
        if not settings:
            return self
        if method == UNTRAINED:
            inner = load_config({**describe_config(self.untrained), **settings}, MamlConfig)
            return dataclasses.replace(self, untrained=inner)
        names = TUNED if method in STRATEGIES else ()
        for name in settings:
            if name not in names:
                takes = f"takes {', '.join(names)}" if names else "takes no settings"
                raise ConfigError(f"setting {name!r}; {method} {takes}")
        return load_config({**describe_config(self), **settings}, Protocol)


@dataclasses.dataclass(frozen=True)
class AdaptationResult:
    """What one policy reached on K held-out tasks.

    Args:
        method: Its name.
        family: Of the tasks.
        success: Rate after u updates, shape (U+1, K).
        score: Mean graded outcome, shape (U+1, K).
        returns: Mean return, shape (U+1, K).
        steps: Control steps that adaptation took, evaluation not counted.
        seconds: Wall time of adaptation [s], likewise.
    """

    method: str
    family: str
    success: np.ndarray
    score: np.ndarray
    returns: np.ndarray
    steps: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and lists."""
        fields = dataclasses.asdict(self)
        return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in fields.items()}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> AdaptationResult:
        """Read what `to_json` wrote."""
        arrays = {k: np.asarray(saved[k]) for k in ("success", "score", "returns")}
        return cls(**{**saved, **arrays})

    def __str__(self) -> str:
        """A table: mean over the tasks, with the interval that the choice of tasks leaves."""
        rng, tasks = np.random.default_rng(0), self.success.shape[1]
        rows = [["after update", *(str(u) for u in range(len(self.success)))]]
        rates = [estimate(row[None], rng).format_percent() for row in self.success]
        rows.append(["success [%]", *rates])
        if not np.array_equal(self.score, self.success):
            rows.append(["score", *(f"{estimate(row[None], rng)}" for row in self.score)])
        rows.append(["return", *(f"{estimate(row[None], rng)}" for row in self.returns)])
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in rows]
        return "\n".join(
            [
                f"{self.method} on {self.family}: mean of {tasks} tasks [95% interval]",
                *lines,
                f"{self.steps:,} control steps, {self.seconds:.1f} s",
            ]
        )


def summarise(
    results: Sequence[AdaptationResult], rng: np.random.Generator, metric: str = "success"
) -> list[Estimate]:
    """Estimate success (or score, or returns) after each update over seeds (one result each) and
    tasks."""
    table = np.stack([getattr(r, metric) for r in results])  # (S, U+1, K)
    return [estimate(table[:, u], rng) for u in range(table.shape[1])]


def held_out_tasks(family: TaskFamily[Any], protocol: Protocol) -> Any:
    """Draw the protocol's tasks; they depend on its seed and split alone, K rows."""
    streams = Streams.from_seed(protocol.seed, protocol.num_tasks)
    return family.sample(streams, protocol.num_tasks, protocol.split)


def _judging_worlds(
    family: TaskFamily[Any],
    protocol: Protocol,
    *,
    task_visible: bool = False,
    num_threads: int = 0,
) -> Worlds:
    """Worlds whose streams no adaptation has drawn from, with the protocol's tasks."""
    worlds = Worlds(
        family,
        protocol.num_tasks * protocol.eval_episodes,
        seed=protocol.seed,
        task_visible=task_visible,
        num_threads=num_threads,
        first_stream=_FIRST_JUDGE,
    )
    worlds.assign(repeat(held_out_tasks(family, protocol), protocol.eval_episodes))
    return worlds


def evaluate_adaptation(
    family: TaskFamily[Any],
    method: str,
    checkpoint: Checkpoint,
    protocol: Protocol,
    *,
    num_threads: int = 0,
    progress: Progress | None = None,
    keep: list[State] | None = None,
) -> AdaptationResult:
    """Adapt to held-out tasks whose hidden fields are hidden, and judge after each update.

    Args:
        family: The family.
        method: One of `BASELINES`, or the method that trained the checkpoint; scratch takes
            only the architecture from it.
        checkpoint: Of a pretrained or meta-trained policy.
        protocol: How it is measured.
        num_threads: Physics threads; 0 takes every core.
        progress: Called with (updates done, updates in all).
        keep: If given, the adaptation's state after each update is appended.
    Returns:
        The result; nothing is chosen by it.
    """
    adaptation = start_adaptation(family, method, checkpoint, protocol, num_threads=num_threads)
    judge = _judging_worlds(family, protocol, num_threads=num_threads)
    rows, seconds = [], 0.0
    for u in range(protocol.updates + 1):
        if u:
            start_s = time.perf_counter()
            adaptation.update()
            seconds += time.perf_counter() - start_s
        if keep is not None:
            keep.append(adaptation.state())
        rows.append(_outcome(adaptation.judge(judge)))
        if progress is not None:
            progress(u, protocol.updates)
    success, score, returns = (np.stack(column) for column in zip(*rows))
    return AdaptationResult(
        method, family.id, success, score, returns, adaptation.num_steps, seconds
    )


class Outcome(NamedTuple):
    """What a policy reached in each task, on average over its episodes.

    Args:
        success: Rate, (K,).
        score: Graded outcome, (K,).
        returns: Return, (K,).
    """

    success: np.ndarray
    score: np.ndarray
    returns: np.ndarray


def _outcome(episodes: Trajectories) -> Outcome:
    of_worlds = (episodes.success, episodes.score, episodes.returns)
    return Outcome(
        *(np.asarray(x, float).reshape(episodes.num_tasks, -1).mean(axis=1) for x in of_worlds)
    )


def start_adaptation(
    family: TaskFamily[Any],
    method: str,
    checkpoint: Checkpoint,
    protocol: Protocol,
    *,
    num_threads: int = 0,
) -> Adaptation:
    """Put a policy before the protocol's tasks, without any update yet.

    Args:
        family: The family.
        method: As for `evaluate_adaptation`.
        checkpoint: Likewise.
        protocol: Likewise.
        num_threads: Physics threads; 0 takes every core.
    Raises:
        UnknownNameError: If there is no such method.
        CheckpointError: If another method trained the checkpoint, or it is for another interface.
    """
    adapt = None
    if method not in BASELINES:
        if method not in (names := method_names()):
            raise UnknownNameError("adaptation method", method, (*BASELINES, *names))
        adapt = get_method(method).adaptation
        if adapt is None:
            raise ConfigError(
                f"{method!r} has no adaptation of its own; expected one of {', '.join(BASELINES)}"
            )
        if (trained := checkpoint.meta.get("method")) != method:
            raise CheckpointError(f"the checkpoint was trained by {trained!r}, not by {method!r}")
    worlds = Worlds(
        family,
        protocol.num_tasks * protocol.episodes,
        seed=protocol.seed,
        split=protocol.split,
        num_threads=num_threads,
    )
    worlds.assign(repeat(held_out_tasks(family, protocol), protocol.episodes))
    generator = torch.Generator().manual_seed(protocol.seed)
    if adapt is not None:
        return adapt(
            checkpoint, worlds,
            num_tasks=protocol.num_tasks, updates=protocol.updates, generator=generator,
        )  # fmt: skip
    policy = load_policy_for(checkpoint, worlds)
    if method == UNTRAINED:
        return _by_untrained_inner_loop(worlds, policy, protocol, generator)
    return _by_fine_tuning(worlds, policy, method, protocol, generator)


def _by_untrained_inner_loop(
    worlds: Worlds, policy: GaussianPolicy, protocol: Protocol, generator: torch.Generator
) -> Adaptation:
    inner = protocol.untrained
    _explore(policy, protocol.log_std if inner.log_std is None else inner.log_std)
    rates = inner.rates(parameters_of(policy), worlds.spec.hidden)
    return with_rates(
        worlds, policy, rates, inner,
        num_tasks=protocol.num_tasks, updates=protocol.updates, generator=generator,
    )  # fmt: skip


def _by_fine_tuning(
    worlds: Worlds,
    policy: GaussianPolicy,
    name: str,
    protocol: Protocol,
    generator: torch.Generator,
) -> Adaptation:
    _explore(policy, protocol.log_std)
    strategy = get_strategy(name)
    policy = prepare(policy, strategy, generator=generator)
    if strategy.start == "scratch":
        with torch.no_grad():
            policy.context.zero_()
    how = FineTuning(
        rate=protocol.rate * strategy.rate_scale,
        epochs=protocol.epochs,
        frozen_trunk=not strategy.train_trunk,
        gamma=protocol.gamma,
        lam=protocol.lam,
    )
    updates = fine_tune(
        worlds, policy, parameters_of(policy), how,
        num_tasks=protocol.num_tasks, updates=protocol.updates, generator=generator,
    )  # fmt: skip
    return ByParameters(worlds, policy, updates, num_tasks=protocol.num_tasks, generator=generator)


def _explore(policy: GaussianPolicy, log_std: float) -> None:
    with torch.no_grad():
        policy.log_std.fill_(log_std)


def measure_ceiling(
    family: TaskFamily[Any], checkpoint: Checkpoint, protocol: Protocol, *, task_visible: bool
) -> Outcome:
    """Judge a pretrained policy without adaptation on the protocol's tasks.

    Args:
        family: The family.
        checkpoint: Of the policy.
        protocol: Which tasks, and how many episodes.
        task_visible: Whether it sees the hidden fields (the ceiling) or not (blind).
    """
    judge = _judging_worlds(family, protocol, task_visible=task_visible)
    policy = load_policy_for(checkpoint, judge)
    episodes = collect(
        judge, policy, parameters_of(policy), num_tasks=protocol.num_tasks,
        generator=torch.Generator(), deterministic=True,
    )  # fmt: skip
    return _outcome(episodes)


def choose_method(checkpoint: Checkpoint, strategy: str) -> str:
    """Choose how a checkpoint adapts: by the method that trained it, if that has a way of its
    own and nothing else is asked for, else by a transfer strategy.

    Args:
        checkpoint: The checkpoint.
        strategy: What is asked for; ``fine-tune`` asks for nothing else.
    """
    own = strategy == "fine-tune" and adaptation_of(checkpoint.meta) is not None
    return checkpoint.meta["method"] if own else strategy
