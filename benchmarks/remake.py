"""Do the recorded commands make the shipped checkpoints again, to the bit?

    python benchmarks/remake.py

Each checkpoint names the `metarl train` command that made it. The command is run here, in a
folder of its own, and what it writes is compared tensor by tensor. Finished runs are kept and
not trained again.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from shared.machine import among_saved, write_result

from metarl.runs.checkpoint import Checkpoint, load_checkpoint
from metarl.runs.config import read_json
from metarl.runs.policies import read_checkpoint
from metarl.runs.run import RESULT_FILE

ENVS = Path(__file__).parents[1] / "envs"
# What a run goes on from comes before it.
ORDER = (
    "season-ppo", "season-maml", "season-pearl", "heat-ppo", "heat-maml", "heat-pearl",
    "add-dagger", "add-maml", "add-pearl",
    "skills-dagger", "dishes-dagger",
    "point-navigation-ppo", "point-navigation-pearl",
    "cheetah-direction-ppo", "cheetah-direction-maml", "cheetah-direction-pearl",
    "cheetah-velocity-ppo", "cheetah-velocity-maml", "cheetah-velocity-pearl", "ant-goal-ppo",
)  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Which checkpoints."""

    names: tuple[str, ...] = ORDER
    """File names, without ending, in the order in which they are made."""
    folder: Path = Path("runs/remake")
    """Where the commands run."""
    name: str = "remake"
    """Name of the result file."""


def shipped(name: str) -> Checkpoint:
    """Read a checkpoint that comes with a package of families."""
    [path] = ENVS.glob(f"*/checkpoints/{name}.safetensors")
    return load_checkpoint(path)


def remake(name: str, folder: Path) -> dict[str, Any]:
    """Run the command of one checkpoint, and compare."""
    kept = shipped(name)
    command = shlex.split(kept.meta["command"])
    out = folder / command[command.index("--out") + 1]
    folder.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", *command, "--resume"]
    subprocess.run(words, cwd=folder, check=True)
    made = read_checkpoint(out)
    differ = [n for n, tensor in kept.tensors.items() if not tensor.equal(made.tensors[n])]
    result = read_json(out / RESULT_FILE)
    return {
        "checkpoint": name,
        "command": kept.meta["command"],
        "identical": not differ,
        "differing": differ,
        "tensors": len(kept.tensors),
        "steps": result["steps"],
        "training_s": result["seconds"],
    }


def main(config: Config) -> None:
    """Make each, print a row, and write results/NAME.json; other rows stay as they were."""
    rows = []
    for name in config.names:
        row = remake(name, config.folder)
        same = "identical" if row["identical"] else f"differs in {', '.join(row['differing'])}"
        print(f"{name:<14}{row['training_s']:6.0f} s{row['steps']:>12,} steps  {same}", flush=True)
        rows.append(row)
    rows = among_saved(config.name, "checkpoints", rows, "checkpoint")
    print(f"wrote {write_result(config.name, {'checkpoints': rows})}")


if __name__ == "__main__":
    main(tyro.cli(Config))
