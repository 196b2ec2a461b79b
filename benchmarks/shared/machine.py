"""What every benchmark writes beside its numbers: the command and the machine."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from metarl.rounding import AVX512, VARIABLE, same_bits

RESULTS = Path(__file__).parents[1] / "results"


def provenance() -> dict[str, Any]:
    """The command, the date, the cores that it had, and the versions that made a result."""
    said = [arg if not Path(arg).is_absolute() else Path(arg).name for arg in sys.argv]
    packages = ("mujoco", "torch", "numpy", "gymnasium", "stable-baselines3")
    return {
        "command": shlex.join(["python", *said]),
        "date": time.strftime("%Y-%m-%d"),
        "cpu": processor(),
        "num_cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "numpy_simd": _simd(),
    }


def restart_for_same_bits() -> None:
    """Start this script again if it loaded NumPy before that could be asked for the same bits."""
    if not same_bits():
        os.environ[VARIABLE] = AVX512
        os.execv(sys.executable, sys.orig_argv)


def _simd() -> list[str]:
    """What of this processor NumPy's routines make use of."""
    config: Any = np.show_config  # its types know no modes
    return config(mode="dicts")["SIMD Extensions"]["found"]


def processor() -> str:
    """The name of this machine's processor, as it tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def write_result(name: str, result: dict[str, Any]) -> Path:
    """Write results/NAME.json with its provenance."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"made-by": provenance(), **result}, indent=1) + "\n")
    return path


def among_saved(name: str, field: str, rows: list[dict[str, Any]], by: str) -> list[dict[str, Any]]:
    """Say when and by what rows were made, and put them behind those of results/NAME.json that they do not replace.

    Args:
        name: Of the result.
        field: Where its rows are.
        rows: The new ones.
        by: What in a row says what it is about.
    """
    path, made = RESULTS / f"{name}.json", provenance()
    of_now = {"date": made["date"], "command": made["command"]}
    saved = json.loads(path.read_text())[field] if path.exists() else []
    again = {row[by] for row in rows}
    return [row for row in saved if row[by] not in again] + [{**row, **of_now} for row in rows]
