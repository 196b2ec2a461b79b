"""What is set for the whole process: results must not depend on it, nor users read of it."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress

_DENORMAL = 1e-40  # below float32's least normal number: 0 where such are flushed


@contextmanager
def steady(num_threads: int | None = None) -> Iterator[None]:
    """Compute as a fresh process would, whatever the caller has set; also decorates a function.

    Torch's default dtype and device, gradient and inference modes, precision of products, flushing
    of tiny numbers and threads, NumPy's error state and the warnings that are errors: all are put
    back at the end, after an error too.

    Args:
        num_threads: Torch's threads meanwhile; None: as they are. Small networks gain nothing by a
            second one, and stall when the machine is busy.
    """
    import numpy as np

    with ExitStack() as stack:
        stack.enter_context(calm_warnings())
        stack.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        if num_threads is not None or "torch" in sys.modules:  # else nobody has set it
            stack.enter_context(_steady_torch(num_threads))
        yield


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Let processes that are started meanwhile have these variables in their environment."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def silence_gym() -> None:
    """Keep the retired gym, which Stable-Baselines3 tries to import, from printing its notice."""
    with suppress(ImportError):
        from gym_notices import notices

        notices.notices.clear()


@contextmanager
def calm_warnings() -> Iterator[None]:
    """Treat warnings as Python does unasked: none is an error, for libraries warn of what is fine."""
    with warnings.catch_warnings():
        calm = [rule for rule in warnings.filters if rule[0] != "error"]
        warnings.filters[:] = calm  # type: ignore[index]
        warnings._filters_mutated()  # type: ignore[attr-defined]
        yield


@contextmanager
def _steady_torch(num_threads: int | None) -> Iterator[None]:
    import torch

    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    precision = torch.get_float32_matmul_precision()
    flushes = (torch.tensor(_DENORMAL, dtype=torch.float32, device="cpu") * 1.0).item() == 0.0
    torch.set_default_dtype(torch.float32)
    torch.set_float32_matmul_precision("highest")
    torch.set_flush_denormal(False)
    if num_threads is not None:
        torch.set_num_threads(num_threads)
    cpu = torch.device("cpu")
    elsewhere = torch.get_default_device() != cpu  # as a context it slows every call
    try:
        with torch.inference_mode(False), torch.enable_grad(), cpu if elsewhere else nullcontext():
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_float32_matmul_precision(precision)
        torch.set_flush_denormal(flushes)
        torch.set_num_threads(threads)
