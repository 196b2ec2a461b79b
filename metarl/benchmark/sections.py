"""What a benchmark's file may say: a dataclass for each kind of section."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Literal

from metarl.runs import fields
from metarl.types import Split

Beside = Literal["scratch", "fine-tune", "control", "ceiling"]
Metric = Literal["success", "score", "returns"]
_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileSection(fields.Checked):
    """A whole file.

    Args:
        title: Above the page; "": the file's name.
        about: What is asked, in words.
        seeds: How many trainings of each, or which seeds.
        physics: What moves the worlds of every family, one of `metarl.physics.PHYSICS`; "": as their names
            say.
        without: What is not to stand beside the arms, though every table needs it: scratch, fine-tune,
            control (fine-tune under another noise), ceiling (the task in view, no update).
        protocol: How adaptation is measured.
        families: A table each.
        arms: What meets them: names of methods and strategies, or a section for each.
    """

    title: str = ""
    about: str = ""
    seeds: Any = 3
    physics: Literal["", "mujoco", "warp"] = ""
    without: tuple[Beside, ...] = ()
    protocol: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    families: Mapping[str, Any]
    arms: Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProtocolSection(fields.Checked):
    """How adaptation is measured, as `metarl.adapt.protocol.Protocol` says it.

    Args:
        num_tasks: Held-out tasks.
        episodes: Of each task for each update.
        updates: How many.
        eval_episodes: Of each task that judge each update.
        seed: Of tasks, worlds and noise.
        split: Where the tasks come from.
    """

    num_tasks: int = fields.count(20, most=10_000)
    episodes: int = fields.count(10, most=10_000)
    updates: int = fields.count(5, most=1_000)
    eval_episodes: int = fields.count(10, most=10_000)
    seed: int = fields.seed(1000)
    split: Split = "test"


@dataclasses.dataclass(frozen=True, kw_only=True)
class FamilySection(fields.Checked):
    """A table: a family, and the policy that every arm starts from.

    Args:
        start: A checkpoint (a path from the file's folder, or the name of a shipped one), one for each
            seed, another table's name, or how it is trained.
        family: Its name; "": the section's.
        arms: Which of the arms meet it; none: all.
        seeds: Other seeds than the file's.
        metric: What is judged; None: score where it is finer than success, return where nobody succeeds.
        protocol: What is measured otherwise than elsewhere.
    """

    start: Any
    family: str = ""
    arms: tuple[str, ...] = ()
    seeds: Any = None
    metric: Metric | None = None
    protocol: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StartSection(fields.Checked):
    """How a policy is trained that arms start from.

    Args:
        method: By which.
        iterations: How long; None: the method's own number.
        settings: Fields of its config that differ from its defaults.
        start: What it goes on from: another table's name, or a checkpoint; "": nothing.
    """

    method: str
    iterations: int | None = fields.count(None, optional=True)
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    start: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArmSection(fields.Checked):
    """What meets the held-out tasks.

    Args:
        method: A method that is trained first, or a strategy; "": the section's name.
        iterations: How long it is trained; None: the method's own number.
        settings: Fields of its config that differ from its defaults; "none" where one is to be None.
        fresh: Whether it is trained from nothing, not from the family's start.
        checkpoint: A policy that is there already, or one for each seed: of a method that trains in place
            of training, of a strategy in place of the family's start.
        repeats: An arm that this one repeats under another noise: a control.
        seeds: Other seeds than the table's.
        on: What differs on single tables.
    """

    method: str = ""
    iterations: int | None = fields.count(None, optional=True)
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    fresh: bool = False
    checkpoint: Any = ()
    repeats: str = ""
    seeds: Any = None
    on: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnSection(fields.Checked):
    """What differs of an arm on one table.

    Args:
        iterations: How long it is trained there.
        settings: In addition to the arm's.
        checkpoint: One that is trained already, or one for each seed.
        seeds: Other seeds.
    """

    iterations: int | None = fields.count(None, optional=True)
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    checkpoint: Any = ()
    seeds: Any = None


def place(*keys: str) -> str:
    """Where something stands in a file: ``families."kitchen/season".start``."""
    return ".".join(key if _BARE.fullmatch(key) else f'"{key}"' for key in keys)
