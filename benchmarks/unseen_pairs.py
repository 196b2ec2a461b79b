"""Does a robot do a skill that it was never trained on, if others were, and it was on others?

    python benchmarks/unseen_pairs.py

Policies of parts (`--method modular`, docs/multitask.md) learn some pairs of robot and skill from the
families' experts, in joint space. Pairs that never met are put together of the parts, and judged on
held-out tasks without an update, against what was trained on that pair alone for as long, and against
the policy of the nearest trained pair. `shared/pair_design.py` says which pairs never meet. What answers the
question is run for every seed first, the control arm last. Finished cells are in the run folder, a JSON file
each, and merged into one file beside the tables, from which a fresh clone goes on as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from shared.grid import GridConfig, run_grid
from shared.learned import Judged
from shared.machine import RESULTS, restart_for_same_bits
from shared.pair_cells import Features, Nearest
from shared.pair_design import MAIN, OTHER_NOISE, RESTRICTED, Design, alone
from shared.pair_tables import Results, write

from metarl.adapt.protocol import Protocol
from metarl.grid.cell import Cell

COMMAND = "python benchmarks/unseen_pairs.py"
DESIGN = Design(
    robots=("gantry", "panda", "ur5e"),
    skills=("season", "heat", "add", "cover", "serve", "flip", "pour", "stir"),
    name="kitchen/{skill}@robot={robot},control=joint",
    num_unseen=6,
    iterations=30,
    # What counts is gradient steps: simulating costs more than they do, and hardly more with more worlds.
    # Little noise, as stirring taught (README.md).
    settings={
        "num_worlds": 64, "epochs": 8, "minibatch": 256, "log_std": -3.0, "encoders": "named",
        "hindsight": 1.0, "horizon": 1,
    },
    protocol=Protocol(num_tasks=100, eval_episodes=1),
    # By pair_choices.py, in which none of these pairs is left out.
    turn=2,
    pivot=("shared.babble:babble/reach@robot={robot},control=joint,lowest=3,pace=varied",),
)  # fmt: skip


@dataclass(frozen=True)
class Config(GridConfig):
    """How much of it is run."""

    runs: Path = Path("runs/unseen-pairs")
    """Where cells, trainings and policies are kept while it runs."""
    results: Path = RESULTS / "unseen-pairs"
    """Where the merged cells, the tables and the picture go."""


def cells(design: Design, num_seeds: int) -> list[Cell]:
    """Everything that is measured, what tells most first."""
    seeds = range(num_seeds)
    return [
        *(cell for seed in seeds for cell in _of_main(design, seed)),
        *(cell for seed in seeds for cell in _of_restricted(design, seed)),
        *(_judged(design, OTHER_NOISE, seed, design.pairs) for seed in seeds),
    ]


def _of_main(design: Design, seed: int) -> list[Cell]:
    unseen = design.unseen(MAIN)
    found: list[Cell] = [_judged(design, MAIN, seed, design.pairs)]
    found += [_judged(design, alone(pair), seed, [pair]) for pair in unseen]
    found.append(_nearest(design, MAIN, seed))
    if not seed:
        named = tuple((*pair, design.family(pair)) for pair in design.pairs)
        start = design.learned(MAIN, seed)
        found.append(Features(start=start, pairs=named, num_episodes=design.num_episodes))
    return found


def _of_restricted(design: Design, seed: int) -> list[Cell]:
    more = [pair for pair in design.unseen(RESTRICTED) if pair not in design.unseen(MAIN)]
    return [
        _judged(design, RESTRICTED, seed, design.pairs),
        *(_judged(design, alone(pair), seed, [pair]) for pair in more),
        _nearest(design, RESTRICTED, seed),
    ]


def _judged(design: Design, arm: str, seed: int, pairs: Sequence[tuple[str, str]]) -> Judged:
    start, families = design.learned(arm, seed), design.families(pairs)
    return Judged(start=start, families=families, protocol=design.protocol)


def _nearest(design: Design, split: str, seed: int) -> Nearest:
    pairs = tuple(
        (design.family(near), design.family(pair))
        for pair in design.unseen(split)
        for near in design.nearest(pair, split)
    )
    return Nearest(start=design.learned(split, seed), pairs=pairs, protocol=design.protocol)


def main(config: Config, design: Design = DESIGN) -> int:
    """Run what is missing, then write tables and the picture of every cell that is there."""
    records, failed = run_grid(cells(design, config.seeds), config)
    results = Results(design, records, config.seeds)
    for path in write(results, config.results, COMMAND):
        print(f"wrote {path}")
    for row in results.rows():
        print(f"{row.split:<12} {row.what:<50} {row}")
    return 1 if failed else 0


if __name__ == "__main__":
    restart_for_same_bits()
    raise SystemExit(main(tyro.cli(Config)))
