"""The adaptation protocol: success on held-out tasks after exactly 0 .. U updates."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metarl.adaptation import FineTuning, adapt_policy, fine_tune
from metarl.checkpoint import Checkpoint
from metarl.errors import CheckpointError, ConfigError, UnknownNameError
from metarl.family import TaskFamily
from metarl.meta.config import MamlConfig
from metarl.meta.inner import initial_rates
from metarl.nn.functional import Params, expand, parameters_of
from metarl.nn.policy import GaussianPolicy
from metarl.policies import load_policy, load_rates, read_checkpoint
from metarl.registry import make_family
from metarl.rollout import collect
from metarl.sim.worlds import Worlds
from metarl.statistics import Estimate, estimate
from metarl.streams import Streams
from metarl.transfer import get_strategy, prepare
from metarl.types import Split, repeat

BY_INNER_LOOP = ("maml", "untrained-inner-loop")
METHODS = ("scratch", "fine-tune", "frozen-trunk", "small-rate", *BY_INNER_LOOP)
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
        rates = "  ".join(f"{u}: {100 * s.mean():.0f}%" for u, s in enumerate(self.success))
        return (
            f"{self.method} on {self.family}, success after each update  {rates}"
            f"  ({self.steps:,} control steps, {self.seconds:.1f} s)"
        )


def summarise(results: Sequence[AdaptationResult], rng: np.random.Generator) -> list[Estimate]:
    """Estimate success after each update over seeds (one result each) and tasks."""
    table = np.stack([r.success for r in results])  # (S, U+1, K)
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
    keep: list[Params] | None = None,
) -> AdaptationResult:
    """Adapt to held-out tasks whose hidden fields are hidden, and judge after each update.

    Args:
        family: The family.
        method: One of `METHODS`; scratch takes only the architecture from the checkpoint.
        checkpoint: Of a pretrained or meta-trained policy.
        protocol: How it is measured.
        num_threads: Physics threads; 0 takes every core.
        progress: Called with (updates done, updates in all).
        keep: If given, the parameters after each update, each (K, ...), are appended.
    Returns:
        The result; nothing is chosen by it.
    """
    k, b = protocol.num_tasks, protocol.episodes
    worlds = Worlds(
        family, k * b, seed=protocol.seed, split=protocol.split, num_threads=num_threads
    )
    judge = _judging_worlds(family, protocol, num_threads=num_threads)
    worlds.assign(repeat(held_out_tasks(family, protocol), b))
    generator = torch.Generator().manual_seed(protocol.seed)
    policy, updates = _adaptation(worlds, method, checkpoint, protocol, generator)
    rows, steps, seconds = [], 0, 0.0
    now = expand(parameters_of(policy), k)
    for u in range(protocol.updates + 1):
        if u:
            start_s = time.perf_counter()
            now, episodes = next(updates)
            seconds += time.perf_counter() - start_s
            steps += episodes.num_steps
        if keep is not None:
            keep.append({n: p.detach().clone() for n, p in now.items()})
        rows.append(_judge(judge, policy, now, k, generator))
        if progress is not None:
            progress(u, protocol.updates)
    success, score, returns = (np.stack(column) for column in zip(*rows))
    return AdaptationResult(method, family.id, success, score, returns, steps, seconds)


def _judge(
    worlds: Worlds, policy: GaussianPolicy, params: Params, k: int, generator: torch.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Success, score and return of each task with mean actions, (K,) each."""
    own = {n: p.detach() for n, p in params.items()}
    e = collect(worlds, policy, own, num_tasks=k, generator=generator, deterministic=True)
    success, score, returns = (
        np.asarray(x, float).reshape(k, -1).mean(axis=1) for x in (e.success, e.score, e.returns)
    )
    return success, score, returns


