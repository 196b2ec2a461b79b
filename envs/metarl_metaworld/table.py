"""The tasks of Meta-World's benchmarks: drawn by itself, once, and kept."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metarl.errors import FamilyError
from metarl.sim.outside.interpreters import Interpreter

INTERPRETER = Interpreter(
    "metaworld", "metaworld", "3.1.1",
    more=("packaging",),  # which it needs, and does not ask for
    told="MuJoCo 3.3.0, Gymnasium, NumPy, SciPy: 370 MB when installed",
)  # fmt: skip
THERE = Path(__file__).with_name("there.py")
SEED = 42  # of what Meta-World draws: goals, and where things are
WIDTH = 7  # of `places_m`, at most
_LIMIT_S = 600.0


@dataclass(frozen=True)
class Table:
    """A benchmark's tasks, n of them.

    Args:
        skill: Which skill each is, an index into the benchmark's skills, (n,).
        test: Whether it is held out, (n,) bool.
        places_m: What Meta-World calls its ``rand_vec`` [m], zeros behind it, (n, WIDTH).
        goal_m: Where the goal is [m], (n, 3).
    """

    skill: np.ndarray
    test: np.ndarray
    places_m: np.ndarray
    goal_m: np.ndarray


@functools.cache
def tasks_of(benchmark: str, skills: tuple[str, ...]) -> Table:
    """Read a benchmark's tasks; Meta-World draws them where nobody has asked before.

    Args:
        benchmark: ``ml1:reach-v3``, ``ml10`` or ``mt10``.
        skills: Its skills.
    Raises:
        MissingDependencyError: If there is no interpreter with Meta-World.
        FamilyError: If it does not give what is expected.
    """
    name = benchmark.replace(":", "-")
    kept = INTERPRETER.folder.parent / f"tasks-{INTERPRETER.release}-{name}-{SEED}.json"
    table = None
    if kept.is_file():
        table = _read(kept.read_text(errors="replace"), skills)
    if table is None:
        said = _ask(benchmark)
        table = _read(said, skills)
        if table is None:
            raise FamilyError(f"Meta-World gave no tasks of {benchmark}: {said[:200]!r}")
        _keep(kept, said)
    return table


def _ask(benchmark: str) -> str:
    """Let Meta-World draw a benchmark's tasks."""
    command = [INTERPRETER.path(), "-I", str(THERE), benchmark, str(SEED)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_LIMIT_S, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise FamilyError(
            f"Meta-World has not drawn the tasks of {benchmark} within {_LIMIT_S:g} s, which is the"
            " limit"
        ) from error
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
        raise FamilyError(f"Meta-World does not draw the tasks of {benchmark}: {''.join(last)}")
    return done.stdout.splitlines()[-1]


def _keep(path: Path, text: str) -> None:
    """Write a file whole; where that cannot be, it is drawn again the next time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as part:
            part.write(text)
        os.replace(part.name, path)
    except OSError:
        return


def _read(text: str, skills: Sequence[str]) -> Table | None:
    """Read what Meta-World wrote; None if it is anything else."""
    try:
        rows: list[dict[str, Any]] = json.loads(text)
        places = np.zeros((len(rows), WIDTH))
        for row, values in zip(places, rows):
            row[: len(values["places_m"])] = values["places_m"]
        table = Table(
            np.array([skills.index(row["skill"]) for row in rows], np.int64),
            np.array([row["split"] == "test" for row in rows], bool),
            places,
            np.array([row["goal_m"] for row in rows], float).reshape(len(rows), 3),
        )
    except (ValueError, TypeError, KeyError):
        return None
    whole = np.isfinite(table.places_m).all() and np.isfinite(table.goal_m).all()
    return table if whole and (~table.test).any() else None
