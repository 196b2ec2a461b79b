"""`metarl` as a user runs it: a new process, its streams and its exit status; or the same in this one."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import inline
import torch

from metarl import cli
from metarl.grid import processes
from metarl.nn.policy import GaussianPolicy
from metarl.runs.checkpoint import save_checkpoint

HERE = Path(__file__).parent  # toy.py is here: toy:toy/reach finds it in the working folder
TOY = "toy:toy/reach"


def metarl(
    *words: object,
    cwd: Path = HERE,
    timeout: float = 120,
    more: dict[str, str] | None = None,
    **how: Any,
) -> subprocess.CompletedProcess[str]:
    """Run a command without a display.

    Args:
        words: What follows the program's name.
        cwd: Where.
        timeout: How long it may take [s].
        more: Further environment variables.
        how: Further arguments of `subprocess.run`.
    """
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, "-m", "metarl", *map(str, words)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | how
    return subprocess.run(command, cwd=cwd, env=env | (more or {}), timeout=timeout, **streams)


def here(*words: object, cwd: Path = HERE) -> subprocess.CompletedProcess[str]:
    """Run a command in this process, its cells too: what it needs is imported already.

    Args:
        words: What follows the program's name.
        cwd: Where.
    """
    given, out, err = [*map(str, words)], io.StringIO(), io.StringIO()
    screens = {"DISPLAY": "", "WAYLAND_DISPLAY": ""}
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(cwd))
        stack.enter_context(mock.patch.dict(os.environ, screens))
        stack.enter_context(mock.patch.object(sys, "path", [*sys.path]))
        stack.enter_context(mock.patch.object(sys, "argv", ["metarl", *given]))
        cells = mock.patch.object(processes, "LocalProcesses", return_value=inline.Inline())
        stack.enter_context(cells)
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        try:
            status = cli.main(given)
        except SystemExit as left:
            status = left.code
    return subprocess.CompletedProcess(given, status, out.getvalue(), err.getvalue())


def policy_file(path: Path, robot: int = 4, **changes: object) -> Path:
    policy = GaussianPolicy(robot + 2, 2, 2, torch.Generator().manual_seed(0), hidden=(8,))
    tensors = {f"policy.{name}": value for name, value in policy.state_dict().items()}
    meta = {
        "family": "toy/reach",
        "blocks": {"robot": robot, "task": 2},
        "action_dim": 2,
        "config": {"hidden": [8], "task_visible": True},
    }
    save_checkpoint(path, tensors, meta | changes)
    return path
