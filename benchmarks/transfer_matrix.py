"""What carries over between skills, robots and bodies, by which strategy, and where does it harm?

    python benchmarks/transfer_matrix.py

Every source meets every target of its group: PPO on the target with the task in view, from the source
against from nothing with the same seed, and five updates on held-out tasks that are hidden
(docs/matrix.md says what is measured). A seed is run whole
before the next, and in it what tells most: all pairs by fine-tuning, then a selection of pairs by every
strategy. Finished cells are in the run folder, a JSON file each, and merged into one small file of
JSON lines beside the tables, from which a fresh clone goes on as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import tyro
from shared.machine import RESULTS, restart_for_same_bits

from metarl.adapt.protocol import Protocol
from metarl.grid.processes import LocalProcesses
from metarl.grid.store import MERGED, Store
from metarl.matrix.benchmark import Group, Matrix, every_pair, write_matrix
from metarl.matrix.cells import Budget
from metarl.matrix.output import write_tables
from metarl.matrix.run import run_matrix
from metarl.matrix.summary import best_of, summarise
from metarl.report.transfer import write_pictures

COMMAND = "python benchmarks/transfer_matrix.py"
SKILLS = tuple(
    f"kitchen/{skill}@robot=panda"
    for skill in ("season", "heat", "add", "cover", "serve", "flip", "pour", "stir")
)
ROBOTS = tuple(
    f"kitchen/season@robot={robot},control=joint" for robot in ("gantry", "panda", "ur5e")
)
CHEETAHS = ("classic/cheetah-velocity", "classic/cheetah-direction")
# As many gradient steps as PPO's defaults take, from half as many worlds: seasoning is learned as fast.
_KITCHEN = {"num_worlds": 256, "minibatch": 2560}
_DEAR = {
    "num_worlds": 128,
    "minibatch": 1280,
}  # skills with much to touch: 40 to 70 s a cell with 256
_SMALL = {"num_worlds": 64, "minibatch": 1280, "gamma": 0.99}  # episodes of 200 steps

# wise-ft is missing: while it trains it is fine-tuning, only what is saved differs.
STRATEGIES = (
    "new-head", "lower-layers", "lp-ft", "kickstart", "layerwise-rate", "l2-sp", "low-rank",
    "frozen-trunk", "small-rate",
)  # fmt: skip
# Near and far, where fine-tuning harms and where the same task has changed a little.
PAIRS = tuple(
    (f"kitchen/{source}@robot=panda", f"kitchen/{target}@robot=panda")
    for source, target in (
        ("season", "heat"), ("heat", "season"), ("season", "pour"), ("add", "serve"),
        ("cover", "add"), ("season", "season"),
    )
)  # fmt: skip
MATRIX = Matrix(
    groups=(
        Group(name="skills", pairs=every_pair(SKILLS, SKILLS)),
        Group(name="robots", pairs=every_pair(ROBOTS, ROBOTS)),
        Group(name="cheetahs", pairs=every_pair(CHEETAHS, CHEETAHS)),
        Group(name="strategies", pairs=PAIRS, strategies=STRATEGIES, explorations=("fresh",)),
    ),
    budget=Budget(iterations=30, settings=_KITCHEN),
    source_budget=Budget(iterations=60, settings=_KITCHEN),
    adapting=Protocol(num_tasks=10, updates=5, eval_episodes=5),
    own={
        **{
            f"kitchen/{skill}@robot=panda": (
                Budget(iterations=30, settings=_DEAR),
                Budget(iterations=60, settings=_DEAR),
            )
            for skill in ("add", "cover", "serve", "flip")
        },
        **dict.fromkeys(
            CHEETAHS,
            (Budget(iterations=30, settings=_SMALL), Budget(iterations=60, settings=_SMALL)),
        ),
    },
)


@dataclass(frozen=True)
class Config:
    """How much of it is run."""

    seeds: int = 3
    """Trainings of each arm; with fewer, the others can follow by the same command."""
    jobs: int | None = None
    """How many cells at once; none: a process a core."""
    finished: bool = False
    """Run nothing; make tables and pictures from the cells that are there."""
    runs: Path = Path("runs/transfer-matrix")
    """Where cells and sources are kept while it runs."""
    results: Path = RESULTS / "transfer-matrix"
    """Where the merged cells, the tables and the pictures go."""


def main(config: Config, matrix: Matrix = MATRIX) -> int:
    """Run what is missing, then write tables and pictures of every cell that is there."""
    matrix = replace(matrix, num_seeds=config.seeds)
    store = Store(config.runs, config.results / MERGED)
    failed = False
    try:
        if not config.finished:
            failed = bool(run_matrix(matrix, store, workers=LocalProcesses(config.jobs)).failed)
    finally:  # one that is stopped leaves what it has, too
        store.merge()
    write_matrix(matrix, config.results)
    if config.runs.is_dir():
        write_matrix(matrix, config.runs)
    summary = summarise(matrix, Store(config.results).read())
    if config.runs.exists():  # advice.py reads them beside the sources
        write_tables(matrix, summary, config.runs, COMMAND)
    paths = write_tables(matrix, summary, config.results, COMMAND)
    for path in (*paths, *write_pictures(matrix, summary, config.results)):
        print(f"wrote {path}")
    for level in summary.levels:
        print(best_of(summary.of(level.regime, level.target), level))
    return 1 if failed else 0


if __name__ == "__main__":
    restart_for_same_bits()
    raise SystemExit(main(tyro.cli(Config)))
