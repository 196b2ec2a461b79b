"""mujoco-warp and warp-lang, loaded once and kept quiet."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metarl.machine import may_have_gpus

_log = logging.getLogger(__name__)
_loaded: list[tuple[Any, Any]] = []


def load() -> tuple[Any, Any]:
    """Import ``warp`` and ``mujoco_warp``; neither prints anything.

    Returns:
        Both modules.
    """
    if not _loaded:
        import warp

        warp.config.log_level = (
            warp.LOG_ERROR
        )  # else a banner, a line a kernel, and that no GPU is here
        with contextlib.nullcontext() if may_have_gpus() else _nothing_said():
            warp.init()
        import mujoco_warp

        _loaded.append((warp, mujoco_warp))
        _tell_compiling(Path(str(warp.config.kernel_cache_dir)))
    return _loaded[0]


@contextlib.contextmanager
def _nothing_said() -> Iterator[None]:
    """Keep from the terminal that there is no driver, where there is no GPU either."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _tell_compiling(cache: Path) -> None:
    if not cache.is_dir() or next(cache.iterdir(), None) is None:
        _log.warning(
            "physics 'warp' is compiled for this machine now, which takes a minute or more; later"
            " runs find it in %s",
            cache,
        )
