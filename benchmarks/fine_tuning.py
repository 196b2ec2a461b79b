"""Which settings serve fine-tuning best? Asked on train tasks, of a policy that no table uses.

    python benchmarks/fine_tuning.py

What MAML is compared with deserves its own best settings: the defaults of `Protocol` are
those that win here, summed over the families.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from shared.machine import write_result

from metarl.adapt.evaluate import evaluate_adaptation, settings_of
from metarl.adapt.protocol import Protocol
from metarl.learn.train import train
from metarl.names import slug
from metarl.registry import make_family
from metarl.runs.policies import read_checkpoint


@dataclass(frozen=True)
class Config:
    """The grid."""

    families: tuple[str, ...] = ("kitchen/season", "kitchen/heat")
    """The families."""
    seed: int = 100
    """Training seed of the pretrained policies."""
    iterations: int = 70
    """Their iterations."""
    task_seed: int = 5000
    """Of the 20 train tasks."""
    rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2, 3e-2)
    """Adam's rates."""
    epochs: tuple[int, ...] = (5, 20)
    """Adam steps on each update's episodes."""
    log_stds: tuple[float, ...] = (-0.7, -1.0, -1.3)
    """First exploration."""
    runs: Path = Path("runs/fine-tuning")
    """Where the pretrained policies are kept."""


def main(config: Config) -> None:
    """Adapt with every setting, print the best, and write all."""
    rows: list[dict[str, Any]] = []
    for name in config.families:
        path = train(
            name, "ppo", seed=config.seed, iterations=config.iterations, resume=True,
            out=config.runs / slug(name),
        )  # fmt: skip
        family, found = make_family(name), read_checkpoint(path)
        base = Protocol(seed=config.task_seed, split="train")
        for rate, epochs, log_std in itertools.product(
            config.rates, config.epochs, config.log_stds
        ):
            setting = {"rate": rate, "epochs": epochs, "log_std": log_std}
            result = evaluate_adaptation(
                family, "fine-tune", found, base, settings=settings_of("fine-tune", setting)
            )
            success, score = result.success.mean(axis=1), result.score.mean(axis=1)
            rows.append(
                {"family": name, **setting, "success": success.tolist(), "score": score.tolist()}
            )
            print(f"{name} {setting} {np.round(100 * success).astype(int)}", flush=True)
    keys = ("rate", "epochs", "log_std")
    totals: dict[tuple[float, ...], float] = {}
    for row in rows:
        key = tuple(float(row[k]) for k in keys)
        totals[key] = totals.get(key, 0.0) + row["success"][-1] / len(config.families)
    best = max(totals, key=lambda s: totals[s])
    print(f"best: {dict(zip(keys, best))}, {totals[best]:.0%} after {Protocol.updates} updates")
    print(f"wrote {write_result('fine-tuning', {'best': dict(zip(keys, best)), 'rows': rows})}")


if __name__ == "__main__":
    main(tyro.cli(Config))
