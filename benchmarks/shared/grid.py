"""The cells of the adaptation grid: train, adapt, keep as JSON, never run twice."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metarl.adapt.evaluate import evaluate_adaptation, measure_ceiling, settings_of
from metarl.adapt.protocol import Protocol
from metarl.adapt.results import AdaptationResult
from metarl.learn.train import train
from metarl.methods import get_method
from metarl.registry import make_family, slug
from metarl.runs.checkpoint import save_checkpoint
from metarl.runs.policies import read_checkpoint
from shared.machine import provenance
from shared.recipes import (
    ALONE,
    EPISODES,
    LEVELS,
    PRETRAINING,
    PROTOCOLS,
    Recipe,
    adapting,
    recipe,
)

ENVS = Path(__file__).parents[2] / "envs"
KEPT = (
    "policy.",
    "rates.",
    "encoder.",
    "memory.",
    "critic.",
)  # tensors of a checkpoint that is shipped


@dataclass(frozen=True)
class Grid:
    """Where cells and runs are, and how adaptation is measured.

    Args:
        folder: Of finished cells.
        runs: Of training runs.
        pretrained: Of the policies that methods start from: small, kept with the cells.
        num_tasks: K held-out tasks.
        updates: U.
        ship: Copy the networks of the cells that are run into this folder; None: nowhere.
    """

    folder: Path
    runs: Path
    pretrained: Path
    num_tasks: int = 20
    updates: int = 10
    ship: Path | None = None

    def cell(self, family: str, method: str, seed: int) -> dict[str, Any]:
        """Read a finished cell, or run it and keep it."""
        path = self.path(family, method, seed)
        if path.exists():
            return json.loads(path.read_text())
        self.folder.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        alone = method in ALONE or get_method(method).training is None
        if alone:
            done = self._pretrained_alone(family, method, seed)
        else:
            done = self._own(family, method, seed)
        done = {"made-by": provenance(), "family": family, "method": method, "seed": seed} | done
        done["wall_s"] = time.perf_counter() - start
        path.write_text(json.dumps(done, indent=1) + "\n")
        print(f"wrote {path} after {done['wall_s']:.0f} s", flush=True)
        if self.ship is not None and (method == LEVELS or not alone):
            ship(done, self.ship)
        return done

    def path(self, family: str, method: str, seed: int) -> Path:
        """Where a cell is kept."""
        return self.folder / f"{slug(family)}-{method}-s{seed}.json"

    def protocol(self, family: str, method: str) -> Protocol:
        """How adaptation is measured on a family."""
        own = dict(PROTOCOLS.get(family, {}))
        if method in EPISODES:
            own["episodes"] = EPISODES[method]
        return Protocol(num_tasks=self.num_tasks, updates=self.updates, **own)

    def _train(self, family: str, how: Recipe, seed: int, start: Path | None = None) -> Path:
        return train(
            family, how.method, seed=seed, iterations=how.iterations, start=start, resume=True,
            out=self.runs / _run(family, how, seed), **how.settings,
        )  # fmt: skip

    def _pretrained(self, family: str, seed: int) -> dict[str, Path]:
        """Find the policy that every method starts from, or train it; last, behind its starts."""
        how = PRETRAINING[family]
        before = {} if how.start is None else self._pretrained(how.start, seed)
        name, words = _run(family, how, seed), _pretraining(family, seed)
        kept = self.pretrained / f"{name}.safetensors"
        for path in (kept, *ENVS.glob(f"*/checkpoints/{_short(family)}-{how.method}.safetensors")):
            # One that another seed or recipe made is not this one.
            if path.exists() and read_checkpoint(path).meta["command"] == words:
                return before | {name: path}
        made = self._train(family, how, seed, [*before.values()][-1] if before else None)
        keep(made, kept, {"command": words, "made-by": provenance()})
        return before | {name: kept}

    def _own(self, family: str, method: str, seed: int) -> dict[str, Any]:
        """What a method reaches that goes on from the pretrained policy."""
        pretrained = self._pretrained(family, seed)
        start = [*pretrained.values()][-1]
        trained = self._train(family, recipe(family, method), seed, start=start)
        protocol = self.protocol(family, method)
        result = evaluate_adaptation(
            make_family(family), method, read_checkpoint(trained), protocol
        )
        print(f"{slug(family)}-s{seed} {result}", flush=True)
        return {
            "protocol": asdict(protocol),
            "settings": {method: adapting(family, method, method)},
            "training": {
                **{name: cost(path) for name, path in pretrained.items()},
                _run(family, recipe(family, method), seed): cost(trained),
            },
            "results": {method: result.to_json()},
            "checkpoints": {method: os.path.relpath(trained)},
        }

    def _pretrained_alone(self, family: str, method: str, seed: int) -> dict[str, Any]:
        """What the pretrained policy reaches that no method taught to adapt."""
        pretrained = self._pretrained(family, seed)
        start = [*pretrained.values()][-1]
        found, task_family = read_checkpoint(start), make_family(family)
        protocol = self.protocol(family, method)
        results = {}
        names = ALONE.get(method, (method,))  # a cell's, or one strategy by its name
        settings = {name: adapting(family, method, name) for name in names}
        for name, own in settings.items():
            result = evaluate_adaptation(
                task_family, name, found, protocol, settings=settings_of(name, own)
            )
            print(f"{slug(family)}-s{seed} {result}", flush=True)
            results[name] = result.to_json()
        levels = {}
        for name, visible in (("blind", False), ("ceiling", True)) if method == LEVELS else ():
            outcome = measure_ceiling(task_family, found, protocol, task_visible=visible)
            levels[name] = {k: v.tolist() for k, v in outcome._asdict().items()}
        return {
            "protocol": asdict(protocol),
            "settings": settings,
            "training": {name: cost(path) for name, path in pretrained.items()},
            "results": results,
            **({"levels": levels} if levels else {}),
            "checkpoints": {PRETRAINING[family].method: os.path.relpath(start)},
        }


def cost(path: Path) -> dict[str, Any]:
    """What training a checkpoint took, and its config."""
    meta = read_checkpoint(path).meta
    return {name: meta[name] for name in ("method", "steps", "seconds", "config")}


def ship(cell: dict[str, Any], folder: Path) -> None:
    """Keep a cell's networks, small, with the command and the result that made them."""
    family, seed = cell["family"], cell["seed"]
    short = _short(family)
    first = PRETRAINING[family].method
    for method, source in cell["checkpoints"].items():
        if method == first:
            words = _pretraining(family, seed)
        else:
            how = recipe(family, method)
            words = command(family, how, seed, f"runs/{short}-{method}", f"runs/{short}-{first}")
        result = cell["results"].get(method) or cell["results"]["fine-tune"]
        said = {
            "command": words,
            "made-by": cell["made-by"],
            "success-after-each-update": np.mean(result["success"], axis=1).tolist(),
        }
        keep(Path(source), folder / f"{short}-{method}.safetensors", said)


