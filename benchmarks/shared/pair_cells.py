"""The further cells of unseen pairs: the nearest trained pair, and what the cores say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metarl.adapt.protocol import Protocol
from metarl.advise.episodes import Stage
from metarl.grid.cell import Cell
from metarl.matrix.cells import rounded
from metarl.registry import make_family
from metarl.runs import fields
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.policies import load_policy, read_checkpoint
from metarl.runs.several import of_family
from metarl.sim.worlds import Worlds
from metarl.sources import carry
from shared.learned import Learned, rate

FEATURES_SEED = 77  # of the episodes from which features are taken
_STATES = 24  # of each pair
_TO_COMMAND = 6  # three layers and their activations: a plain policy's, up to what its core says


@dataclass(frozen=True, kw_only=True)
class Nearest(Cell):
    """What trained pairs' policies do with another robot, to whose columns and actions they are carried.

    Columns of observations go along by their names. Joint k is joint k, in the order from the base; the
    gripper is the gripper; a joint that the other robot lacks hardly moves.

    Args:
        start: The training.
        pairs: The trained pair's family, and the family on which it is run.
        protocol: Which tasks, and how many episodes.
    """

    start: Learned
    pairs: tuple[tuple[str, str], ...]
    protocol: Protocol

    @property
    def key(self) -> str:
        """Its name."""
        return f"nearest.{self.start.name}"

    def needs(self) -> tuple[Cell, ...]:
        """The training."""
        return (self.start,)

    def run(self, folder: Path) -> Mapping[str, Any]:
        """Give the success of every source on every target, by target and source."""
        found = read_checkpoint(folder / self.start.file)
        success = dict[str, dict[str, float]]()
        for source, target in self.pairs:
            policy, family = of_family(found, make_family(source)), make_family(target)
            mapping = same_joints(policy, Worlds(family, 1).spec.action_dim)
            carried, _ = carry(policy, family, mapping, name=source)
            success.setdefault(target, {})[source] = rate(target, carried, self.protocol)
        return {"success": success}


def same_joints(policy: Checkpoint, num_actions: int) -> tuple[str, ...]:
    """Map actions, of which the last is the gripper's, as `metarl.sources.carry` takes it.

    Args:
        policy: The source.
        num_actions: Of the robot that is to act.
    """
    there = policy.meta["action_dim"]
    both = min(there, num_actions) - 1
    gripper = f"action[{num_actions - 1}]=action[{there - 1}]"
    return (f"action[0:{both}]=action[0:{both}]", gripper)


@dataclass(frozen=True, kw_only=True)
class Features(Cell):
    """What cores tell decoders, in the states into which each pair's policy gets.

    Args:
        start: The training.
        pairs: Robot, skill and family of each.
        num_episodes: Of each.
    """

    start: Learned
    pairs: tuple[tuple[str, str, str], ...]
    num_episodes: int = fields.count(8)

    @property
    def key(self) -> str:
        """Its name."""
        return f"features.{self.start.name}"

    def needs(self) -> tuple[Cell, ...]:
        """The training."""
        return (self.start,)

    def run(self, folder: Path) -> Mapping[str, Any]:
        """Give their two first principal components, and how much robots and skills explain."""
        found = read_checkpoint(folder / self.start.file)
        rows, robots, skills = [], list[str](), list[str]()
        for robot, skill, family in self.pairs:
            told = _told(found, family, self.num_episodes)
            rows.append(told)
            robots += [robot] * len(told)
            skills += [skill] * len(told)
        whole = np.concatenate(rows)
        centred = whole - whole.mean(0)
        _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
        return {
            "points": rounded((centred @ axes[:2].T).tolist()),
            "robots": robots,
            "skills": skills,
            "variance": rounded((sizes**2 / (sizes**2).sum()).tolist()[:2]),
            "explained": {"robot": explained(whole, robots), "skill": explained(whole, skills)},
        }


def explained(rows: np.ndarray, labels: Sequence[str]) -> float:
    """Compute the share of the variance that lies between the means of groups (eta squared).

    Args:
        rows: Features, shape (M, F).
        labels: The group of each row, (M,).
    """
    names, centre = np.asarray(labels), rows.mean(0)
    between = sum(
        (names == name).sum() * ((rows[names == name].mean(0) - centre) ** 2).sum()
        for name in dict.fromkeys(labels)
    )
    return float(between / max(((rows - centre) ** 2).sum(), 1e-12))


@torch.no_grad()
def _told(found: Checkpoint, name: str, num_episodes: int) -> np.ndarray:
    """The core's command in states spread over a pair's episodes, shape (M, command)."""
    family = make_family(name)
    policy: Any = load_policy(of_family(found, family))
    stage = Stage(family, num_episodes, seed=FEATURES_SEED, task_visible=True)
    states = stage.run(policy, greedy=True).states()
    chosen = states[np.linspace(0, len(states) - 1, min(_STATES, len(states))).astype(int)]
    told = policy.trunk.layers[:_TO_COMMAND](torch.from_numpy(chosen.astype(np.float32)))
    return told[:, : found.meta["config"]["command"]].numpy().astype(float)
