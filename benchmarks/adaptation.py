"""How well does each method adapt to held-out tasks whose goals and constants are hidden?

    python benchmarks/adaptation.py

One cell is a family and a training seed: PPO (or imitation, where PPO finds no way) trains a
policy that sees its task, MAML goes on from it with the task hidden, and every method then
adapts to the same held-out tasks on the same budget. Finished cells are kept as JSON and not
run again; budgets are iterations, so a cell does not depend on the machine's speed.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from machine import RESULTS, provenance, write_result

from metarl.checkpoint import save_checkpoint
from metarl.evaluate import (
    BASELINES,
    AdaptationResult,
    Protocol,
    evaluate_adaptation,
    measure_ceiling,
    summarise,
)
from metarl.meta.config import MamlConfig
from metarl.policies import read_checkpoint
from metarl.registry import make_family, slug
from metarl.report import Curve, curves_png
from metarl.statistics import estimate
from metarl.training import train

# Which method trains the policy that the others start from, and for how many iterations of
# one episode in each of 512 worlds.
PRETRAINING = {
    "kitchen/season": ("ppo", 70),
    "kitchen/heat": ("ppo", 70),
    "kitchen/add": ("dagger", 25),
}
# Fields of MAML's config that differ from its defaults, chosen on train tasks.
SETTINGS: dict[str, dict[str, Any]] = {
    "kitchen/heat": {"weigh_tasks": True},
    # Only the end of an episode tells where the pan was, and a short-sighted outer loss unlearns
    # to let the food go.
    "kitchen/add": {
        "context_std": 0.5,
        "context_decay": 0.7,
        "log_std": -2.0,
        "outer_gamma": 0.98,
        "outer_rate": 3e-4,
    },
}


@dataclass(frozen=True)
class Config:
    """Which cells, and how much training each has."""

    families: tuple[str, ...] = tuple(PRETRAINING)
    """The families."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds."""
    maml_iterations: int = 60
    """Meta-iterations, six collections of 20 tasks x 10 episodes."""
    num_tasks: int = 20
    """Held-out tasks."""
    updates: int = 5
    """Updates of adaptation."""
    folder: Path = RESULTS / "adaptation"
    """Where finished cells are kept."""
    runs: Path = Path("runs/adaptation")
    """Where the runs are kept."""
    ship: Path | None = None
    """Copy the first seed's checkpoints into this folder."""
    name: str = "adaptation"
    """Name of the result file and picture."""


def run_cell(family: str, seed: int, config: Config) -> dict[str, Any]:
    """Train and evaluate one cell."""
    cell_name = f"{slug(family)}-s{seed}"
    start = time.perf_counter()
    first, iterations = PRETRAINING[family]
    runs, settings = config.runs / cell_name, SETTINGS.get(family, {})
    pretrained = train(
        family, first, seed=seed, iterations=iterations, out=Path(f"{runs}-{first}"), resume=True
    )
    meta_trained = train(
        family, "maml", seed=seed, iterations=config.maml_iterations, start=pretrained,
        out=Path(f"{runs}-maml"), resume=True, **settings,
    )  # fmt: skip
    paths = {first: pretrained, "maml": meta_trained}
    found = {method: read_checkpoint(path) for method, path in paths.items()}
    protocol = Protocol(
        num_tasks=config.num_tasks, updates=config.updates, untrained=MamlConfig(**settings)
    )
    task_family = make_family(family)
    results = {}
    for method in (*BASELINES, "maml"):
        checkpoint = found["maml" if method == "maml" else first]
        results[method] = evaluate_adaptation(task_family, method, checkpoint, protocol).to_json()
        print(f"{cell_name} {AdaptationResult.from_json(results[method])}", flush=True)
    levels = {
        name: measure_ceiling(task_family, found[first], protocol, task_visible=visible).tolist()
        for name, visible in (("blind", False), ("ceiling", True))
    }
    return {
        "made-by": provenance(),
        "family": family,
        "seed": seed,
        "protocol": asdict(protocol),
        "training": {
            m: {"steps": c.meta["steps"], "seconds": c.meta["seconds"], "config": c.meta["config"]}
            for m, c in found.items()
        },
        "results": results,
        "levels": levels,
        "checkpoints": {m: str(p) for m, p in paths.items()},
        "wall_s": time.perf_counter() - start,
    }


