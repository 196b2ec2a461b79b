"""Which policies of parts do pairs that they never met? The choice behind `unseen_pairs.py`.

    python benchmarks/pair_choices.py

Five skills with three robots, other pairs left out than those that `unseen_pairs.py` reports, other
seeds, other tasks. Each way of building the parts is trained with each seed; what it does with the pairs
that it met, and with those that it did not, is a row. Finished cells are kept, and the same command goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from shared.grid import GridConfig, run_grid
from shared.learned import Judged, Learned
from shared.machine import RESULTS, restart_for_same_bits, write_result
from shared.pair_design import MAIN, METHOD, Design

from metarl.adapt.protocol import Protocol

SEED = 100  # the first
SETTINGS = {"num_worlds": 64, "epochs": 8, "minibatch": 256, "log_std": -3.0}
DESIGN = Design(
    robots=("gantry", "panda", "ur5e"),
    skills=("add", "cover", "heat", "pour", "season"),
    name="kitchen/{skill}@robot={robot},control=joint",
    num_unseen=5,
    iterations=30,
    settings=SETTINGS,
    protocol=Protocol(num_tasks=50, eval_episodes=1, seed=2000),
    turn=1,
)
BABBLE = "shared.babble:babble/reach@robot={robot},control=joint"
LOW_BABBLE = f"{BABBLE},lowest=3"
VARIED = f"{LOW_BABBLE},pace=varied"
NAMED: dict[str, Any] = {"encoders": "named"}
CHOICES: dict[str, dict[str, Any]] = {
    "plain": {},
    "named": NAMED,
    "named-narrow": {**NAMED, "encoded": 8, "command": 6},
    "named-shared": {**NAMED, "cores": "shared"},
    "shared": {"cores": "shared"},
    "named-narrow-shared": {**NAMED, "encoded": 8, "command": 6, "cores": "shared"},
    "named-decay": {**NAMED, "weight_decay": 0.01},
    "named-shared-blur": {**NAMED, "cores": "shared", "blur": 0.3},
    "named-blur": {**NAMED, "blur": 0.3},
    "named-babble": {**NAMED, "babble": (BABBLE,)},
    "named-babble-low": {**NAMED, "babble": (LOW_BABBLE,)},
    "named-babble-wide": {
        **NAMED,
        "babble": (LOW_BABBLE, f"{BABBLE},lowest=2"),
        "posture": 128,
        "decoder": 256,
    },
    "named-shared-babble": {**NAMED, "cores": "shared", "babble": (BABBLE,)},
    "named-shared-blur-strong": {**NAMED, "cores": "shared", "blur": 0.6},
    "hindsight-varied": {**NAMED, "hindsight": 1.0, "horizon": 1, "babble": (VARIED,)},
    "hindsight-varied-two": {**NAMED, "hindsight": 1.0, "horizon": 2, "babble": (VARIED,)},
    "hindsight": {**NAMED, "hindsight": 1.0, "horizon": 2},
    "hindsight-soon": {**NAMED, "hindsight": 1.0, "horizon": 1},
    "hindsight-babble": {**NAMED, "hindsight": 1.0, "horizon": 2, "babble": (LOW_BABBLE,)},
    "hindsight-babble-soon": {**NAMED, "hindsight": 1.0, "horizon": 1, "babble": (LOW_BABBLE,)},
}


@dataclass(frozen=True)
class Config(GridConfig):
    """How much of it is run."""

    runs: Path = Path("runs/pair-choices")
    """Where cells, trainings and policies are kept while it runs."""
    results: Path = RESULTS / "pair-choices"
    """Where the merged cells go."""
    choices: tuple[str, ...] = tuple(CHOICES)
    """Which."""


def judged(choice: str, seed: int = 0) -> Judged:
    """What a choice is trained on, and where it is judged: every pair."""
    settings = {**SETTINGS, **CHOICES[choice]}
    families = DESIGN.families(DESIGN.trained(MAIN))
    for babble in settings.pop("babble", ()):
        families += tuple(babble.format(robot=robot) for robot in DESIGN.robots)
    start = Learned(
        arm=choice, method=METHOD, families=families, iterations=DESIGN.iterations,
        settings=settings, seed=SEED + seed,
    )  # fmt: skip
    return Judged(start=start, families=DESIGN.families(DESIGN.pairs), protocol=DESIGN.protocol)


def main(config: Config) -> int:
    """Run what is missing, and write every row that is there."""
    cells = {(c, seed): judged(c, seed) for seed in range(config.seeds) for c in config.choices}
    records, failed = run_grid(list(cells.values()), config)
    rows = []
    for (choice, seed), cell in cells.items():
        if cell.key not in records:
            continue
        success = records[cell.key].result["success"]
        unseen = {name: success[name] for name in DESIGN.families(DESIGN.unseen(MAIN))}
        met = [rate for name, rate in success.items() if name not in unseen]
        row = {"choice": choice, "seed": SEED + seed, "settings": CHOICES[choice]}
        row |= {"trained": float(np.mean(met)), "unseen": float(np.mean(list(unseen.values())))}
        rows.append({**row, "each": unseen})
        print(f"{choice:<24} seed {SEED + seed}  trained {row['trained']:.2f}", end="")
        print(f"  unseen {row['unseen']:.2f}  {unseen}")
    print(f"wrote {write_result('pair-choices', {'rows': rows})}")
    return 1 if failed else 0


if __name__ == "__main__":
    restart_for_same_bits()
    raise SystemExit(main(tyro.cli(Config)))