def command(family: str, how: Recipe, seed: int, out: str, start: str | None = None) -> str:
    """The `metarl train` command that does what a recipe says."""
    words = f"metarl train {family} --method {how.method} --seed {seed}"
    words += f" --iterations {how.iterations} --out {out}"
    if start is not None:
        words += f" --from {start}"
    if how.settings:
        words += " --set " + " ".join(f"{k}={json.dumps(v)}" for k, v in how.settings.items())
    return words


def _run(family: str, how: Recipe, seed: int) -> str:
    """Name of a run's folder."""
    return f"{slug(family)}-{how.method}-s{seed}"


def _short(family: str) -> str:
    """Its name within its package."""
    return family.split("/")[-1]


def _pretraining(family: str, seed: int) -> str:
    """The command that trains the policy that every method starts from."""
    how = PRETRAINING[family]
    start = how.start and f"runs/{_short(how.start)}-{PRETRAINING[how.start].method}"
    return command(family, how, seed, f"runs/{_short(family)}-{how.method}", start)


def keep(source: Path, target: Path, said: dict[str, Any]) -> None:
    """Copy what a checkpoint's networks need, with what is said of them."""
    target.parent.mkdir(parents=True, exist_ok=True)
    found = read_checkpoint(source)
    tensors = {n: t for n, t in found.tensors.items() if n.startswith(KEPT)}
    meta = {n: v for n, v in found.meta.items() if n != "state"}
    meta["made-with"] = {k: v for k, v in meta["made-with"].items() if k != "command"}
    save_checkpoint(target, tensors, meta | said)


def results_by_name(cells: Sequence[dict[str, Any]]) -> dict[str, list[AdaptationResult]]:
    """Gather the results of several seeds under the name of what adapted."""
    found: dict[str, list[AdaptationResult]] = {}
    for cell in cells:
        for name, saved in cell["results"].items():
            found.setdefault(name, []).append(AdaptationResult.from_json(saved))
    return found
