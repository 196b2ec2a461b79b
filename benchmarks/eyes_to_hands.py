"""How much of a policy's success is left where a camera takes the place of what it was told?

    python benchmarks/eyes_to_hands.py

A policy that was trained on states teaches eyes: what they see it was told (`columns`; `fresh` with a
picture network that has seen nothing, `frozen` with the classifier's layers as they are), or what it
would do (`actions`: end to end, nothing of the policy is left). Each arm has as many pictures and
gradient steps. All act on the same held-out tasks, on which the policy that is told (`told`) is judged
too; the control arm is `columns` with the same first weights and other noise. A seed has a policy of its
own.

Then other food lies on the board (`@food=new`: beetroot, cucumber and potato, where eyes met tofu, carrot and
tomato): the eyes as they were, and with so many labelled pictures a new head, or learning on as a strategy
says, or from scratch; the control arm there is fine-tuning with other noise. Finished cells are in the run folder and merged into one file, from which a fresh clone goes on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import tyro
from shared.grid import GridConfig, run_grid
from shared.hands import Judged, Taught, markdown, rows_of
from shared.machine import RESULTS, restart_for_same_bits

from metarl.adapt.protocol import Protocol
from metarl.runs.checkpoint import write_atomically
from metarl.runs.config import made_with
from metarl.runs.run import write_json

COMMAND = "python benchmarks/eyes_to_hands.py"
CONTROL = "columns, other noise"
ARMS: Mapping[str, Mapping[str, Any]] = {
    "columns": {"trunk": "ingredients"},
    "fresh": {},
    "frozen": {"trunk": "ingredients", "frozen": True},
    "actions": {"trunk": "ingredients", "answers": "actions"},
    CONTROL: {"trunk": "ingredients", "noise": 1},
}
BEFORE, FOOD_CONTROL = "columns", "fine-tune, other noise"
SWAPS: Mapping[str, Mapping[str, Any]] = {
    "frozen-trunk": {"swap": "frozen-trunk"},
    "lp-ft": {"swap": "lp-ft"},
    "fine-tune": {"swap": "fine-tune"},
    "scratch": {"swap": "scratch"},
    FOOD_CONTROL: {"swap": "fine-tune", "noise": 1},
}
RESULT, TABLE = "hands.json", "hands.md"


@dataclass(frozen=True)
class Design:
    """What is trained, and by whom.

    Args:
        teachers: By family, the method by which the policy was trained that teaches, or its file.
        asks: By family, hidden fields of its tasks that pictures show.
        iterations: Of each training.
        settings: Fields of the config that differ from its defaults, the same for every arm.
        protocol: Which held-out tasks.
        swaps: Where eyes of the `BEFORE` arm meet what they have not seen, by the family they know.
        pictures: Numbers of labelled pictures there.
        swap_iterations: Of each swap.
        swap_settings: Fields of its config that differ from the defaults, the same for every arm.
    """

    teachers: Mapping[str, str]
    asks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    iterations: int = 30
    settings: Mapping[str, Any] = field(default_factory=dict)
    protocol: Protocol = Protocol(num_tasks=100, eval_episodes=1)
    swaps: Mapping[str, str] = field(default_factory=dict)
    pictures: tuple[int, ...] = (50, 200)
    swap_iterations: int = 20
    swap_settings: Mapping[str, Any] = field(default_factory=dict)


DESIGN = Design(
    teachers={"kitchen/add": "dagger", "kitchen/heat": "ppo"},
    asks={"kitchen/add": ("pan_m",)},
    swaps={"kitchen/add": "kitchen/add@food=new"},
    swap_settings={"epochs": 20, "minibatch": 50, "learning_rate": 1e-3},
)


@dataclass(frozen=True)
class Config(GridConfig):
    """How much of it is run."""

    runs: Path = Path("runs/eyes-to-hands")
    """Where cells, trainings and policies are kept while it runs."""
    results: Path = RESULTS / "eyes-to-hands"
    """Where the merged cells and the table go."""


def taught(design: Design, family: str, arm: str, seed: int) -> Taught:
    """The training of an arm."""
    own = ARMS[arm]
    asks = design.asks.get(family, ()) if own.get("answers") != "actions" else ()
    return Taught(
        arm=arm, family=family, method=design.teachers[family], seed=seed,
        iterations=design.iterations,
        settings={**design.settings, **own, **({"asks": asks} if asks else {})},
    )  # fmt: skip


def swapped(design: Design, family: str, arm: str, count: int, seed: int) -> Taught:
    """Eyes of a family where they have not been, after so many labelled pictures."""
    before = taught(design, family, BEFORE, seed)
    kept = {name: before.settings[name] for name in ("asks", "size") if name in before.settings}
    return Taught(
        arm=f"{arm}, {count} pictures", family=design.swaps[family], method=before.method, seed=seed,
        iterations=design.swap_iterations, before=before,
        settings={**design.swap_settings, **kept, **SWAPS[arm], "pictures": count},
    )  # fmt: skip


def cells(design: Design, num_seeds: int) -> list[Judged]:
    """Everything that is measured, a seed whole before the next."""
    found = []
    for seed in range(num_seeds):
        for family, method in design.teachers.items():
            arms = [taught(design, family, arm, seed) for arm in ARMS]
            found += _judged(design, family, method, seed, [None, *arms])
        for family, new in design.swaps.items():
            arms = [
                swapped(design, family, arm, count, seed)
                for count in design.pictures
                for arm in SWAPS
            ]
            before = taught(design, family, BEFORE, seed)
            found += _judged(design, new, before.method, seed, [None, before, *arms])
    return found


def _judged(
    design: Design, family: str, method: str, seed: int, eyes: Sequence[Taught | None]
) -> list[Judged]:
    judged = partial(Judged, family=family, method=method, seed=seed, protocol=design.protocol)
    return [judged(eyes=each) for each in eyes]


def main(config: Config, design: Design = DESIGN) -> int:
    """Run what is missing, then write the table of every cell that is there."""
    asked = cells(design, config.seeds)
    records, failed = run_grid(asked, config)
    rows, folder = rows_of(asked, records), config.results
    folder.mkdir(parents=True, exist_ok=True)
    table = markdown(rows, design.protocol)
    write_json(
        folder / RESULT, {"design": dataclasses.asdict(design), "rows": rows, **made_with(COMMAND)}
    )
    write_atomically(folder / TABLE, table.encode())
    print(table)
    return 1 if failed else 0


if __name__ == "__main__":
    restart_for_same_bits()
    raise SystemExit(main(tyro.cli(Config)))
