"""What this machine has for what is asked: devices and memory, before anything is tried."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from metarl.errors import ConfigError, require

_GIB = 2**30
_CGROUP = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")

# The least that a world takes: its state and bookkeeping, and what is kept of each control step
# (observation, action, reward, value, flags). Measured: 0.7 kB a world of two sliders, 3 kB a world
# of `kitchen/season`, 33 kB of `kitchen/skills`, before any step is kept.
WORLD_BYTES, STEP_BYTES = 1024, 128
_FLOAT_BYTES, _OPTIMIZED = 4, 4  # weights, gradients, and Adam's two moments


def require_device(device: str) -> None:
    """Check that networks can live on a device; torch is asked only where there is some GPU.

    Raises:
        ConfigError: If it is not ``cpu``, ``cuda`` or ``cuda:N``, or torch finds no such GPU here.
    """
    named = re.fullmatch(r"cpu|cuda(?::(0|[1-9][0-9]{0,3}))?", device)
    require(named is not None, "device", device, "cpu, cuda or cuda:N")
    if named is None or device == "cpu":
        return
    count = 0
    if may_have_gpus():
        import torch

        count = torch.cuda.device_count()
    if int(named[1] or 0) >= count:
        raise ConfigError(f"device is {device!r}; torch finds {count} GPUs here; use cpu")


def may_have_gpus() -> bool:
    """Whether a driver of NVIDIA's, WSL's or AMD's shows a device; on Linux that is a file."""
    drivers = ("nvidiactl", "nvhost-ctrl-gpu", "nvhost-ctrl", "nvmap", "dxg", "kfd")
    return sys.platform != "linux" or any(Path("/dev", name).exists() for name in drivers)


def require_memory(needed: int, what: str) -> None:
    """Refuse what cannot fit, before it is tried.

    Args:
        needed: The least that it takes [bytes].
        what: Who asks for it, for example ``"num_tasks=10000000"``.
    Raises:
        ConfigError: If this machine, or what this process may have of it, is smaller.
    """
    there = memory_bytes()
    if there is not None and needed > there:
        raise ConfigError(
            f"{what} would need at least {-(-needed // _GIB)} GiB of memory; this machine has"
            f" {there / _GIB:.1f} GiB; ask for less"
        )


def require_worlds_fit(num_worlds: int, horizon: int, what: str) -> None:
    """Refuse more worlds than fit.

    Args:
        num_worlds: How many step together.
        horizon: Control steps of an episode.
        what: As for `require_memory`.
    Raises:
        ConfigError: If they cannot fit.
    """
    require_memory(num_worlds * (WORLD_BYTES + horizon * STEP_BYTES), what)


def require_network_fits(hidden: Sequence[int], num_tasks: int = 0) -> None:
    """Refuse layers that do not fit.

    Args:
        hidden: Widths of the layers.
        num_tasks: How many tasks have their own copy of the weights.
    Raises:
        ConfigError: If they cannot fit.
    """
    weights = sum(a * b for a, b in itertools.pairwise(hidden)) + sum(hidden)
    needed = _FLOAT_BYTES * weights * (_OPTIMIZED + num_tasks)
    copies = f" for {num_tasks} tasks" if num_tasks else ""
    require_memory(needed, f"hidden={list(hidden)}{copies}")


def out_of_memory(error: BaseException) -> bool:
    """Say whether an error is that memory ran out; torch has no type of its own for the CPU's."""
    if isinstance(error, RuntimeError):
        return re.search(r"can't allocate|out of memory", str(error)) is not None
    return isinstance(error, MemoryError)


def memory_bytes() -> int | None:
    """Return how much memory this process may have [bytes]; None if nobody says."""
    limits = []
    with contextlib.suppress(AttributeError, ValueError, OSError):  # no sysconf on Windows
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in _CGROUP:  # a container's own limit
        with contextlib.suppress(OSError, ValueError):  # absent, or "max"
            limits.append(int(Path(path).read_text()))
    return min(limits) if limits else None


def num_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
