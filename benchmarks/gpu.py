"""What is a GPU worth? Meta-update, whole meta-iteration, head swap and physics, beside this CPU.

    python benchmarks/gpu.py

On a machine with a GPU everything is run on both, interleaved in one process, after a round that is not
counted; a ratio is formed within each round, and the median is reported. Physics is mujoco-warp on the
GPU and MuJoCo on all cores. On a machine without a GPU each part is run once on the CPU, as small as it
can be, to see that it runs; nothing is measured or written, and the script ends with 0.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
import tyro
from meta_update import Cell, problem
from shared.machine import write_result

from metarl.errors import MetaRLError
from metarl.machine import num_cores
from metarl.meta.maml.config import MamlConfig
from metarl.meta.maml.inner import Batch
from metarl.meta.maml.maml import MamlTrainer
from metarl.meta.maml.outer import Outer, outer_gradients
from metarl.names import with_physics
from metarl.perception.swap import pictures_of, swap
from metarl.perception.swap_config import SwapConfig
from metarl.physics import MUJOCO, WARP, require_physics
from metarl.registry import make_family
from metarl.sim.worlds import Worlds

Run = Callable[[], object]
Ready = Callable[[], Run]
CPU, GPU = "cpu", "cuda"


@dataclass(frozen=True)
class Config:
    """Which sizes, and how often."""

    family: str = "kitchen/season"
    """Whose observations, actions and worlds."""
    tasks: int = 40
    """Tasks of a meta-update, and of an iteration."""
    samples: tuple[int, ...] = (100, 1200, 10_000)
    """Samples of each task of a meta-update."""
    episodes: int = 10
    """Episodes of each task of an iteration."""
    pictures: int = 2000
    """Pictures of a head swap, all of whose network learns."""
    epochs: int = 5
    """Passes over them."""
    worlds: tuple[int, ...] = (512, 4096, 16_384)
    """Worlds that step together."""
    steps: int = 20
    """Control steps of a round of physics."""
    rounds: int = 5
    """Interleaved rounds, after one that is not counted."""
    name: str = "gpu"
    """Name of the result file."""


SMALLEST = Config(
    tasks=2, samples=(8,), episodes=1, pictures=16, epochs=1, worlds=(2,), steps=2, rounds=0
)


def meta_update(config: Config, samples: int, device: str) -> Run:
    """One meta-gradient of all tasks, on stored samples."""
    policy, params, rates, batches = problem(config.family, Cell(1, 2, 1, config.tasks, samples))
    policy.to(device)
    params = {name: p.detach().to(device).requires_grad_() for name, p in params.items()}
    rates = {name: r.detach().to(device).requires_grad_() for name, r in rates.items()}
    moved = [batch._replace(**_tensors(batch, device)) for batch in batches]
    return lambda: outer_gradients(policy, params, rates, moved, Outer())


def _tensors(batch: Batch, device: str) -> dict[str, Any]:
    found = batch._asdict().items()
    return {name: x.to(device) for name, x in found if isinstance(x, torch.Tensor)}


def meta_iteration(config: Config, physics: str, device: str) -> Run:
    """Collect, adapt, collect, and update: MAML as `metarl train` runs it."""
    settings = MamlConfig(num_tasks=config.tasks, episodes=config.episodes, device=device)
    family = make_family(with_physics(config.family, physics))
    return MamlTrainer(family, settings).iterate


def head_swap(config: Config, device: str) -> Run:
    """A new head on a small network that learns on as a whole."""
    settings = SwapConfig(
        strategy="fine-tune", num_pictures=config.pictures, max_epochs=config.epochs,
        patience=config.epochs, device=device,
    )  # fmt: skip
    data = pictures_of(settings)

    def run() -> object:
        with tempfile.TemporaryDirectory() as folder:
            return swap(settings, f"{folder}/run", data=data)

    return run


def physics(config: Config, num_worlds: int, name: str) -> Run:
    """Control steps of worlds, observations and rewards included."""
    worlds = Worlds(make_family(with_physics(config.family, name)), num_worlds)
    shape = (config.steps, num_worlds, worlds.spec.action_dim)
    actions = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)

    def run() -> None:
        worlds.reset()
        for action in actions:
            worlds.step(action)
            if worlds.done.any():
                worlds.reset(worlds.done)

    return run


def parts(config: Config, gpu: str) -> Iterator[tuple[str, Ready, Ready]]:
    """What is measured: its name, and what makes it ready on the CPU and on the GPU."""
    for n in config.samples:
        name = f"meta-update, {config.tasks} tasks of {n} samples"
        yield name, partial(meta_update, config, n, CPU), partial(meta_update, config, n, gpu)
    each = f"meta-iteration, {config.tasks} tasks of {config.episodes} episodes"
    on_cpu = partial(meta_iteration, config, MUJOCO, CPU)
    yield f"{each}, networks on the GPU", on_cpu, partial(meta_iteration, config, MUJOCO, gpu)
    yield f"{each}, physics too", on_cpu, partial(meta_iteration, config, WARP, gpu)
    name = f"head swap, {config.pictures} pictures, {config.epochs} epochs"
    yield name, partial(head_swap, config, CPU), partial(head_swap, config, gpu)
    for n in config.worlds:
        name = f"physics, {n} worlds, {config.steps} control steps"
        yield name, partial(physics, config, n, MUJOCO), partial(physics, config, n, WARP)


def seconds(run: Run) -> float:
    """Wall time of one run [s], until the GPU is done."""
    start_s = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start_s


def measure(name: str, both: tuple[Run, Run], rounds: int) -> dict[str, Any]:
    """Interleave both, after one round that is not counted."""
    for run in both:
        run()
    times = np.array([[seconds(run) for run in both] for _ in range(rounds)])
    row = {
        "what": name,
        "cpu_s": float(np.median(times[:, 0])),
        "gpu_s": float(np.median(times[:, 1])),
        "cpu/gpu": float(np.median(times[:, 0] / times[:, 1])),
        "rounds_s": times.tolist(),
    }
    print(f"{name:<70}{row['cpu_s']:>10.3f} s{row['gpu_s']:>10.3f} s{row['cpu/gpu']:>8.2f}")
    return row


def check(config: Config) -> int:
    """Run each part once, as small as it can be, on the CPU."""
    for name, *both in parts(config, CPU):
        try:
            for ready in both:
                ready()()
        except MetaRLError as error:
            print(f"{name}: left out, {error}")
        else:
            print(f"{name}: runs")
    print("no GPU here: nothing was measured")
    return 0


def main(config: Config) -> int:
    """Measure every part and write results/NAME.json, where there is a GPU."""
    torch.set_num_threads(1)
    if not torch.cuda.is_available():
        return check(dataclasses.replace(SMALLEST, family=config.family))
    try:
        require_physics(WARP)
    except MetaRLError as error:
        print(error, file=sys.stderr)
        return 2
    torch.set_num_threads(num_cores())
    rows = [
        measure(name, (here(), there()), config.rounds) for name, here, there in parts(config, GPU)
    ]
    versions = {name: version(name) for name in ("mujoco-warp", "warp-lang")}
    result = {"gpu": torch.cuda.get_device_name(), "cuda": torch.version.cuda, **versions}
    print(f"wrote {write_result(config.name, {**result, 'rows': rows})}")
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Config)))
