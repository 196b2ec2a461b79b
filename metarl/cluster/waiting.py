"""What may wait for ever gets a limit."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from metarl.errors import ConfigError


class TooLong(ConfigError):
    """Ray has not come back in time."""


def within(
    limit_s: float, do: Callable[..., Any], *, until: threading.Event | None = None, **given: Any
) -> Any:
    """Call what may wait for ever, in a thread that ends with this process.

    Args:
        limit_s: How long it may take [s].
        do: What is called.
        until: The thread stays as long: Ray's own processes end with the thread that started them.
        **given: To what is called.
    Raises:
        TooLong: If it has not come back after so long [s].
    """
    came: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def call() -> None:
        try:
            came.put((do(**given), None))
        except BaseException as error:
            came.put((None, error))
            return
        if until is not None:
            until.wait()

    threading.Thread(target=call, daemon=True).start()
    try:
        found, error = came.get(timeout=limit_s)
    except queue.Empty:
        raise TooLong(f"Ray did not answer within {limit_s:g} s") from None
    if error is not None:
        raise error
    return found
