"""How much of raw MuJoCo's speed reaches a learner?

    python benchmarks/throughput.py

Plain `mj_step` of the same models and substeps on every core (one thread each, started from
the same states and given the same controls), `Worlds` with control, observations and
rewards, and the Stable-Baselines3 adapter, which draws a new task for every episode; and
plain `mj_step` of one world beside one Gymnasium environment, both on one thread. All are
interleaved in one run: the machine's speed drifts, so each round's ratio is formed within
the round, and the median is reported.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import tyro
from shared.machine import among_saved, write_result

from metarl.interop.gym_env import FamilyEnv
from metarl.interop.sb3 import FamilyVecEnv
from metarl.registry import family_names, make_family
from metarl.sim.scene import Scene
from metarl.sim.worlds import Worlds

WHOLE_KITCHEN = "kitchen/dishes"  # what other libraries' environments are compared with
META_WORLD = """
import os, time, warnings, multiprocessing as mp
warnings.filterwarnings("ignore")
def run(name, seconds, out):
    import metaworld, numpy as np
    ml1 = metaworld.ML1(name, seed=0); env = ml1.train_classes[name](); env.set_task(ml1.train_tasks[0])
    rng = np.random.default_rng(0); env.reset(); n = 0; start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        _, _, _, truncated, _ = env.step(rng.uniform(-1, 1, 4).astype(np.float32)); n += 1
        if truncated or n % 450 == 0: env.reset()
    out.put(n / (time.perf_counter() - start))
for name in ("reach-v3", "pick-place-v3"):
    q = mp.Queue(); ps = [mp.Process(target=run, args=(name, 5, q)) for _ in range(os.cpu_count())]
    [p.start() for p in ps]; print("RESULT", "metaworld/" + name, sum(q.get(timeout=120) for _ in ps)); [p.join() for p in ps]
"""
FRANKA = """
import os, time, warnings, multiprocessing as mp
warnings.filterwarnings("ignore")
def run(seconds, out):
    import gymnasium as gym, gymnasium_robotics
    gym.register_envs(gymnasium_robotics); env = gym.make("FrankaKitchen-v1")
    env.reset(seed=0); n = 0; start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        _, _, terminated, truncated, _ = env.step(env.action_space.sample()); n += 1
        if terminated or truncated: env.reset()
    out.put(n / (time.perf_counter() - start))
q = mp.Queue(); ps = [mp.Process(target=run, args=(5, q)) for _ in range(os.cpu_count())]
[p.start() for p in ps]; print("RESULT", "FrankaKitchen-v1", sum(q.get(timeout=120) for _ in ps)); [p.join() for p in ps]
"""


@dataclass(frozen=True)
class Config:
    """How much to measure."""

    num_worlds: int = 512
    """Worlds of `Worlds` and of the adapter."""
    rounds: int = 7
    """Interleaved rounds; ratios are medians over them."""
    num_steps: int = 120
    """Control steps of a run, at most an episode."""
    env_episodes: int = 10
    """Episodes of the single environment, in a run."""
    families: tuple[str, ...] = ()
    """Which families; none: every registered one."""
    metaworld: Path | None = None
    """A Python interpreter that has metaworld."""
    franka: Path | None = None
    """A Python interpreter that has gymnasium-robotics."""
    name: str = "throughput"
    """Name of the result file."""


def timed(run: Callable[[], int]) -> float:
    """Control steps per second of one run."""
    start = time.perf_counter()
    steps = run()
    return steps / (time.perf_counter() - start)


class Raw:
    """Plain mj_step of worlds, from their states and with the controls of an episode.

    Args:
        worlds: Their states are those that `run` starts from.
        ctrl: What `record_controls` gave.
        num_threads: Threads that share the worlds out among them.
    """

    def __init__(self, worlds: Worlds, ctrl: list[np.ndarray], num_threads: int):
        self.substeps, self.ctrl = worlds.substeps, ctrl
        names = [worlds.model_name(i) for i in range(worlds.num_worlds)]
        # one model and its data a thread, made of the first world that runs on it
        self.own = [
            {name: _fresh(worlds.world(names.index(name))[0]) for name in set(names)}
            for _ in range(num_threads)
        ]
        self.starts = [(name, worlds.world(i)[1]) for i, name in enumerate(names)]

    def run(self) -> int:
        """Step every world through the episode, thread by thread its share."""
        shares = np.array_split(np.arange(len(self.starts)), len(self.own))
        threads = [
            threading.Thread(target=self._share, args=(own, share))
            for own, share in zip(self.own, shares)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(len(ctrl) for ctrl in self.ctrl)

    def _share(
        self, own: dict[str, tuple[mujoco.MjModel, mujoco.MjData]], share: np.ndarray
    ) -> None:
        for i in share:
            name, start = self.starts[i]
            model, data = own[name]
            mujoco.mj_resetData(model, data)
            data.qpos[:], data.qvel[:] = start.qpos, start.qvel
            data.mocap_pos[:] = start.mocap_pos
            for ctrl in self.ctrl[i]:
                data.ctrl[:] = ctrl
                mujoco.mj_step(model, data, nstep=self.substeps)


def _fresh(model: mujoco.MjModel) -> tuple[mujoco.MjModel, mujoco.MjData]:
    return model, mujoco.MjData(model)


def record_controls(worlds: Worlds, actions: np.ndarray) -> list[np.ndarray]:
    """The controls that an episode sent to each world's actuators, (T, nu) each."""
    places = [worlds.place(i) for i in range(worlds.num_worlds)]
    scenes = list(dict.fromkeys(scene for scene, _ in places))
    sent: dict[Scene, list[np.ndarray]] = {scene: [] for scene in scenes}
    worlds.reset()
    for action in actions:
        worlds.step(action)
        for scene in scenes:
            sent[scene].append(scene.ctrl.copy())
        if worlds.done.any():
            worlds.reset(worlds.done)
    stacked = {scene: np.stack(rows) for scene, rows in sent.items()}
    return [stacked[scene][:, row] for scene, row in places]


