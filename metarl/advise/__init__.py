"""Will it help? Sources and strategies for a target, ranked before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metarl.advise.advisor import advise

__all__ = ["advise"]


def __getattr__(name: str) -> Any:
    if name == "advise":  # torch takes seconds to import
        from metarl.advise.advisor import advise

        return advise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
