"""How much faster is a whole meta-iteration than by the conventional recipe?

    python benchmarks/meta_iteration.py

Collect, adapt, collect, meta-update; the same tasks, episodes, horizon, policy and loss. Ours acts
for all tasks and all their worlds at once, and differentiates all tasks at once. The conventional
recipe is that of learn2learn's own MAML-TRPO example: one task after another, its episodes
collected through Gymnasium's AsyncVectorEnv with one process a core, and learn2learn's MAML
learner. Interleaved in one process; a ratio is formed within each round, and the median is
reported. The conventional recipe has our environments, too; how near one of them comes to plain
`mj_step` stands beside the ratio.
"""

from __future__ import annotations

import functools
import math
import os
import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
import tyro
from gymnasium.vector import AsyncVectorEnv
from shared.machine import write_result
from throughput import Raw, record_controls, single, timed

from metarl.interop.gym_env import FamilyEnv
from metarl.learn.losses import gaussian_log_prob, surrogate
from metarl.learn.rollout import Trajectories
from metarl.meta.baseline import make_batch
from metarl.meta.maml.config import MamlConfig
from metarl.meta.maml.inner import Batch, log_prob_of
from metarl.meta.maml.learn2learn_backend import Learner, load_learn2learn, outer_gradients
from metarl.meta.maml.maml import MamlTrainer
from metarl.nn.functional import parameters_of
from metarl.nn.policy import start_policy
from metarl.registry import make_family
from metarl.types import take

PARTS = ("collect_s", "adapt_s", "update_s")


@dataclass(frozen=True)
class Config:
    """How large an iteration is, and how often it is measured."""

    family: str = "kitchen/season"
    """The family."""
    num_tasks: int = 20
    """Tasks."""
    episodes: int = 10
    """Episodes of each task before each inner update and after the last."""
    inner_updates: int = 1
    """Inner updates."""
    outer_epochs: int = 1
    """Outer steps on each iteration's data."""
    processes: int = 0
    """Processes of the conventional recipe; 0: one a core."""
    rounds: int = 5
    """Interleaved rounds, after one that is not counted."""
    name: str = "meta-iteration"
    """Name of the result file."""

    def maml(self) -> MamlConfig:
        """Settings that learn2learn's learner has too: second order, one fixed inner rate."""
        return MamlConfig(
            num_tasks=self.num_tasks, episodes=self.episodes, inner_updates=self.inner_updates,
            outer_epochs=self.outer_epochs, first_order=False, multi_step=False, inner_rate=0.01,
            learn_rates=False, context_rate=None, inner_clip=None, anneal=0.0, iterations=1000,
        )  # fmt: skip


class Conventional:
    """Meta-iterations by learn2learn and Gymnasium, one task after another.

    Args:
        config: How large they are.
        ours: Whose worlds, first parameters and inner rates it shares.
    """

    def __init__(self, config: Config, ours: MamlTrainer):
        self.config, self.maml, self.spec = config, ours.config, ours.worlds.spec
        self.num_envs = config.processes or os.cpu_count() or 1
        make = functools.partial(FamilyEnv, config.family, task_visible=False)
        makes = [functools.partial(make, seed=i) for i in range(self.num_envs)]
        self.envs = AsyncVectorEnv(makes, context="spawn")
        self.generator = torch.Generator().manual_seed(0)
        self.policy = start_policy(self.spec, self.generator, initial=ours.policy.state_dict())
        self.params, self.rates = parameters_of(self.policy), ours.rates
        self.optimizer = torch.optim.Adam(self.params.values(), lr=self.maml.outer_rate)
        self.learner = load_learn2learn().algorithms.MAML(
            self.policy, lr=self.maml.inner_rate, allow_unused=True
        )
        self.successes: list[float] = []

    def iterate(self, tasks: Any) -> dict[str, float]:
        """Run a meta-iteration on given tasks, K rows; returns the time of its parts [s]."""
        self.seconds = dict.fromkeys(PARTS, 0.0)
        found = [self._explore(take(tasks, slice(k, k + 1))) for k in range(self.config.num_tasks)]
        start_s = time.perf_counter()
        batches = [_joined(column) for column in zip(*found)]
        for _ in range(self.config.outer_epochs):
            self._update(batches)
        self.seconds["update_s"] = time.perf_counter() - start_s
        return self.seconds

    def _explore(self, task: Any) -> list[Batch]:
        """Collect and adapt to one task; batches of a single task."""
        self.envs.call("set_task", task)
        learner, batches = self.learner.clone(), []
        for u in range(self.config.inner_updates + 1):
            start_s = time.perf_counter()
            episodes = self._collect(learner)
            collected_s = time.perf_counter()
            batch = make_batch(episodes, self.maml.gamma, self.maml.lam)
            batches.append(batch)
            if u < self.config.inner_updates:
                own = batch.of_task(0)
                log_prob = log_prob_of(learner(own.obs), own.action)
                loss = surrogate(log_prob, own.log_prob, own.advantage, own.mask)
                learner.adapt(loss, first_order=True)
            self.seconds["collect_s"] += collected_s - start_s
            self.seconds["adapt_s"] += time.perf_counter() - collected_s
        self.successes.append(float(episodes.success.mean()))
        return batches

    @torch.no_grad()
    def _collect(self, learner: Learner) -> Trajectories:
        """Run B episodes of the task, as many at once as there are processes."""
        rounds = math.ceil(self.config.episodes / self.num_envs)
        parts = [self._episodes(learner) for _ in range(rounds)]
        num = self.config.episodes
        rows = {
            name: torch.from_numpy(np.concatenate([p[name] for p in parts], 1)[:, :num])
            for name in parts[0]
        }
        return Trajectories(
            num_tasks=1,
            **{name: rows[name] for name in ("obs", "action", "mean", "log_prob", "reward")},
            ends=rows["ends"],
            mask=rows["mask"],
            success=(rows["success"] * rows["ends"]).amax(0).bool().numpy(),
            score=np.zeros(num, np.float32),
            returns=rows["reward"].sum(0).numpy(),
            terms={},
            num_steps=self.spec.horizon * num,
            num_diverged=0,
            seconds=0.0,
        )

    def _episodes(self, learner: Learner) -> dict[str, np.ndarray]:
        """Run an episode in each process, (T, processes, ...) by name."""
        obs, _ = self.envs.reset()
        alive = np.ones(self.num_envs, np.float32)
        rows = []
        for _ in range(self.spec.horizon):
            mean, log_std = learner(torch.from_numpy(obs))
            noise = torch.randn(mean.shape, generator=self.generator)
            action = mean + log_std.exp() * noise
            row: dict[str, Any] = {"obs": obs, "action": action.numpy(), "mean": mean.numpy()}
            row["log_prob"] = gaussian_log_prob(mean, log_std, action).numpy()
            obs, reward, terminated, truncated, info = self.envs.step(action.numpy())
            row |= {"mask": alive, "reward": (reward * alive).astype(np.float32)}
            row["ends"] = alive * (terminated | truncated)
            row["success"] = np.asarray(info["success"], np.float32)
            alive = alive - row["ends"]
            rows.append(row)
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def _update(self, batches: list[Batch]) -> None:
        """Take one outer step."""
        _, gradients, _ = outer_gradients(
            self.policy, self.params, self.rates, batches, self.maml.outer
        )
        for name, p in self.params.items():
            p.grad = gradients[name]
        torch.nn.utils.clip_grad_norm_(self.params.values(), self.maml.max_grad_norm)
        self.optimizer.step()


