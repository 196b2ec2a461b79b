"""Do shipped checkpoints still adapt to the same digits?

    python benchmarks/digits.py

Compares ten adaptations, small ones, with what `results/digits.json` holds of this processor; `--write`
puts the new ones there. Torch multiplies matrices by other routines on another make of processor, so
each has digits of its own. Run it before and after what must change no number.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

import tyro
from shared.machine import RESULTS, processor, restart_for_same_bits, write_result

from metarl.adapt.evaluate import evaluate_adaptation, settings_of
from metarl.adapt.protocol import Protocol
from metarl.registry import make_family
from metarl.runs.checkpoint import load_checkpoint
from metarl.runs.shipped import shipped

PROTOCOL = Protocol(num_tasks=3, episodes=4, updates=2, eval_episodes=2)
DISH = {"context_std": 0.5, "log_std": -2.5}
# Family, checkpoint, method and its settings.
CASES: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("kitchen/season", "season-pearl", "pearl", {}),
    ("kitchen/season", "season-maml", "maml", {}),
    ("kitchen/heat", "heat-ppo", "fine-tune", {}),
    ("kitchen/heat", "heat-ppo", "frozen-trunk-dagger", {}),
    ("kitchen/add", "add-dagger", "strategy-optimization", {}),
    ("kitchen/skills", "skills-dagger", "residual-search", {}),
    ("kitchen/dishes@dish=tomato-egg-soup", "dishes-dagger", "untrained-inner-loop", DISH),
    ("classic/cheetah-velocity", "cheetah-velocity-pearl", "pearl", {}),
    ("classic/point-navigation", "point-navigation-ppo", "scratch", {}),
    ("classic/cheetah-direction", "cheetah-direction-maml", "maml", {}),
)


@dataclass(frozen=True)
class Config:
    """What to do with the digits."""

    write: bool = False
    """keep the new ones"""


def measure(family: str, checkpoint: str, method: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Adapt once; every number of every task after every update."""
    found = load_checkpoint(shipped(family, checkpoint))
    how = settings_of(method, settings)
    result = evaluate_adaptation(make_family(family), method, found, PROTOCOL, settings=how)
    numbers = {name: getattr(result, name).tolist() for name in ("success", "score", "returns")}
    said = {"family": family, "checkpoint": checkpoint, "method": method, "settings": settings}
    return {**said, **numbers, "steps": result.steps}


def main(config: Config) -> int:
    """Measure every case, and compare or keep."""
    rows = [measure(*case) for case in CASES]
    known = json.loads((RESULTS / "digits.json").read_text())["processors"]
    if config.write:
        print(f"wrote {write_result('digits', {'processors': known | {processor(): rows}})}")
        return 0
    if processor() not in known:
        print(
            f"no digits of {processor()} are kept, only of {', '.join(known)}; --write keeps them"
        )
        return 1
    for row, before in zip(rows, known[processor()], strict=True):
        words = (
            "same" if row == before else f"OTHER ({before['of']}'s)" if "of" in before else "OTHER"
        )
        print(f"{words:5} {row['family']}, {row['checkpoint']} by {row['method']}")
    return int(any(r != b for r, b in zip(rows, known[processor()]) if "of" not in b))


if __name__ == "__main__":
    restart_for_same_bits()
    sys.exit(main(tyro.cli(Config)))
