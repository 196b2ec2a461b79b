"""Policies that are kept: small, each with the command that made it and what it took."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from metarl.registry import slug
from metarl.runs.checkpoint import save_checkpoint
from metarl.runs.policies import read_checkpoint
from shared.recipes import Recipe

ENVS = Path(__file__).parents[2] / "envs"
# Tensors of a checkpoint that is kept.
KEPT = ("policy.", "rates.", "encoder.", "memory.", "critic.", "eyes.")


def command(family: str, how: Recipe, seed: int, out: str, start: str | None = None) -> str:
    """The `metarl train` command that does what a recipe says."""
    words = f"metarl train {family} --method {how.method} --seed {seed}"
    words += f" --iterations {how.iterations} --out {out}"
    if start is not None:
        words += f" --from {start}"
    if how.settings:
        words += " --set " + " ".join(f"{k}={json.dumps(v)}" for k, v in how.settings.items())
    return words


def cost(path: Path) -> dict[str, Any]:
    """What training a checkpoint took, and its config."""
    meta = read_checkpoint(path).meta
    return {name: meta[name] for name in ("method", "steps", "seconds", "config")}


def keep(source: Path, target: Path, said: dict[str, Any]) -> None:
    """Copy what a checkpoint's networks need, with what is said of them."""
    target.parent.mkdir(parents=True, exist_ok=True)
    found = read_checkpoint(source)
    tensors = {n: t for n, t in found.tensors.items() if n.startswith(KEPT)}
    meta = {n: v for n, v in found.meta.items() if n != "state"}
    meta["made-with"] = {k: v for k, v in meta["made-with"].items() if k != "command"}
    save_checkpoint(target, tensors, meta | said)


def find_made(family: str, method: str, seed: int, words: str, folder: Path) -> Path | None:
    """Find a policy that a command has made: in a folder, or among the shipped ones.

    One of another seed or recipe is not it.
    """
    shipped = ENVS.glob(f"*/checkpoints/{short(family)}-{method}.safetensors")
    for path in (folder / kept_name(family, method, seed), *shipped):
        if path.exists() and read_checkpoint(path).meta["command"] == words:
            return path
    return None


def kept_name(family: str, method: str, seed: int) -> str:
    """How the file of a kept policy is called."""
    return f"{slug(family)}-{method}-s{seed}.safetensors"


def short(family: str) -> str:
    """Its name within its package."""
    return family.split("/")[-1]
