"""Does a policy that others trained help, and one of another robot? Against scratch, and other noise.

    python benchmarks/foreign_source.py

Two sources, each carried by a mapping: a policy of Stable-Baselines3's own PPO on Gymnasium's
HalfCheetah-v5, with the statistics of its observations, starts `classic/cheetah-velocity`; a policy of `kitchen/season` on a Panda starts a UR5e,
both in joint space. PPO goes on with the task in view. The score is the area between the curves of
return, as a share of what lay between scratch's start and the best that anyone reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from shared.machine import write_result

from metarl.learn.train import train
from metarl.matrix.score import Score, area_score
from metarl.names import slug
from metarl.registry import make_family
from metarl.runs.config import read_json
from metarl.runs.metrics import read_metrics
from metarl.runs.run import START_FILE

CHEETAH = ("robot[0:8]=0:8", "robot[8:17]=8:17*10")  # velocities are observed divided by 10
ARM = ("robot[0:8]=robot[0:8]", "action[6]=action[7]")  # the hand, and the gripper
SCRATCH, CONTROL = "scratch", "other noise"


@dataclass(frozen=True)
class Config:
    """The budget."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """Of trainings on the targets."""
    iterations: int = 10
    """Of each."""
    steps: int = 25_600
    """Control steps in an iteration."""
    gymnasium_steps: int = 300_000
    """Control steps of Stable-Baselines3's own training."""
    season_iterations: int = 40
    """Of the training on the Panda."""
    runs: Path = Path("runs/foreign-source")
    """Where trainings and sources are kept; what is finished there is not run again."""
    name: str = "foreign-source"
    """Of the result."""
    minibatch: int = 2560
    """Samples in a gradient step."""

    def ppo(self, family: str) -> dict[str, Any]:
        """Fields of PPO's config."""
        num_worlds = max(1, self.steps // make_family(family).horizon)
        return {"num_worlds": num_worlds, "minibatch": self.minibatch}


@dataclass(frozen=True)
class Pair:
    """A source and a target.

    Args:
        what: The source, in words.
        source: Where it is.
        target: A family.
        mapping: As `--map` takes it.
        statistics: As `--statistics` takes it.
    """

    what: str
    source: Path
    target: str
    mapping: tuple[str, ...]
    statistics: Path | None = None


def half_cheetah(config: Config) -> Pair:
    """Train Stable-Baselines3's PPO as it comes, but in four environments, under `VecNormalize`."""
    path = config.runs / f"half-cheetah-{config.gymnasium_steps}.zip"
    if not path.exists():
        from stable_baselines3 import PPO
        from stable_baselines3.common.env_util import make_vec_env
        from stable_baselines3.common.vec_env import VecNormalize

        env = VecNormalize(make_vec_env("HalfCheetah-v5", n_envs=4, seed=0))
        model = PPO("MlpPolicy", env, seed=0, device="cpu", n_steps=512, batch_size=256)
        model.learn(config.gymnasium_steps)
        seen: Any = env.obs_rms
        np.savez(
            path.with_suffix(".npz"),
            mean=seen.mean, var=seen.var, epsilon=env.epsilon, clip=env.clip_obs,
        )  # fmt: skip
        model.save(path)
    what = "Stable-Baselines3's PPO on HalfCheetah-v5"
    return Pair(what, path, "classic/cheetah-velocity", CHEETAH, path.with_suffix(".npz"))


def other_robot(config: Config) -> Pair:
    """Train on the Panda in joint space."""
    family = "kitchen/season@robot=panda,control=joint"
    run = train(
        family, "ppo", seed=100, iterations=config.season_iterations, resume=True,
        out=config.runs / f"{slug(family)}-{config.season_iterations}",
        **config.ppo(family),
    )  # fmt: skip
    return Pair(f"metarl's PPO on {family}", run, family.replace("panda", "ur5e"), ARM)


def learn(config: Config, pair: Pair, arm: str, seed: int) -> dict[str, Any]:
    """Train on the target: return and success of each iteration, and what was said of the start."""
    out = config.runs / f"{slug(pair.target)}-{slug(arm)}-s{seed}"
    how: dict[str, Any] = {"noise": 1} if arm == CONTROL else {}
    if arm not in (SCRATCH, CONTROL):
        how = {"start": pair.source, "mapping": pair.mapping, "statistics": pair.statistics}
    train(
        pair.target, "ppo", seed=seed, iterations=config.iterations, out=out, resume=True,
        **config.ppo(pair.target), **how,
    )  # fmt: skip
    began = read_json(out / START_FILE) if (out / START_FILE).exists() else {}
    rows = read_metrics(out)
    return {"start": began} | {name: [row[name] for row in rows] for name in ("return", "success")}


def measure(config: Config, pair: Pair) -> dict[str, Any]:
    """All arms and seeds of one pair."""
    found = {
        arm: [learn(config, pair, arm, seed) for seed in config.seeds]
        for arm in (SCRATCH, CONTROL, "from the source")
    }
    curves, success = (
        {arm: np.array([run[name] for run in each]) for arm, each in found.items()}
        for name in ("return", "success")
    )
    best = max(float(rows.max()) for rows in curves.values())
    scratch = curves[SCRATCH]
    scores = {
        arm: [area_score(a, b, best, float(b[0])) for a, b in zip(curves[arm], scratch)]
        for arm in (CONTROL, "from the source")
    }
    noise = max(map(abs, scores[CONTROL]))
    score = Score(tuple(scores["from the source"]), noise)
    print(f"{pair.what} -> {pair.target}: {score}, {score.verdict} (other noise: {noise:.2f})")
    for arm, rows in curves.items():
        ends, good = (x[:, [0, -1]].mean(axis=0) for x in (rows, success[arm]))
        print(
            f"  {arm}: return {ends[0]:.1f} -> {ends[1]:.1f}, success {good[0]:.0%} -> {good[1]:.0%}",
            flush=True,
        )
    return {
        "source": pair.what, "target": pair.target, "mapping": pair.mapping,
        "start": found["from the source"][0]["start"],
        "returns": {arm: rows.round(3).tolist() for arm, rows in curves.items()},
        "success": {arm: rows.round(4).tolist() for arm, rows in success.items()},
        "best": best, "scores": scores, "score": str(score), "verdict": score.verdict,
    }  # fmt: skip


def main(config: Config) -> None:
    """Measure both pairs, print them, and write all."""
    config.runs.mkdir(parents=True, exist_ok=True)
    rows = [measure(config, make(config)) for make in (half_cheetah, other_robot)]
    for row in rows:
        row["start"].pop("from", None)  # a path of this machine
    print(f"wrote {write_result(config.name, {'rows': rows})}")


if __name__ == "__main__":
    main(tyro.cli(Config))
