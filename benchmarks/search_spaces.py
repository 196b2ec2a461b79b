"""A skill that no trained one resembles: among what should a search by reward look?

    python benchmarks/search_spaces.py

Policies learn four of the six train skills of `kitchen/skills` by imitation, with a training seed that
is in no table, and then meet the other two by reward alone (or, with `--known`, three of those that
they learned, the task hidden). What is searched: numbers added to what a policy sees of the hidden task,
or of more, and numbers added to what it does, the same throughout an episode or changing between knots.
Pouring and flipping, which the tables hold out, are not met here.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from guesses import tasks_of
from metarl_kitchen.skills import TRAIN, Skills
from shared.machine import among_saved, restart_for_same_bits, write_result
from torch import Tensor

from metarl.errors import ConfigError
from metarl.learn.rollout import Memoryless, Trajectories, play
from metarl.nn.functional import parameters_of
from metarl.rl.dagger import DaggerConfig, DaggerTrainer
from metarl.runs.checkpoint import save_checkpoint
from metarl.runs.policies import load_policy_for, read_checkpoint
from metarl.sim.worlds import Worlds
from metarl.transfer.config import StrategyOptimization
from metarl.transfer.residual_search import lines
from metarl.transfer.strategy_optimization import around, refit
from metarl.types import Split, Step, concatenate, num_tasks, repeat

HELD_OUT = ("season-cover", "add-serve")
POLICIES = Path("runs/search_spaces")
FIRST_JUDGE = 1 << 20  # index of the first stream that judging draws from


@dataclasses.dataclass(frozen=True)
class Trial:
    """Among what a search looks, and how.

    Args:
        sees: Which columns of what the policy sees are added to: ``hidden`` fields of the task, the
            whole ``task`` block, or it and which things stand in the ``scene``.
        phases: Into how many equal phases an episode is cut, each with its own of these numbers.
        knots: At how many moments numbers are added to actions, changing linearly in between; 0: none.
        sees_std: First standard deviation of the former.
        does_std: First standard deviation of the latter.
        generations: How often an update moves; they share its episodes.
        first: Generations before anything is added to actions.
        elites: Share of the guesses that the next ones are drawn around.
        memory: Of how many generations guesses are remembered.
    """

    sees: str = "hidden"
    phases: int = 1
    knots: int = 0
    sees_std: float = 0.4
    does_std: float = 0.3
    generations: int = 1
    first: int = 0
    elites: float = 0.1
    memory: int = 1


TRIALS = {
    "hidden": Trial(),
    "task": Trial("task"),
    "scene": Trial("scene"),
    "phases-3": Trial(phases=3),
    "knots-1": Trial(knots=1),
    "knots-3": Trial(knots=3),
    "knots-5": Trial(knots=5),
    "knots-5, two generations": Trial(knots=5, generations=2),
    "knots-5, wider": Trial(knots=5, does_std=0.6),
    "knots-5, wider, two generations": Trial(knots=5, does_std=0.6, generations=2),
    "knots-5, the task first": Trial(knots=5, does_std=0.45, generations=2, first=2),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """How much is tried."""

    held_out: tuple[str, ...] = HELD_OUT
    """Which policies, by the two skills that they have not learned."""
    trials: tuple[str, ...] = tuple(TRIALS)
    """Which searches."""
    known: bool = False
    """Meet train tasks of the skills that were learned."""
    num_tasks: int = 12
    """Tasks of each skill."""
    episodes: int = 80
    """Of each task in an update."""
    updates: int = 10
    """Of each search."""
    eval_episodes: int = 3
    """Of each task after each update."""
    seed: int = 5000
    """Of tasks, worlds and guesses."""
    name: str = "search_spaces"
    """Name of the result file."""


class FourSkills(Skills):
    """Four of the train skills to train on, the other two held out.

    Args:
        held_out: Those two.
    """

    def __init__(self, held_out: tuple[str, ...]):
        super().__init__()
        self.held_out = held_out
        names = [part.name for part in self.parts[: len(TRAIN)]]
        if len(set(held_out)) != 2 or not set(held_out) <= set(names):
            raise ConfigError(f"held out are {held_out}; expected two of {', '.join(names)}")

    def _parts_of(self, split: Split) -> list[Any]:
        train = self.parts[: len(TRAIN)]
        return [part for part in train if (part.name in self.held_out) == (split != "train")]


class Shifted(Memoryless):
    """Acts by a policy, with numbers added to what it sees.

    Args:
        policy: The policy.
        sees: Shape (N, phases, D).
        horizon: Control steps in an episode.
    """

    def __init__(self, policy: Any, sees: Tensor, horizon: int):
        super().__init__(policy, parameters_of(policy), 1)
        self.sees, self.horizon, self.t = sees, horizon, 0

    def act(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        phases = self.sees.shape[1]
        return super().act(obs + self.sees[:, min(self.t * phases // self.horizon, phases - 1)])

    def see(self, action: Tensor, step: Step, alive: np.ndarray) -> None:
        self.t += 1


class Search:
    """The search of a trial in K tasks at once.

    Args:
        trial: Among what it looks, and how.
        worlds: K * B / G worlds, for a generation.
        policy: What acts.
        num_tasks: K.
        generator: Draws the guesses.
    """

    def __init__(
        self, trial: Trial, worlds: Worlds, policy: Any, num_tasks: int, generator: torch.Generator
    ):
        self.trial, self.worlds, self.policy = trial, worlds, policy
        self.num_tasks, self.generator, self.time = num_tasks, generator, 0
        self.which = _columns(trial, worlds)
        self.sees = trial.phases * len(self.which)
        does = trial.knots * worlds.spec.action_dim
        std = [trial.sees_std] * self.sees + [trial.does_std] * does
        self.std = torch.tensor(std).repeat(num_tasks, 1)
        self.mean = torch.zeros_like(self.std)
        self._forget()

    def _forget(self) -> None:
        self.tried = self.mean.new_empty(self.num_tasks, 0, self.mean.shape[1])
        self.returns = self.mean.new_empty(self.num_tasks, 0)

    def update(self) -> None:
        """Run an update's generations."""
        for _ in range(self.trial.generations):
            self._generation()

    def _generation(self) -> None:
        trial, each = self.trial, self.worlds.num_worlds // self.num_tasks
        spread, alone = self.std.clone(), self.time < trial.first
        spread[:, self.sees :] *= not alone
        guesses = around(self.mean, spread, each, self.generator)
        returns = torch.from_numpy(self.play(self.worlds, guesses.flatten(0, 1)).returns)
        self.tried = torch.cat([self.tried, guesses], 1)[:, -each * trial.memory :]
        self.returns = torch.cat([self.returns, returns.reshape(-1, each)], 1)
        self.returns = self.returns[:, -each * trial.memory :]
        how = StrategyOptimization(decay=None, elites=trial.elites)
        before = self.std
        self.mean, self.std = refit(self.mean, before, self.tried, self.returns, how)
        if alone:
            self.std[:, self.sees :] = before[:, self.sees :]
        self.time += 1
        if self.time == trial.first:  # what was tried without adding says nothing of what to add
            self._forget()

    def play(self, worlds: Worlds, guesses: Tensor) -> Trajectories:
        """Play an episode in each world by its own guess, (N, P)."""
        spec, trial = worlds.spec, self.trial
        sees = torch.zeros(len(guesses), trial.phases, spec.obs_dim)
        sees[..., self.which] = guesses[:, : self.sees].unflatten(1, (trial.phases, -1))
        residual = None
        if trial.knots:
            does = guesses[:, self.sees :].unflatten(1, (trial.knots, spec.action_dim))
            residual = torch.einsum("tk,nka->tna", lines(spec.horizon, trial.knots), does)
        return play(
            worlds, Shifted(self.policy, sees, spec.horizon), num_tasks=1,
            generator=self.generator, deterministic=True, residual=residual,
        )  # fmt: skip


