"""How well does a policy that sees its task do, without any update, on train and on held-out tasks?

    python benchmarks/ceiling.py --policy results/pretrained/kitchen-stir-dagger-s0.safetensors \
        --family kitchen/stir --name stir-imitated

The policy acts without noise. Paths of policies are taken from this folder. The result names the
command that trained the policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro
from shared.machine import restart_for_same_bits, write_result

from metarl.adapt.evaluate import measure_ceiling
from metarl.adapt.protocol import Protocol
from metarl.registry import make_family
from metarl.runs.policies import read_checkpoint
from metarl.types import Split

SPLITS: tuple[Split, ...] = ("train", "test")


@dataclass(frozen=True)
class Config:
    """What is measured."""

    policy: Path
    """Its checkpoint."""
    family: str
    """The family whose tasks it meets."""
    name: str
    """Of the result file."""
    num_tasks: int = 128
    """Tasks of each split."""
    episodes: int = 2
    """Of each task."""


def main(config: Config) -> None:
    """Measure each split, and write the result."""
    policy, family = (
        read_checkpoint(Path(__file__).parent / config.policy),
        make_family(config.family),
    )
    rows = []
    for split in SPLITS:
        protocol = Protocol(num_tasks=config.num_tasks, eval_episodes=config.episodes, split=split)
        found = measure_ceiling(family, policy, protocol, task_visible=True)
        rows.append({"split": split, "success": float(found.success.mean())})
        print(f"{config.family} {split}: success {100 * rows[-1]['success']:.1f}%")
    command = policy.meta.get("command", policy.meta["made-with"].get("command"))
    trained = {"command": command, "steps": policy.meta["steps"], "config": policy.meta["config"]}
    said = {"family": config.family, "num_tasks": config.num_tasks, "episodes": config.episodes}
    print(f"wrote {write_result(config.name, {**said, 'trained': trained, 'rows': rows})}")


if __name__ == "__main__":
    restart_for_same_bits()
    main(tyro.cli(Config))
