"""mujoco-warp and warp-lang, loaded once and kept quiet."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)
_loaded: list[tuple[Any, Any]] = []


def load() -> tuple[Any, Any]:
    """Import ``warp`` and ``mujoco_warp``; neither prints anything.

    Returns:
        Both modules.
    """
    if not _loaded:
        import warp

        warp.config.log_level = warp.LOG_ERROR  # else a banner, a line a kernel, and that no GPU is here
        warp.init()
        import mujoco_warp

        _loaded.append((warp, mujoco_warp))
        _tell_compiling(Path(str(warp.config.kernel_cache_dir)))
    return _loaded[0]


def _tell_compiling(cache: Path) -> None:
    if not cache.is_dir() or next(cache.iterdir(), None) is None:
        _log.warning(
            "physics 'warp' is compiled for this machine now, which takes a minute or more; later"
            " runs find it in %s",
            cache,
        )
