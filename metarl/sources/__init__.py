"""What can be started from: policies that others trained, carried to a family's interface.

What needs torch is imported when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metarl.sources.interface import carry
    from metarl.sources.read import read_source

__all__ = ["carry", "read_source"]


def __getattr__(name: str) -> Any:
    if name == "carry":
        from metarl.sources.interface import carry

        return carry
    if name == "read_source":
        from metarl.sources.read import read_source

        return read_source
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
