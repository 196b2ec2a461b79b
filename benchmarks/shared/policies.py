"""Policies that are kept: small, each with the command that made it and what it took."""

from __future__ import annotations

import re
from pathlib import Path

from metarl.benchmark.cells import train_command
from metarl.names import slug
from metarl.runs.policies import read_checkpoint
from shared.recipes import Recipe

ENVS = Path(__file__).parents[2] / "envs"


def command(family: str, how: Recipe, seed: int, out: str) -> str:
    """The `metarl train` command that does what a recipe says, from nothing."""
    return train_command(family, how.method, how.iterations, how.settings, seed, out=out)


def find_made(family: str, method: str, seed: int, words: str, folder: Path) -> Path | None:
    """Find a policy that a command has made: in a folder, or among the shipped ones.

    One of another seed or recipe is not it.
    """
    shipped = ENVS.glob(f"*/checkpoints/{short(family)}-{method}.safetensors")
    for path in (folder / kept_name(family, method, seed), *shipped):
        if path.exists() and _plain(read_checkpoint(path).meta["command"]) == _plain(words):
            return path
    return None


def _plain(words: str) -> str:
    """A command without blanks and quotes: older ones were not written for a shell."""
    return re.sub(r"[\s'\"]", "", words)


def kept_name(family: str, method: str, seed: int) -> str:
    """How the file of a kept policy is called."""
    return f"{slug(family)}-{method}-s{seed}.safetensors"


def short(family: str) -> str:
    """Its name within its package."""
    return family.split("/")[-1]
