"""How much of raw MuJoCo's speed reaches a learner?

    python benchmarks/throughput.py

Plain `mj_step` of the same model and substeps on every core (one thread each, started from
the same states and given the same controls), `Worlds` with control, observations and
rewards, and the Stable-Baselines3 adapter, interleaved in one run: the machine's speed
drifts, so each round's ratio is formed within the round, and the median is reported.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
import tyro
from machine import write_result

from metarl.interop.sb3 import FamilyVecEnv
from metarl.registry import family_names, make_family
from metarl.sim.worlds import Worlds

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
    [p.start() for p in ps]; print("RESULT", "metaworld/" + name, sum(q.get() for _ in ps)); [p.join() for p in ps]
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
[p.start() for p in ps]; print("RESULT", "FrankaKitchen-v1", sum(q.get() for _ in ps)); [p.join() for p in ps]
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
    """Plain mj_step on every core, from states and with controls of an expert-free episode."""

    def __init__(self, worlds: Worlds, ctrl: np.ndarray):
        self.substeps = worlds.substeps
        self.ctrl = ctrl  # (T, N, nu)
        self.models = [worlds.world(i)[0] for i in range(mujoco_threads())]
        self.states = [worlds.world(i)[1] for i in range(worlds.num_worlds)]

    def run(self) -> int:
        """Step every world through the episode; worlds are shared out among the cores."""
        shares = np.array_split(np.arange(len(self.states)), len(self.models))
        threads = [
            threading.Thread(target=self._share, args=(m, s)) for m, s in zip(self.models, shares)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self.ctrl.shape[0] * self.ctrl.shape[1]

    def _share(self, model: mujoco.MjModel, share: np.ndarray) -> None:
        data = mujoco.MjData(model)
        for i in share:
            mujoco.mj_resetData(model, data)
            start = self.states[i]
            data.qpos[:], data.qvel[:] = start.qpos, start.qvel
            data.mocap_pos[:] = start.mocap_pos
            for t in range(len(self.ctrl)):
                data.ctrl[:] = self.ctrl[t, i]
                mujoco.mj_step(model, data, nstep=self.substeps)


def mujoco_threads() -> int:
    """One thread a core."""
    import os

    return os.cpu_count() or 1


def episode(worlds: Worlds, actions: np.ndarray) -> int:
    """One episode of every world, or its beginning."""
    worlds.reset()
    for action in actions:
        worlds.step(action)
        if worlds.done.any() and not worlds.done.all():
            worlds.reset(worlds.done)
    return actions.shape[0] * actions.shape[1]


def record_controls(worlds: Worlds, actions: np.ndarray) -> np.ndarray:
    """The controls that an episode sent to the actuators, (T, N, nu)."""
    scene = worlds._groups[0].scene
    worlds.reset()
    ctrl = []
    for action in actions:
        worlds.step(action)
        ctrl.append(scene.ctrl.copy())
        if worlds.done.any() and not worlds.done.all():  # an episode ended early
            worlds.reset(worlds.done)
    return np.stack(ctrl)


def measure(name: str, config: Config) -> dict[str, object]:
    """Interleave raw physics, worlds and adapter for one family."""
    family = make_family(name)
    start = time.perf_counter()
    worlds = Worlds(family, config.num_worlds, seed=0)
    compile_s = time.perf_counter() - start
    if len(worlds.models) > 1:  # raw physics steps one model
        first = np.zeros(config.num_worlds, int)
        worlds.assign(dataclasses.replace(worlds.task, model=first))
    rng = np.random.default_rng(0)
    steps = min(family.horizon, config.num_steps)
    shape = (steps, config.num_worlds, worlds.spec.action_dim)
    actions = rng.uniform(-1, 1, shape).astype(np.float32)
    ctrl = record_controls(worlds, actions)
    worlds.reset()
    raw = Raw(worlds, ctrl)
    env = FamilyVecEnv(family, config.num_worlds, seed=0, new_task_every_episode=False)
    env.reset()

    def adapter() -> int:
        for action in actions:
            env.step(action)
        return actions.shape[0] * actions.shape[1]

    rows = []
    for k in range(config.rounds):
        rows.append([timed(raw.run), timed(lambda: episode(worlds, actions)), timed(adapter)])
        print(f"{name} round {k + 1}/{config.rounds}: " + "  ".join(f"{x:,.0f}" for x in rows[-1]))
    table = np.array(rows)
    return {
        "family": name,
        "substeps": worlds.substeps,
        "build_s": compile_s,
        "raw": float(np.median(table[:, 0])),
        "worlds": float(np.median(table[:, 1])),
        "sb3": float(np.median(table[:, 2])),
        "worlds/raw": float(np.median(table[:, 1] / table[:, 0])),
        "sb3/raw": float(np.median(table[:, 2] / table[:, 0])),
        "rounds": table.round(1).tolist(),
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
    """Measure every family and write results/throughput.json."""
    rows = [measure(name, config) for name in config.families or family_names()]
    print(
        f"\n{'family':<28}{'raw/s':>10}{'Worlds/s':>10}{'SB3/s':>10}{'Worlds/raw':>12}{'SB3/raw':>9}"
    )
    for r in rows:
        print(
            f"{r['family']:<28}{r['raw']:>10,.0f}{r['worlds']:>10,.0f}{r['sb3']:>10,.0f}"
            f"{r['worlds/raw']:>12.2f}{r['sb3/raw']:>9.2f}"
        )
    beside = others(config)
    for name, rate in beside.items():
        print(f"{name:<32}{rate:>10,.0f}")
    path = write_result(
        config.name, {"num_worlds": config.num_worlds, "families": rows, "others": beside}
    )
    print(f"wrote {path}")


if __name__ == "__main__":
    main(tyro.cli(Config))