def cell(family: str, seed: int, config: Config) -> dict[str, Any]:
    """Read a finished cell, or run it and keep it."""
    path = config.folder / f"{slug(family)}-s{seed}.json"
    if path.exists():
        return json.loads(path.read_text())
    config.folder.mkdir(parents=True, exist_ok=True)
    done = run_cell(family, seed, config)
    path.write_text(json.dumps(done, indent=1) + "\n")
    print(f"wrote {path} after {done['wall_s']:.0f} s", flush=True)
    if config.ship is not None and seed == config.seeds[0]:
        ship(family, done, config.ship)
    return done


def ship(family: str, done: dict[str, Any], folder: Path) -> None:
    """Keep the cell's networks, small, with the commands and the result that made them."""
    folder.mkdir(parents=True, exist_ok=True)
    short = family.split("/")[-1]
    for method, source in done["checkpoints"].items():
        found = read_checkpoint(Path(source))
        kept = ("policy.", "rates.")
        tensors = {n: t for n, t in found.tensors.items() if n.startswith(kept)}
        meta = {n: v for n, v in found.meta.items() if n != "state"}
        iterations = meta["config"]["iterations"]
        command = f"metarl train {family} --method {method} --seed {done['seed']}"
        command += f" --iterations {iterations} --out runs/{short}-{method}"
        if method == "maml":
            command += f" --from runs/{short}-{PRETRAINING[family][0]}"
            if settings := SETTINGS.get(family):
                command += " --set " + " ".join(f"{k}={json.dumps(v)}" for k, v in settings.items())
        result = done["results"]["maml" if method == "maml" else "fine-tune"]
        meta |= {
            "command": command,
            "made-by": done["made-by"],
            "success-after-each-update": np.mean(result["success"], axis=1).tolist(),
        }
        save_checkpoint(folder / f"{short}-{method}.safetensors", tensors, meta)


def table(family: str, cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and IQM of success over seeds and tasks, after each update."""
    rng = np.random.default_rng(0)
    rows = []
    for method in (*BASELINES, "maml"):
        results = [AdaptationResult.from_json(c["results"][method]) for c in cells]
        estimates = summarise(results, rng)
        rows.append(
            {
                "family": family,
                "method": method,
                "success": [asdict(e) for e in estimates],
                "steps": results[0].steps,
                "seconds": float(np.mean([r.seconds for r in results])),
            }
        )
    for level in ("blind", "ceiling"):
        scores = np.array([c["levels"][level] for c in cells])
        rows.append({"family": family, "method": level, "success": [asdict(estimate(scores, rng))]})
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """Print success in percent after 0, 1, 3 and 5 updates."""
    for row in rows:
        found = row["success"]
        picks = [u for u in (0, 1, 3, 5) if u < len(found)]
        cells = "  ".join(
            f"{u}: {100 * found[u]['mean']:.0f} [{100 * found[u]['mean_low']:.0f},"
            f" {100 * found[u]['mean_high']:.0f}] iqm {100 * found[u]['iqm']:.0f}"
            for u in picks
        )
        print(f"{row['family']:<16}{row['method']:<22}{cells}")


def draw(family: str, rows: list[dict[str, Any]], config: Config) -> None:
    """Write the family's curves beside the result."""
    curves = []
    for row in rows:
        if len(row["success"]) == 1:
            continue
        mean, low, high = (
            np.array([e[k] for e in row["success"]]) for k in ("mean", "mean_low", "mean_high")
        )
        curves.append(Curve(row["method"], np.arange(len(mean)), mean, low, high))
    png = curves_png(
        curves,
        title=f"{family}: held-out tasks, {len(config.seeds)} seeds",
        xlabel="updates of 10 episodes",
        ylabel="success",
        ylim=(0, 1),
    )
    (RESULTS / f"{config.name}-{family.split('/')[-1]}.png").write_bytes(png)


def main(config: Config) -> None:
    """Run what is missing, then write the table, the curves and the JSON."""
    rows = []
    for family in config.families:
        cells = [cell(family, seed, config) for seed in config.seeds]
        mine = table(family, cells)
        show(mine)
        draw(family, mine, config)
        rows += mine
    print(f"wrote {write_result(config.name, {'rows': rows})}")


if __name__ == "__main__":
    main(tyro.cli(Config))