def _adaptation(
    worlds: Worlds,
    method: str,
    checkpoint: Checkpoint,
    protocol: Protocol,
    generator: torch.Generator,
) -> tuple[GaussianPolicy, Iterator[Any]]:
    """The policy before adaptation, and its updates."""
    if method not in METHODS:
        raise UnknownNameError("adaptation method", method, METHODS)
    k, updates = protocol.num_tasks, protocol.updates
    policy = _fitting(checkpoint, worlds)
    if method in BY_INNER_LOOP:
        if method == "maml":
            inner, rates = _inner_loop(checkpoint), load_rates(checkpoint)
        else:
            inner = protocol.untrained
            _explore(policy, protocol.log_std if inner.log_std is None else inner.log_std)
            rates = initial_rates(
                parameters_of(policy), inner.inner_updates, inner.inner_rate, inner.context_rate,
                worlds.spec.hidden, inner.context_decay,
            )  # fmt: skip
        return policy, adapt_policy(
            worlds, policy, parameters_of(policy), rates, num_tasks=k, updates=updates,
            generator=generator, gamma=inner.gamma, lam=inner.lam, clip=inner.inner_clip,
            noise=inner.noise(worlds.spec.hidden),
        )  # fmt: skip
    _explore(policy, protocol.log_std)
    strategy = get_strategy(method)
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
    return policy, fine_tune(
        worlds, policy, parameters_of(policy), how, num_tasks=k, updates=updates,
        generator=generator,
    )  # fmt: skip


def _inner_loop(checkpoint: Checkpoint) -> MamlConfig:
    try:
        return MamlConfig(**checkpoint.meta["config"])
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"this checkpoint's config is none of MAML's: {error}") from error


def _explore(policy: GaussianPolicy, log_std: float) -> None:
    with torch.no_grad():
        policy.log_std.fill_(log_std)


def _fitting(checkpoint: Checkpoint, worlds: Worlds) -> GaussianPolicy:
    policy = load_policy(checkpoint)
    here = (worlds.spec.obs_dim, worlds.spec.action_dim, worlds.spec.task_dim)
    there = (policy.obs_dim, policy.head.out_features, policy.context.numel())
    if here != there:
        raise CheckpointError(
            f"the checkpoint, trained on {checkpoint.meta.get('family', 'another family')}, has"
            f" (observations, actions, task columns) {there};"
            f" {worlds.family.id} has {here}"
        )
    return policy


def measure_ceiling(
    family: TaskFamily[Any], checkpoint: Checkpoint, protocol: Protocol, *, task_visible: bool
) -> np.ndarray:
    """Judge a pretrained policy without adaptation on the protocol's tasks.

    Args:
        family: The family.
        checkpoint: Of the policy.
        protocol: Which tasks, and how many episodes.
        task_visible: Whether it sees the hidden fields (the ceiling) or not (blind).
    Returns:
        Success of each task, (K,).
    """
    judge = _judging_worlds(family, protocol, task_visible=task_visible)
    policy = _fitting(checkpoint, judge)
    generator = torch.Generator().manual_seed(protocol.seed)
    return _judge(judge, policy, parameters_of(policy), protocol.num_tasks, generator)[0]


def run_adaptation(
    checkpoint: Path,
    family: str,
    *,
    updates: int,
    episodes: int,
    num_tasks: int,
    seed: int,
    strategy: str,
    split: Split,
    progress: Progress | None = None,
) -> AdaptationResult:
    """Adapt a checkpoint to held-out tasks, as `metarl adapt` does.

    Args:
        checkpoint: A checkpoint file or a run folder.
        family: Name of the family.
        updates: U.
        episodes: B.
        num_tasks: K.
        seed: Of tasks, worlds and noise.
        strategy: A transfer strategy; ``fine-tune`` uses the checkpoint's own inner loop
            if it was meta-trained.
        split: Where the tasks come from.
        progress: Called with (updates done, updates in all).
    """
    found = read_checkpoint(checkpoint)
    meta_trained = found.meta.get("method") == "maml"
    method = "maml" if meta_trained and strategy == "fine-tune" else strategy
    protocol = Protocol(
        num_tasks=num_tasks, episodes=episodes, updates=updates, seed=seed, split=split
    )
    return evaluate_adaptation(make_family(family), method, found, protocol, progress=progress)
