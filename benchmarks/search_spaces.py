"""A skill that no trained one resembles: among what should a search by reward look?

    python benchmarks/search_spaces.py

Policies learn four of the six train skills of `kitchen/skills` by imitation, with a training seed that
is in no table, and then meet the other two by reward alone, from 80 episodes an update. What is
searched: numbers added to what a policy sees of the hidden task, or of more, and numbers added to what
it does, the same throughout an episode or changing between knots. The skills that the tables hold out
(pouring, flipping) are not touched: whatever the tables take was chosen here.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from machine import among_saved, write_result
from metarl_kitchen.skills import TRAIN, Skills
from torch import Tensor

from metarl.checkpoint import save_checkpoint
from metarl.nn.functional import parameters_of
from metarl.policies import load_policy_for, read_checkpoint
from metarl.rl.dagger import DaggerConfig, DaggerTrainer
from metarl.rollout import Memoryless, play
from metarl.sim.worlds import Worlds
from metarl.streams import Streams
from metarl.types import Step, concatenate, num_tasks, repeat, take

HELD_OUT = (("season", "cover"), ("add", "serve"), ("heat", "cover"))
POLICIES = Path("runs/search_spaces")


@dataclasses.dataclass(frozen=True)
class Space:
    """Among what a search looks.

    Args:
        sees: Which columns of what the policy sees are added to: ``hidden`` fields of the task, the
            whole ``task`` block, or it and which things stand in the scene.
        phases: Into how many equal phases an episode is cut, each with its own of these numbers.
        knots: Between how many knots the numbers that are added to actions change; 0: none, 1: they
            stay the same.
        sees_std: First standard deviation of the former.
        does_std: First standard deviation of the latter.
        half: Whether every second guess leaves actions at the search's mean.
        adapt: Whether that share follows how many of the best guesses did not.
        to_go: Whether a knot is judged by the rewards from the one before it on.
    """

    sees: str = "hidden"
    phases: int = 1
    knots: int = 0
    sees_std: float = 0.4
    does_std: float = 0.3
    half: bool = False
    adapt: bool = False
    to_go: bool = False


SPACES = {
    "hidden": Space(),
    "task": Space("task"),
    "scene": Space("scene"),
    "phases-3": Space(phases=3),
    "knots-1": Space(knots=1),
    "knots-3": Space(knots=3),
    "knots-5": Space(knots=5),
    "phases-3-knots-3": Space(phases=3, knots=3),
    "knots-1-wide": Space(knots=1, does_std=0.6),
    "knots-3-wide": Space(knots=3, does_std=0.6),
    "knots-5-wide": Space(knots=5, does_std=0.6),
    "knots-3-wider": Space(knots=3, does_std=1.0),
    "knots-8-wide": Space(knots=8, does_std=0.6),
    "knots-12-wide": Space(knots=12, does_std=0.6),
    "knots-5-wider": Space(knots=5, does_std=1.0),
    "knots-8-wider": Space(knots=8, does_std=1.0),
    "knots-5-wide-half": Space(knots=5, does_std=0.6, half=True),
    "knots-5-wide-adapt": Space(knots=5, does_std=0.6, half=True, adapt=True),
    "knots-5-wide-to-go": Space(knots=5, does_std=0.6, to_go=True),
    "knots-5-wide-to-go-adapt": Space(knots=5, does_std=0.6, to_go=True, half=True, adapt=True),
    "knots-5-mid": Space(knots=5, does_std=0.45),
    "knots-3-mid": Space(knots=3, does_std=0.45),
    "knots-3-wide-half": Space(knots=3, does_std=0.6, half=True),
    "task-knots-1": Space("task", knots=1),
    "task-knots-3": Space("task", knots=3),
    "task-knots-3-wide": Space("task", knots=3, does_std=0.6),
    "scene-knots-3": Space("scene", knots=3),
    "scene-knots-1": Space("scene", knots=1),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """How much is tried."""

    held_out: tuple[str, ...] = tuple("-".join(pair) for pair in HELD_OUT)
    """Which policies, by what they have not learned."""
    spaces: tuple[str, ...] = tuple(SPACES)
    """Which spaces."""
    num_tasks: int = 12
    """Tasks of each skill."""
    episodes: int = 80
    """Of each task before each update."""
    updates: int = 10
    """How often the search moves."""
    generations: int = 1
    """Of guesses within an update: the episodes are shared among them."""
    by: str = "cem"
    """How guesses move: ``cem``, or ``cma`` (separable CMA-ES)."""
    first: int = 0
    """Generations before anything is added to actions."""
    blend: float = 1.0
    """How far the spread follows the best guesses' in one generation."""
    memory: int = 1
    """Of how many generations the guesses are remembered."""
    elites: float = 0.1
    """Share of the episodes that the next guesses are drawn around."""
    eval_episodes: int = 3
    """Of each task after each update."""
    known: bool = False
    """Meet train tasks of the skills that were learned instead."""
    seed: int = 5000
    """Of tasks, worlds and guesses."""
    name: str = "search_spaces"
    """Name of the result file."""


