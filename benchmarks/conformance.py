"""Does every family, on every robot and in both controls, and every dish, pass every check?

    python benchmarks/conformance.py

The tests hold a part of these; all of them take the better part of an hour on two cores. Rows
that are written are kept, and not checked again.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import tyro
from shared.machine import RESULTS, write_result

from metarl.conformance import iter_checks
from metarl.registry import family_class, family_names, option_names, robot_names


@dataclass(frozen=True)
class Config:
    """Which families."""

    names: tuple[str, ...] = ()
    """Names with options; none: everything."""
    name: str = "conformance"
    """Name of the result file."""


def variants() -> list[str]:
    """Every family on every robot in both controls, then every dish."""
    from metarl_kitchen.dishes.recipes import DISHES

    found = []
    for name in family_names():
        if "robot" not in option_names(family_class(name)):
            found.append(name)
            continue
        for robot in robot_names():
            found += [f"{name}@robot={robot}", f"{name}@robot={robot},control=joint"]
    return found + [f"kitchen/dishes@dish={dish}" for dish in DISHES]


def check(name: str) -> dict[str, Any]:
    """Run every check on a family."""
    start_s = time.perf_counter()
    results = list(iter_checks(name))
    failed = {r.name: r.detail for r in results if r.failed}
    seconds = time.perf_counter() - start_s
    return {"family": name, "checks": len(results), "failed": failed, "seconds": round(seconds, 1)}


def main(config: Config) -> None:
    """Check what is missing, print a row each, and write results/NAME.json as they come."""
    path = RESULTS / f"{config.name}.json"
    rows = json.loads(path.read_text())["families"] if path.exists() else []
    known = {row["family"] for row in rows}
    for name in config.names or variants():
        if name in known:
            continue
        row = check(name)
        said = "; ".join(f"{what}: {why}" for what, why in row["failed"].items()) or "all pass"
        print(f"{name:<52}{row['checks']:>3} checks {row['seconds']:6.0f} s  {said}", flush=True)
        rows.append(row)
        write_result(config.name, {"families": rows})


if __name__ == "__main__":
    main(tyro.cli(Config))
