"""Does one network for all skills do as well as a network for each?

    python benchmarks/one_network.py

Each skill's expert is imitated by one trunk for all eight, with a head for each skill; the control arm does
so again with other noise. Stirring, the skill at which that succeeds least, is imitated by a network of its
own as well. The other skills are not: no network succeeds in more than 100%, which says how far the
one for all can be behind. All see their task, have layers as wide, and as many worlds, iterations and
gradient steps a skill. They are judged on held-out tasks without an update. Finished cells are in the run
folder, a JSON file each, and merged into one file beside the tables, from which a fresh clone goes on as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro
from shared.grid import GridConfig, run_grid
from shared.learned import Judged
from shared.machine import RESULTS, restart_for_same_bits
from shared.skill_design import Design
from shared.skill_tables import Results, write, write_conflicts

from metarl.adapt.protocol import Protocol
from metarl.grid.cell import Cell

COMMAND = "python benchmarks/one_network.py"
DESIGN = Design(
    skills=("season", "heat", "add", "cover", "serve", "flip", "pour", "stir"),
    name="kitchen/{skill}",
    iterations=60,
    # As many worlds of each skill as the shipped policy of `kitchen/skills` had: stirring needs them.
    settings={
        "hidden": (256, 256, 256), "activation": "relu", "num_worlds": 512, "epochs": 4, "minibatch": 128,
        "learning_rate": 1e-3, "anneal": 0.5, "log_std": -3.0,
    },
    alone=("stir",),
    protocol=Protocol(num_tasks=100, eval_episodes=1),
)  # fmt: skip


@dataclass(frozen=True)
class Config(GridConfig):
    """How much of it is run."""

    runs: Path = Path("runs/one-network")
    """Where cells, trainings and policies are kept while it runs."""
    results: Path = RESULTS / "one-network"
    """Where the merged cells, the tables and the picture go."""


def cells(design: Design, num_seeds: int) -> list[Cell]:
    """Everything that is measured."""
    starts = [design.learned(arm, seed) for arm in design.arms for seed in range(num_seeds)]
    return [
        Judged(start=start, families=start.families, protocol=design.protocol) for start in starts
    ]


def main(config: Config, design: Design = DESIGN) -> int:
    """Run what is missing, then write tables and the picture of every cell that is there."""
    records, failed = run_grid(cells(design, config.seeds), config)
    results = Results(design, records, config.seeds)
    written = write(results, config.results, COMMAND)
    for path in [*written, *write_conflicts(config.runs, config.results, COMMAND)]:
        print(f"wrote {path}")
    for row in results.rows():
        print(f"{row.arm:<14} {row.mean:<16} behind {row.behind:<16} furthest {row.furthest}")
    return 1 if failed else 0


if __name__ == "__main__":
    restart_for_same_bits()
    raise SystemExit(main(tyro.cli(Config)))