class FourSkills(Skills):
    """Four of the train skills to train on, the other two held out."""

    def __init__(self, held_out: tuple[str, ...]):
        super().__init__()
        self.held_out = held_out

    def _parts_of(self, split: Any) -> list[Any]:
        train = [part for part in self.parts[: len(TRAIN)] if part.name not in self.held_out]
        held = [part for part in self.parts if part.name in self.held_out]
        return train if split == "train" else held


class Shifted(Memoryless):
    """Acts by a policy, with numbers added to what it sees and does.

    Args:
        policy: The policy.
        sees: Shape (N, phases, D).
        does: Shape (N, knots, A).
        horizon: Control steps in an episode.
    """

    def __init__(self, policy: Any, sees: Tensor, does: Tensor, horizon: int):
        super().__init__(policy, parameters_of(policy), 1)
        self.sees, self.does, self.horizon, self.t = sees, does, horizon, 0

    def act(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        phases, knots = self.sees.shape[1], self.does.shape[1]
        phase = min(self.t * phases // self.horizon, phases - 1)
        mean, log_std = super().act(obs + self.sees[:, phase])
        if knots:
            at = self.t / (self.horizon - 1) * (knots - 1)
            low = min(int(at), max(knots - 2, 0))
            high = min(low + 1, knots - 1)
            mean = mean + torch.lerp(self.does[:, low], self.does[:, high], at - low)
        return mean, log_std

    def see(self, action: Tensor, step: Step, alive: np.ndarray) -> None:
        self.t += 1


def columns(space: Space, worlds: Worlds) -> list[int]:
    """Which columns of an observation a space adds to."""
    spec = worlds.spec
    task = list(range(*spec.slice("task").indices(spec.obs_dim)))
    if space.sees == "hidden":
        return [c for c, hidden in zip(task, spec.hidden) if hidden]
    scene = list(range(*spec.slice("scene").indices(spec.obs_dim)))
    return task + scene * (space.sees == "scene")


def run(space: Space, worlds: Worlds, policy: Any, guesses: Tensor, generator: Any) -> Any:
    """Play an episode in each world by its own guess, (N, P)."""
    spec, which = worlds.spec, columns(space, worlds)
    split = space.phases * len(which)
    sees = torch.zeros(len(guesses), space.phases, spec.obs_dim)
    sees[..., which] = guesses[:, :split].unflatten(1, (space.phases, len(which)))
    does = (
        guesses[:, split:].unflatten(1, (space.knots, spec.action_dim))
        if space.knots
        else (torch.zeros(len(guesses), 0, spec.action_dim))
    )
    actor = Shifted(policy, sees, does, spec.horizon)
    return play(worlds, actor, num_tasks=1, generator=generator, deterministic=True)


class Cem:
    """Guesses around the mean of the best ones."""

    def __init__(self, mean: Tensor, std: Tensor, config: Config, sees: int):
        self.mean, self.std, self.config = mean, std, config
        self.sees, self.time = sees, 0
        self.guesses, self.returns = (
            mean.new_empty(len(mean), 0, mean.shape[1]),
            mean.new_empty(len(mean), 0),
        )

    def ask(self, num: int, generator: Any) -> Tensor:
        noise = torch.randn(len(self.mean), num, self.mean.shape[1], generator=generator)
        if self.time < self.config.first:
            noise[..., self.sees :] = 0.0
        return self.mean[:, None] + self.std[:, None] * noise

    def tell(self, guesses: Tensor, returns: Tensor) -> None:
        pop, config = guesses.shape[1], self.config
        self.guesses = torch.cat([self.guesses, guesses], 1)[:, -pop * config.memory :]
        self.returns = torch.cat([self.returns, returns], 1)[:, -pop * config.memory :]
        best = self.returns.topk(max(2, round(config.elites * self.returns.shape[1])), 1).indices
        elites = self.guesses.gather(1, best[..., None].expand(-1, -1, guesses.shape[2]))
        away = (elites - self.mean[:, None]).square().mean(1)
        if self.time < config.first:
            away[:, self.sees :] = self.std[:, self.sees :] ** 2
        self.time += 1
        if self.time == config.first:  # what they did without it says nothing of how to add
            self.guesses, self.returns = self.guesses[:, :0], self.returns[:, :0]
        self.std = (config.blend * away + (1 - config.blend) * self.std**2).sqrt().clamp(min=0.05)
        self.mean = elites.mean(1)


class SepCma:
    """Separable CMA-ES (Ros and Hansen 2008), in every task by itself."""

    def __init__(self, mean: Tensor, std: Tensor, pop: int):
        n, mu = mean.shape[1], pop // 2
        self.mean, self.scale = mean, std.clone()
        self.var = torch.ones_like(mean)
        self.sigma = torch.ones(len(mean), 1)
        w = np.log((pop + 1) / 2) - np.log(np.arange(1, mu + 1))
        self.w = torch.tensor(w / w.sum(), dtype=torch.float32)
        self.mueff = float(1 / (self.w**2).sum())
        me = self.mueff
        self.cs = (me + 2) / (n + me + 5)
        self.ds = 1 + 2 * max(0.0, ((me - 1) / (n + 1)) ** 0.5 - 1) + self.cs
        self.cc = (4 + me / n) / (n + 4 + 2 * me / n)
        factor = (n + 2) / 3
        self.c1 = min(1.0, factor * 2 / ((n + 1.3) ** 2 + me))
        self.cmu = min(1 - self.c1, factor * 2 * (me - 2 + 1 / me) / ((n + 2) ** 2 + me))
        self.ps, self.pc = torch.zeros_like(mean), torch.zeros_like(mean)
        self.chi = n**0.5 * (1 - 1 / (4 * n) + 1 / (21 * n * n))
        self.t = 0

    @property
    def std(self) -> Tensor:
        return self.scale * self.sigma * self.var.sqrt()

    def ask(self, num: int, generator: Any) -> Tensor:
        noise = torch.randn(len(self.mean), num, self.mean.shape[1], generator=generator)
        return self.mean[:, None] + self.std[:, None] * noise

    def tell(self, guesses: Tensor, returns: Tensor) -> None:
        self.t += 1
        best = returns.topk(len(self.w), 1).indices
        x = guesses.gather(1, best[..., None].expand(-1, -1, guesses.shape[2]))
        y = (x - self.mean[:, None]) / (self.scale * self.sigma)[:, None]
        step = (self.w[:, None] * y).sum(1)
        self.mean = self.mean + self.scale * self.sigma * step
        self.ps = (1 - self.cs) * self.ps + (
            self.cs * (2 - self.cs) * self.mueff
        ) ** 0.5 * step / self.var.sqrt()
        norm = self.ps.norm(dim=1, keepdim=True)
        n = guesses.shape[2]
        h = (
            norm / (1 - (1 - self.cs) ** (2 * self.t)) ** 0.5 < (1.4 + 2 / (n + 1)) * self.chi
        ).float()
        self.pc = (1 - self.cc) * self.pc + h * (self.cc * (2 - self.cc) * self.mueff) ** 0.5 * step
        self.var = (
            (1 - self.c1 - self.cmu) * self.var
            + self.c1 * self.pc**2
            + self.cmu * (self.w[:, None] * y**2).sum(1)
        )
        self.sigma = self.sigma * ((self.cs / self.ds) * (norm / self.chi - 1)).exp()


def search(
    space: Space, family: FourSkills, tasks: Any, policy_file: Path, config: Config
) -> np.ndarray:
    """Search in all tasks, and judge after each update: success and return, (2, 1 + U, K)."""
    num, each = num_tasks(tasks), config.episodes
    pop = each // config.generations
    worlds = Worlds(family, num * pop, seed=config.seed, num_threads=1)
    worlds.assign(repeat(tasks, pop))
    judge = Worlds(
        family, num * config.eval_episodes, seed=config.seed, num_threads=1, first_stream=1 << 20
    )
    judge.assign(repeat(tasks, config.eval_episodes))
    policy = load_policy_for(read_checkpoint(policy_file), worlds)
    generator = torch.Generator().manual_seed(config.seed)
    sees = space.phases * len(columns(space, worlds))
    does = space.knots * worlds.spec.action_dim
    std = torch.tensor([space.sees_std] * sees + [space.does_std] * does).repeat(num, 1)
    mean = torch.zeros_like(std)
    rows = []
    how = SepCma(mean, std, pop) if config.by == "cma" else Cem(mean, std, config, sees)
    for u in range(config.updates + 1):
        for _ in range(config.generations if u else 0):
            guesses = how.ask(pop, generator)
            done = run(space, worlds, policy, guesses.flatten(0, 1), generator)
            how.tell(guesses, torch.from_numpy(done.returns).reshape(num, pop))
        mean = how.mean
        guess = mean.repeat_interleave(config.eval_episodes, 0)
        judged = run(space, judge, policy, guess, generator)
        both = judged.success, judged.returns
        rows.append([x.reshape(num, -1).mean(1) for x in both])
    return np.array(rows).swapaxes(0, 1)


def trained(held_out: tuple[str, ...]) -> Path:
    """Train a policy of the other four skills, once."""
    path = POLICIES / f"{'-'.join(held_out)}.safetensors"
    if path.exists():
        return path
    config = DaggerConfig(
        hidden=(128, 128), minibatch=512, learning_rate=1e-3, log_std=-2.0, iterations=120, seed=100
    )
    trainer = DaggerTrainer(FourSkills(held_out), config, num_threads=1)
    for i in range(config.iterations):
        row = trainer.iterate()
        if i % 10 == 9:
            print(
                f"without {held_out}: iteration {i + 1}, success {row['success']:.2f}", flush=True
            )
    save_checkpoint(path, *trainer.checkpoint())
    return path


def tasks_of(family: FourSkills, skill: str, config: Config) -> Any:
    """Draw tasks of one skill, (K,)."""
    many = 20 * config.num_tasks
    split: Any = "test" if skill in family.held_out else "train"
    tasks = family.sample(Streams.from_seed(config.seed, many), many, split)
    [part] = (p for p in family.parts if p.name == skill)
    own = (tasks.model >= part.first) & (tasks.model < part.first + part.models)
    return take(tasks, np.flatnonzero(own)[: config.num_tasks])


def main(config: Config) -> None:
    """Search in every space, and say what came of it."""
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for pair in config.held_out:
        held_out = tuple(pair.split("-"))
        family, path = FourSkills(held_out), trained(held_out)
        met = held_out
        if config.known:  # nothing solves stirring
            met = tuple(p.name for p in family.parts[:6] if p.name not in (*held_out, "stir"))
        tasks = concatenate([tasks_of(family, skill, config) for skill in met])
        for name in config.spaces:
            start = time.perf_counter()
            found = search(SPACES[name], family, tasks, path, config)
            for skill, own in zip(met, np.split(found, len(met), axis=2)):
                success, returns = own.mean(2)
                shown = [u for u in (0, 1, 2, 3, 5, 10) if u <= config.updates]
                said = "  ".join(f"{100 * success[u]:3.0f}" for u in shown)
                said += " |" + " ".join(f"{returns[u]:6.1f}" for u in shown)
                print(
                    f"{pair:<14}{skill:<8}{name:<20}{said}  {time.perf_counter() - start:.0f} s",
                    flush=True,
                )
                rows.append(
                    {
                        "key": f"{pair} {skill} {name} {config.by} {config.generations} {config.elites} {config.blend} {config.memory} {config.first}",
                        "success": success.round(3).tolist(),
                        "returns": returns.round(2).tolist(),
                        **dataclasses.asdict(SPACES[name]),
                    }
                )
            write_result(config.name, {"rows": among_saved(config.name, "rows", rows, "key")})


if __name__ == "__main__":
    main(tyro.cli(Config))