def _joined(batches: tuple[Batch, ...]) -> Batch:
    """Join batches of a single task to one of K."""
    fields = ("obs", "action", "log_prob", "advantage", "mask")
    joined = (torch.cat([getattr(b, name) for b in batches]) for name in fields)
    obs, action, log_prob, advantage, mask = joined
    return Batch(obs, action, log_prob, advantage, mask)


def share_of_raw(family: str, rounds: int = 5, episodes: int = 5) -> float:
    """Control steps per second of one Gymnasium environment, as a share of plain `mj_step`."""
    env = FamilyEnv(family, task_visible=False, seed=0)
    shape = (env.family.horizon, 1, env.worlds.spec.action_dim)
    actions = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    ctrl = record_controls(env.worlds, actions)
    env.worlds.reset()
    raw = Raw(env.worlds, ctrl * episodes, 1)
    raw.starts *= episodes
    own = np.tile(actions[:, 0], (episodes, 1))
    return float(
        np.median([timed(lambda: single(env, own)) / timed(raw.run) for _ in range(rounds)])
    )


def measure(ours: MamlTrainer, theirs: Conventional, config: Config) -> dict[str, Any]:
    """Run one round of both on the same tasks."""
    start_s = time.perf_counter()
    metrics = ours.iterate()
    between_s = time.perf_counter()
    tasks = take(ours.worlds.task, slice(None, None, config.episodes))
    middle_s = time.perf_counter()
    theirs.successes.clear()
    parts = theirs.iterate(tasks)
    end_s = time.perf_counter()
    return {
        "ours_s": between_s - start_s,
        "theirs_s": end_s - middle_s,
        "ratio": (end_s - middle_s) / (between_s - start_s),
        "ours_parts": {name: metrics[name] for name in ("collect_s", "update_s")},
        "theirs_parts": parts,
        "success": (metrics["success_after"], float(np.mean(theirs.successes))),
    }


def show(what: str, row: dict[str, Any]) -> None:
    """Print a round."""
    parts = {
        who: " ".join(f"{name[:-2]} {s:.2f}" for name, s in row[f"{who}_parts"].items())
        for who in ("ours", "theirs")
    }
    print(
        f"{what:<10}ours {row['ours_s']:6.2f} s ({parts['ours']})   "
        f"conventional {row['theirs_s']:7.2f} s ({parts['theirs']})   ratio {row['ratio']:.1f}",
        flush=True,
    )


def main(config: Config) -> None:
    """Measure every round and write results/NAME.json."""
    torch.set_num_threads(1)
    ours = MamlTrainer(make_family(config.family), config.maml())
    theirs = Conventional(config, ours)
    rows = []
    try:
        for k in range(config.rounds + 1):
            row = measure(ours, theirs, config)
            show(f"round {k}" if k else "warm-up", row)
            rows += [row] * (k > 0)
    finally:
        theirs.envs.close()
    ratio = float(np.median([row["ratio"] for row in rows]))
    steps = config.num_tasks * config.episodes * ours.worlds.spec.horizon
    steps *= config.inner_updates + 1
    share = share_of_raw(config.family)
    print(f"{steps:,} control steps an iteration; median ratio {ratio:.1f}")
    print(f"a single environment makes {share:.2f} of the control steps of plain mj_step")
    result = {
        "family": config.family,
        "steps": steps,
        "processes": theirs.num_envs,
        "learn2learn": version("learn2learn"),
        "ratio": ratio,
        "environment/raw": share,
        "rounds": rows,
    }
    print(f"wrote {write_result(config.name, result)}")


if __name__ == "__main__":
    main(tyro.cli(Config))
