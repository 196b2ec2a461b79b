"""How well does each method adapt to held-out tasks whose goals and constants are hidden?

    python benchmarks/adaptation.py

One cell is a family, a method and a training seed: a policy that sees its task is trained by
PPO (or by imitation, where PPO finds no way), the method goes on from it with the task
hidden, and then adapts to the same held-out tasks as every other, on the same budget. What
needs the pretrained policy alone (scratch, every way to reuse it, the ceiling) are cells, too, and
one is the same once more with other noise. Trainings are cells that others need. Finished cells are
in the run folder, a JSON file each, and merged into one file of JSON lines, from which a fresh clone
goes on; the tables are made of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from shared.adaptation_cells import (
    Meeting,
    Training,
    keep_new,
    meeting,
    pretraining,
    ship,
    start_of,
    take_kept,
)
from shared.adaptation_tables import markdown, pictures, show, tables
from shared.machine import RESULTS, restart_for_same_bits, write_result
from shared.recipes import LEVELS, PRETRAINING, REUSED, REUSES, methods, seeds

from metarl.grid.processes import LocalProcesses
from metarl.grid.run import run_cells
from metarl.grid.store import MERGED, Store


@dataclass(frozen=True)
class Config:
    """Which cells, and how adaptation is measured."""

    families: tuple[str, ...] = tuple(PRETRAINING)
    """The families."""
    methods: tuple[str, ...] = ()
    """Methods (a strategy of yours by its name), or `baselines`, `searched`, `taught` (by the expert), `many`, `many-searched`,
    `many-residual`, `most` or `most-residual` (episodes), `control` (for `taught`, `many` and `most`: `many-control` and so
    on), `strategies` (every further way to reuse a policy); none: all that a family is to meet."""
    seeds: tuple[int, ...] = ()
    """Training seeds; none: all of a family's tables."""
    num_tasks: int = 20
    """Held-out tasks."""
    updates: int = 10
    """Updates of adaptation."""
    jobs: int | None = None
    """How many cells at once; none: a process a core."""
    again: bool = False
    """Run cells anew whose recipe has changed since."""
    finished: bool = False
    """Run nothing; make the table from the cells that are there."""
    runs: Path = Path("runs/adaptation")
    """Where cells, trainings and policies are kept while it runs."""
    results: Path = RESULTS / "adaptation"
    """Where the merged cells go."""
    pretrained: Path = RESULTS / "pretrained"
    """Where the policies that methods start from are kept."""
    ship: Path | None = None
    """Copy the networks of the cells that are run into this folder."""
    name: str = "adaptation"
    """Name of the result file and picture."""


def wanted(config: Config) -> list[Meeting]:
    """List the cells that are asked for, in the order in which to run them."""
    asked = [one for name in config.methods for one in (REUSES if name == REUSED else (name,))]
    return [
        meeting(family, arm, seed, num_tasks=config.num_tasks, updates=config.updates)
        for family in config.families
        for arm in asked or methods(family)
        for seed in config.seeds or seeds(family, arm)
    ]


def starts_of(cells: Sequence[Meeting]) -> dict[str, Training]:
    """The policies that their methods start from, by key, each behind what it goes on from."""
    return {one.key: one for c in cells for one in pretraining(c.family, start_of(c).seed).line}


def run(config: Config, store: Store) -> bool:
    """Run what is missing, and keep cells and policies; say whether all went well."""
    cells, before = wanted(config), store.read()
    starts = starts_of(cells)
    take_kept(starts.values(), store, config.pretrained)
    try:
        done = run_cells(cells, store, workers=LocalProcesses(config.jobs), again=config.again)
    finally:  # one that is stopped leaves what it has, too
        store.merge()
        keep_new(starts.values(), store.folder, config.pretrained)
    if config.ship is not None:
        for cell in cells:
            made = done.records.get(cell.key)
            shipped = cell.arm == LEVELS or start_of(cell).key not in starts
            if made is not None and made != before.get(cell.key) and shipped:
                ship(cell, made.result, store.folder, config.ship)
    return not done.failed


def main(config: Config) -> int:
    """Run what is missing, then write tables and JSON of every cell that is there, and the curves of the
    families that are asked for."""
    store = Store(config.runs, config.results / MERGED)
    went_well = config.finished or run(config, store)
    known, rows = store.read(), []
    for family in PRETRAINING:
        names = dict.fromkeys((*methods(family), *(c.arm for c in wanted(config))))
        keys = [
            meeting(family, arm, seed, num_tasks=config.num_tasks, updates=config.updates).key
            for arm in names
            for seed in seeds(family, arm)
        ]
        found = [known[key] for key in keys if key in known]
        for mine in tables(family, found).values():
            rows += mine
            if family in config.families:
                show(mine)
                for name, picture in pictures(family, mine).items():
                    (RESULTS / f"{config.name}-{name}.png").write_bytes(picture)
    (RESULTS / f"{config.name}.md").write_text(markdown(rows, config.num_tasks))
    print(f"wrote {write_result(config.name, {'rows': rows})}")
    return 0 if went_well else 1


if __name__ == "__main__":
    restart_for_same_bits()
    raise SystemExit(main(tyro.cli(Config)))