def _columns(trial: Trial, worlds: Worlds) -> list[int]:
    """Which columns of an observation a trial adds to."""
    spec = worlds.spec
    task, scene = (
        list(range(*spec.slice(block).indices(spec.obs_dim))) for block in ("task", "scene")
    )
    if trial.sees == "hidden":
        return [column for column, hidden in zip(task, spec.hidden) if hidden]
    return task + scene * (trial.sees == "scene")


def measure(
    trial: Trial, family: FourSkills, tasks: Any, policy_file: Path, config: Config
) -> np.ndarray:
    """Search in all tasks, and judge after each update: success and return, (2, 1 + U, K)."""
    each = config.episodes // trial.generations
    worlds = Worlds(family, num_tasks(tasks) * each, seed=config.seed, num_threads=1, held_out=True)
    worlds.assign(repeat(tasks, each))
    judges = num_tasks(tasks) * config.eval_episodes
    judge = Worlds(
        family, judges, seed=config.seed, num_threads=1, first_stream=FIRST_JUDGE, held_out=True
    )
    judge.assign(repeat(tasks, config.eval_episodes))
    policy = load_policy_for(read_checkpoint(policy_file), worlds)
    generator = torch.Generator().manual_seed(config.seed)
    search = Search(trial, worlds, policy, num_tasks(tasks), generator)
    rows = []
    for u in range(config.updates + 1):
        if u:
            search.update()
        judged = search.play(judge, search.mean.repeat_interleave(config.eval_episodes, 0))
        both = judged.success, judged.returns
        rows.append([x.reshape(num_tasks(tasks), -1).mean(1) for x in both])
    return np.array(rows).swapaxes(0, 1)


