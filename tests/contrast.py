"""How well the texts of a page can be told from what lies behind them (WCAG 2.2, 1.4.3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_LOOK = Path(__file__).with_name("contrast.js").read_text()


def texts(driver: Any) -> list[dict[str, Any]]:
    """Every visible text: its ``words``, ``where``, ``ratio`` (None over a gradient), ``needed``, ``colours``."""
    return driver.execute_script(_LOOK)


def faint(driver: Any) -> list[str]:
    """The texts that are too faint, one line each; the page must have texts."""
    found = texts(driver)
    assert found, "a page without a text"
    return sorted(
        {
            f"{text['ratio'] and round(text['ratio'], 2)} < {text['needed']}: {text['words']!r}"
            f" in {text['where']}, {text['colours']}"
            for text in found
            if text["ratio"] is None or text["ratio"] < text["needed"]
        }
    )
