"""How well does each method adapt to held-out tasks whose goals and constants are hidden?

    python benchmarks/adaptation.py

One cell is a family, a method and a training seed: a policy that sees its task is trained by
PPO (or by imitation, where PPO finds no way), the method goes on from it with the task
hidden, and then adapts to the same held-out tasks as every other, on the same budget. What
needs the pretrained policy alone (scratch, fine-tuning, the ceiling) is a cell of its own.
Finished cells are kept as JSON and not run again; the tables are made of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro
from shared.adaptation_tables import curves, markdown, show, tables
from shared.grid import Grid
from shared.machine import RESULTS, restart_for_same_bits, write_result
from shared.recipes import FEW_EPISODES, PRETRAINING, methods, seeds


@dataclass(frozen=True)
class Config:
    """Which cells, and how adaptation is measured."""

    families: tuple[str, ...] = tuple(PRETRAINING)
    """The families."""
    methods: tuple[str, ...] = ()
    """Methods (a strategy of yours by its name), or `baselines`, `searched`, `taught` (by the expert), `many`, `many-searched`,
    `many-residual`, `most` or `most-residual` (episodes); none: all that a family is to meet."""
    seeds: tuple[int, ...] = ()
    """Training seeds; none: all of a family's tables."""
    num_tasks: int = 20
    """Held-out tasks."""
    updates: int = 10
    """Updates of adaptation."""
    finished: bool = False
    """Run nothing; make the table from the cells that are there."""
    folder: Path = RESULTS / "adaptation"
    """Where finished cells are kept."""
    runs: Path = Path("runs/adaptation")
    """Where the runs are kept."""
    pretrained: Path = RESULTS / "pretrained"
    """Where the policies that methods start from are kept."""
    ship: Path | None = None
    """Copy the networks of the cells that are run into this folder."""
    name: str = "adaptation"
    """Name of the result file and picture."""


def main(config: Config) -> None:
    """Run what is missing, then write tables, curves and JSON of every cell that is there."""
    grid = Grid(
        config.folder, config.runs, config.pretrained, config.num_tasks, config.updates, config.ship
    )  # fmt: skip
    for family in () if config.finished else config.families:
        for method in config.methods or methods(family):
            for seed in config.seeds or seeds(family, method):
                grid.cell(family, method, seed)
    rows = []
    for family in PRETRAINING:
        named = dict.fromkeys((*methods(family), *config.methods))
        wanted = [(m, seed) for m in named for seed in seeds(family, m)]
        there = [one for one in wanted if grid.path(family, *one).exists()]
        if not there:
            continue
        for episodes, mine in tables(family, [grid.cell(family, *one) for one in there]).items():
            if family in config.families:
                show(mine)
            picture = f"{config.name}-{family.split('/')[-1]}"
            picture += f"-{episodes}-episodes" * (episodes != FEW_EPISODES)
            (RESULTS / f"{picture}.png").write_bytes(curves(family, mine))
            rows += mine
    (RESULTS / f"{config.name}.md").write_text(markdown(rows, config.num_tasks))
    print(f"wrote {write_result(config.name, {'rows': rows})}")


if __name__ == "__main__":
    restart_for_same_bits()
    main(tyro.cli(Config))