def episode(worlds: Worlds, actions: np.ndarray) -> int:
    """One episode of every world, or its beginning."""
    worlds.reset()
    for action in actions:
        worlds.step(action)
        if worlds.done.any() and not worlds.done.all():
            worlds.reset(worlds.done)
    return actions.shape[0] * actions.shape[1]


def adapter(env: FamilyVecEnv, actions: np.ndarray) -> int:
    """As many steps of the adapter, which starts new episodes with new tasks by itself."""
    for action in actions:
        env.step(action)
    return actions.shape[0] * actions.shape[1]


def single(env: FamilyEnv, actions: np.ndarray) -> int:
    """Episodes of one world."""
    over = True
    for action in actions:
        if over:
            env.reset(options={"new_task": False})
        _, _, terminated, truncated, _ = env.step(action)
        over = terminated or truncated
    return len(actions)


def measure(name: str, config: Config) -> dict[str, Any]:
    """Interleave raw physics, worlds and adapters for one family."""
    family = make_family(name)
    start = time.perf_counter()
    worlds = Worlds(family, config.num_worlds, seed=0)
    compile_s = time.perf_counter() - start
    rng = np.random.default_rng(0)
    steps = min(family.horizon, config.num_steps)
    shape = (steps, config.num_worlds, worlds.spec.action_dim)
    actions = rng.uniform(-1, 1, shape).astype(np.float32)
    ctrl = record_controls(worlds, actions)
    worlds.reset()
    raw = Raw(worlds, ctrl, os.cpu_count() or 1)
    vec = FamilyVecEnv(family, config.num_worlds, seed=0)
    vec.reset()
    env = FamilyEnv(family, seed=0)
    ctrl = record_controls(env.worlds, actions[:, :1])
    env.worlds.reset()
    raw_one = Raw(env.worlds, ctrl * config.env_episodes, 1)
    raw_one.starts *= config.env_episodes
    actions_one = np.tile(actions[:, 0], (config.env_episodes, 1))
    runs = {
        "raw": raw.run,
        "worlds": lambda: episode(worlds, actions),
        "sb3": lambda: adapter(vec, actions),
        "raw-1": raw_one.run,
        "env": lambda: single(env, actions_one),
    }
    rows, beside = [], []
    for k in range(config.rounds):
        rows.append([timed(run) for run in runs.values()])
        if name == WHOLE_KITCHEN:
            beside.append(others(config))
        print(f"{name} round {k + 1}/{config.rounds}: " + "  ".join(f"{x:,.0f}" for x in rows[-1]))
    table = dict(zip(runs, np.array(rows).T))
    ratios = {
        "worlds/raw": ("worlds", "raw"),
        "sb3/raw": ("sb3", "raw"),
        "env/raw": ("env", "raw-1"),
    }
    return {
        "family": name,
        "substeps": worlds.substeps,
        "build_s": compile_s,
        **{what: float(np.median(rates)) for what, rates in table.items()},
        **{what: float(np.median(table[a] / table[b])) for what, (a, b) in ratios.items()},
        "rounds": np.array(rows).round(1).tolist(),
        "others": {
            other: {
                "rate": float(np.median([found[other] for found in beside])),
                "times": float(np.median(table["worlds"] / [found[other] for found in beside])),
                "rounds": [round(found[other], 1) for found in beside],
            }
            for other in (beside[0] if beside else ())
        },
    }


def others(config: Config) -> dict[str, float]:
    """Run other libraries' environments in their own interpreters, one process a core."""
    found = {}
    for python, script in ((config.metaworld, META_WORLD), (config.franka, FRANKA)):
        if python is None:
            continue
        done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr.strip().splitlines()[-1], file=sys.stderr)
        for line in done.stdout.splitlines():
            if line.startswith("RESULT"):
                _, name, rate = line.split()
                found[name] = float(rate)
    return found


def main(config: Config) -> None:
    """Measure families and write results/NAME.json; rows of others stay as they were."""
    rows = [measure(name, config) for name in config.families or family_names()]
    columns = {"raw/s": "raw", "Worlds/s": "worlds", "SB3/s": "sb3", "Env/s": "env"}
    ratios = {"Worlds/raw": "worlds/raw", "SB3/raw": "sb3/raw", "Env/raw": "env/raw"}
    heads = "".join(f"{head:>11}" for head in (*columns, *ratios))
    print(f"\n{'family':<28}{heads}")
    for r in rows:
        rates = "".join(f"{r[key]:>11,.0f}" for key in columns.values())
        parts = "".join(f"{r[key]:>11.2f}" for key in ratios.values())
        print(f"{r['family']:<28}{rates}{parts}")
        for other, found in r["others"].items():
            times = f"Worlds {found['times']:.1f} times as fast"
            print(f"  {other:<26}{found['rate']:>11,.0f}           {times}")
    rows = among_saved(config.name, "families", rows, "family")
    result = {"num_worlds": config.num_worlds, "families": rows}
    print(f"wrote {write_result(config.name, result)}")


if __name__ == "__main__":
    main(tyro.cli(Config))
