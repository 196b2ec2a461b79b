"""Why does a source harm? What its policy does in the first episodes on the target, before it learns.

    python benchmarks/harm.py --matrix runs/transfer-matrix
    python benchmarks/harm.py --matrix runs/transfer-matrix --pairs season:pour add:serve --films films

Each source's policy, carried to the target as a training would begin, meets the same tasks and starts as
an untrained policy of the same widths. What is looked at: how much is gained, how large mean actions are
and how often they leave [-1, 1] (where they are cut, and no gradient says so), how much they depend on
what is observed, how many units of the trunk are saturated, and in how many directions its features vary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from shared.machine import restart_for_same_bits, write_result

from metarl.advise.episodes import Episodes, Stage
from metarl.advise.plasticity import plasticity
from metarl.errors import ConfigError
from metarl.film.episode import film_episode
from metarl.matrix.benchmark import read_matrix
from metarl.matrix.names import short_names
from metarl.matrix.summary import LEARNING
from metarl.names import slug
from metarl.nn.policy import GaussianPolicy, network_of
from metarl.registry import make_family
from metarl.runs.config import read_json
from metarl.runs.policies import load_policy, read_checkpoint
from metarl.runs.run import MATRIX_RESULT_FILE
from metarl.sources import carry

EPISODES, SEED = 64, 77


@dataclass(frozen=True)
class Config:
    """What is looked at."""

    matrix: Path
    """The folder of a transfer matrix, with matrix.json and its sources."""
    pairs: tuple[str, ...] = ()
    """SOURCE:TARGET, by their names in the tables; none: the pairs that harm most, and those that help
    most."""
    each: int = 4
    """How many of these."""
    films: Path | None = None
    """A folder for a film of each source's first episode on its target."""
    name: str = "harm"
    """Name of the result."""


def look(policy: GaussianPolicy, episodes: Episodes) -> dict[str, float]:
    """Describe what a policy did.

    Args:
        policy: The policy.
        episodes: Its own.
    """
    t = episodes.trajectories
    return {
        "return": float(t.returns.mean()),
        "success": float(t.success.mean()),
        **plasticity(policy, episodes.states()),
        **{f"term/{name}": float(value) for name, value in t.terms.items()},
    }


def describe(folder: Path, source: str, target: str, film: Path | None) -> dict[str, Any]:
    """Let a source's policy of the first training seed, and an untrained one, meet a target."""
    start = read_matrix(folder).source(source, 0)
    family, found = make_family(target), read_checkpoint(folder / start.file)
    carried, surgery = carry(found, family, name=source)
    policy = load_policy(carried)
    generator = torch.Generator().manual_seed(SEED)
    spec = Stage(family, 1, seed=SEED, task_visible=True).worlds.spec
    untrained = GaussianPolicy(
        spec.obs_dim, spec.action_dim, spec.task_dim, generator, **network_of(found.meta["config"])
    )
    with torch.no_grad():  # the same noise for both
        policy.log_std.copy_(untrained.log_std)
    stage = Stage(family, EPISODES, seed=SEED, task_visible=True)
    looks = {
        name: look(p, stage.run(p)) for name, p in (("source", policy), ("untrained", untrained))
    }
    if film is not None:
        film_episode(stage.worlds, acting(policy), film, caption=lambda k, _: f"{source}, step {k}")
    return {"carried": list(surgery.carried), "zeroed": dict(surgery.zeroed), **looks}


def acting(policy: GaussianPolicy) -> Callable[[np.ndarray], np.ndarray]:
    """Act by a policy's mean."""

    def act(obs: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return policy(torch.from_numpy(obs))[0].clamp(-1.0, 1.0).numpy()

    return act


def choose(rows: list[dict[str, Any]], config: Config) -> list[tuple[str, str]]:
    """Choose pairs by name, or those that harm and help most by fine-tuning, exploration afresh."""
    usual = [
        row
        for row in rows
        if (row["strategy"], row["exploration"]) == ("fine-tune", "fresh")
        and row["source"] != row["target"]
    ]
    every = [(row["source"], row["target"]) for row in usual]
    if config.pairs:
        names = list(dict.fromkeys(name for pair in every for name in pair))
        long = dict(zip(short_names(names), names, strict=True))
        asked = [pair.partition(":") for pair in config.pairs]
        strange = [
            name for source, _, target in asked for name in (source, target) if name not in long
        ]
        if strange:
            raise ConfigError(
                f"--pairs names {strange[0]!r}; expected SOURCE:TARGET, valid: {', '.join(long)}"
            )
        return [(long[source], long[target]) for source, _, target in asked]
    ranked = sorted(usual, key=lambda row: row["score"])
    ends = [*ranked[: config.each], *ranked[len(ranked) - config.each :]]
    return [(row["source"], row["target"]) for row in ends]


def main(config: Config) -> None:
    """Look, and write results/NAME.json."""
    saved = read_json(config.matrix / MATRIX_RESULT_FILE)["rows"]
    rows = [row for row in saved if row["regime"] == LEARNING and row["score"] is not None]
    found = []
    for source, target in choose(rows, config):
        film = None
        if config.films is not None:
            film = config.films / f"{slug(source)}-on-{slug(target)}.mp4"
        known = [r for r in rows if (r["source"], r["target"]) == (source, target)]
        scores = {f"{r['strategy']} {r['exploration']}": r["score"] for r in known}
        one = describe(config.matrix, source, target, film)
        found.append({"source": source, "target": target, "scores": scores, **one})
        print(f"{source} -> {target}: {scores}")
        for who in ("source", "untrained"):
            print(f"  {who:10}", *(f"{name} {value:.3g}" for name, value in one[who].items()))
    print(f"wrote {write_result(config.name, {'pairs': found})}")


if __name__ == "__main__":
    restart_for_same_bits()
    main(tyro.cli(Config))
