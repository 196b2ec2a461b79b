"""How fast is a meta-gradient, beside learn2learn's?

    python benchmarks/meta_update.py

Adapt to each task on stored samples, judge the result on others, differentiate through both:
ours for all tasks at once or in groups (`metarl.meta.maml.outer`), learn2learn's MAML learner one task
after another. The same policy, samples and loss, interleaved in one process; a ratio is formed
within each round, and the median is reported. Training itself uses one torch thread.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
import tyro
from shared.machine import write_result
from torch import nn

from metarl.meta.maml import learn2learn_backend
from metarl.meta.maml.inner import Batch, initial_rates, log_prob_of
from metarl.meta.maml.outer import Gradients, Outer, outer_gradients
from metarl.nn.functional import apply, parameters_of
from metarl.nn.policy import GaussianPolicy
from metarl.registry import make_family
from metarl.sim.worlds import Worlds

Update = Callable[[], Gradients]


@dataclass(frozen=True)
class Config:
    """Which sizes, and how long each is measured."""

    family: str = "kitchen/season"
    """Whose observations and actions the policy has."""
    tasks: tuple[int, ...] = (20, 40)
    """Tasks of an update."""
    samples: tuple[int, ...] = (50, 100, 300, 600, 1200)
    """Samples of each task."""
    updates: tuple[int, ...] = (1, 3)
    """Inner steps."""
    threads: tuple[int, ...] = (1, 2)
    """Torch threads."""
    orders: tuple[int, ...] = (1, 2)
    """Orders of the meta-gradient."""
    min_rounds: int = 5
    """Rounds of a cell, at least."""
    max_rounds: int = 15
    """Rounds of a cell, at most."""
    seconds: float = 4.0
    """No further rounds of a cell after this time [s]."""
    name: str = "meta-update"
    """Name of the result file."""


@dataclass(frozen=True)
class Cell:
    """One size."""

    threads: int
    order: int
    updates: int
    tasks: int
    samples: int


def problem(
    family: str, cell: Cell
) -> tuple[nn.Module, dict[str, torch.Tensor], dict[str, torch.Tensor], list[Batch]]:
    """Make a policy and samples that it could have collected."""
    spec = Worlds(make_family(family), 1).spec
    rng = torch.Generator().manual_seed(0)
    policy = GaussianPolicy(spec.obs_dim, spec.action_dim, spec.task_dim, rng)
    params = parameters_of(policy)
    batches = []
    for _ in range(cell.updates + 1):
        obs = torch.randn(cell.tasks, cell.samples, spec.obs_dim, generator=rng)
        with torch.no_grad():
            mean, log_std = apply(policy, params, obs)
            noise = torch.randn(mean.shape, generator=rng)
            action = mean + log_std[:, None].exp() * noise
            log_prob = log_prob_of((mean, log_std), action)
        advantage = torch.randn(cell.tasks, cell.samples, generator=rng)
        batches.append(Batch(obs, action, log_prob, advantage, torch.ones_like(advantage)))
    return policy, params, initial_rates(params, cell.updates, 0.01), batches


def seconds_of(update: Update) -> float:
    """Wall time of one update [s]."""
    start = time.perf_counter()
    update()
    return time.perf_counter() - start


def measure(cell: Cell, config: Config) -> dict[str, Any]:
    """Interleave both in one size, after one round that is not counted."""
    torch.set_num_threads(cell.threads)
    given = (*problem(config.family, cell), Outer(first_order=cell.order == 1))
    both = [
        lambda: outer_gradients(*given),
        lambda: learn2learn_backend.outer_gradients(*given),
    ]
    ours, theirs = (update() for update in both)
    for name, gradient in ours[1].items():
        torch.testing.assert_close(gradient, theirs[1][name], rtol=1e-3, atol=1e-4)
    rows: list[list[float]] = []
    start = time.perf_counter()
    while len(rows) < config.max_rounds:
        if len(rows) >= config.min_rounds and time.perf_counter() - start > config.seconds:
            break
        rows.append([seconds_of(update) for update in both])
    table = np.array(rows)
    return {
        **vars(cell),
        "ours_s": float(np.median(table[:, 0])),
        "theirs_s": float(np.median(table[:, 1])),
        "ratio": float(np.median(table[:, 1] / table[:, 0])),
        "rounds": len(rows),
    }


def main(config: Config) -> None:
    """Measure every size and write results/NAME.json."""
    learn2learn_backend.load_learn2learn()
    sizes = itertools.product(
        config.threads, config.orders, config.updates, config.tasks, config.samples
    )
    rows = []
    print(f"{'threads':>8}{'order':>7}{'steps':>7}{'tasks':>7}{'samples':>9}", end="")
    print(f"{'ours ms':>10}{'l2l ms':>10}{'ratio':>8}")
    for size in sizes:
        row = measure(Cell(*size), config)
        rows.append(row)
        print("".join(f"{x:>{w}}" for x, w in zip(size, (8, 7, 7, 7, 9))), end="")
        print(f"{1e3 * row['ours_s']:>10.1f}{1e3 * row['theirs_s']:>10.1f}{row['ratio']:>8.2f}")
    least = {
        "any number of samples": min(r["ratio"] for r in rows),
        "up to 100 samples": min((r["ratio"] for r in rows if r["samples"] <= 100), default=None),
    }
    for what, ratio in least.items():
        if ratio is not None:
            print(f"{what}: at least {ratio:.2f} times as fast as learn2learn")

    result = {"learn2learn": version("learn2learn"), "least": least, "rows": rows}
    print(f"wrote {write_result(config.name, result)}")


if __name__ == "__main__":
    main(tyro.cli(Config))