def trained(family: FourSkills) -> Path:
    """Train a policy of four skills as the recipe of `kitchen/skills` does, once."""
    path = POLICIES / f"{'-'.join(family.held_out)}.safetensors"
    if path.exists():
        return path
    config = DaggerConfig(
        hidden=(128, 128), minibatch=512, learning_rate=1e-3, log_std=-2.0, iterations=120, seed=100
    )
    trainer = DaggerTrainer(family, config, num_threads=1)
    for i in range(config.iterations):
        row = trainer.iterate()
        said = f"iteration {i + 1}/{config.iterations}, success {100 * row['success']:.0f}%"
        print(f"without {family.held_out}: {said}, {row['steps_per_s']:,.0f} steps/s", flush=True)
    save_checkpoint(path, *trainer.checkpoint())
    return path


def main(config: Config) -> None:
    """Run every trial with every policy, and say what came of it."""
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    shown = [u for u in (0, 1, 2, 3, 5, 10) if u <= config.updates]
    for pair in config.held_out:
        family = FourSkills(tuple(pair.split("-")))
        path, skills = trained(family), family.held_out
        if config.known:  # nothing solves stirring
            learned = [part.name for part in family._parts_of("train")]
            skills = tuple(name for name in learned if name != "stir")
        split: Split = "train" if config.known else "test"
        drawn = (tasks_of(family, s, split, config.num_tasks, config.seed) for s in skills)
        tasks = concatenate(list(drawn))
        for name in config.trials:
            start_s = time.perf_counter()
            found = measure(TRIALS[name], family, tasks, path, config)
            seconds = time.perf_counter() - start_s
            for skill, own in zip(skills, np.split(found, len(skills), axis=2)):
                success, returns = own.mean(2)
                said = " ".join(f"{100 * success[u]:4.0f}" for u in shown) + " |"
                said += " ".join(f"{returns[u]:6.1f}" for u in shown)
                print(f"{pair:<14}{skill:<8}{name:<34}{said}  {seconds:.0f} s", flush=True)
                what = {"held-out": pair, "skill": skill, "known": config.known, "trial": name}
                how = {"episodes": config.episodes, "num_tasks": config.num_tasks}
                what |= {**dataclasses.asdict(TRIALS[name]), **how}
                row = {"about": "  ".join(f"{k} {v}" for k, v in what.items()), **what}
                row["success"] = [round(x, 3) for x in success.tolist()]
                row["returns"] = [round(x, 2) for x in returns.tolist()]
                rows.append(row)
            saved = among_saved(config.name, "rows", rows, "about")
            write_result(config.name, {"rows": saved})


if __name__ == "__main__":
    restart_for_same_bits()
    main(tyro.cli(Config))
