"""The global generators that Stable-Baselines3 draws from, lent to one run at a time."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from metarl.errors import CheckpointError


@contextlib.contextmanager
def lend(state: dict[str, Any]) -> Iterator[None]:
    """Lend the global generators, which SB3 draws from, to one run; give them back after."""
    outside, of_python = read_random_state(), random.getstate()
    try:
        _write_random_state(state)
        yield
    finally:
        state.update(read_random_state())
        _write_random_state(outside)
        random.setstate(of_python)  # SB3 seeds it and draws nothing from it


def check_random_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """Try a saved state on the generators, which are as before afterwards.

    Returns:
        A copy that `lend` takes.
    Raises:
        CheckpointError: If it is no state of these generators.
    """
    copy = dict(state)
    try:
        with lend(copy):
            pass
    except (RuntimeError, TypeError, ValueError, KeyError, IndexError) as error:
        raise CheckpointError(f"this is no state of random generators: {error}") from error
    return copy


def read_random_state() -> dict[str, Any]:
    """Copy the state of the global generators of torch (CPU) and NumPy."""
    name, keys, pos, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    return {
        "torch": torch.get_rng_state(),
        "numpy": (name, np.asarray(keys), int(pos), int(has_gauss), float(gauss)),
    }


def _write_random_state(state: Mapping[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    np.random.set_state(tuple(state["numpy"]))  # noqa: NPY002
