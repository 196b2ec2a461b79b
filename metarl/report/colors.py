"""One colour a method, the same in every plot."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

METHODS = {
    "scratch": "#808080",  # grey
    "finetune": "#E07B00",  # orange
    "frozentrunk": "#15925F",  # green
    "smallrate": "#8B55B7",  # purple
    "newhead": "#7A8B00",  # olive
    "lowerlayers": "#C8965A",  # sand
    "lpft": "#0E7C86",  # teal
    "layerwiserate": "#B99AE0",  # lavender
    "l2sp": "#C2185B",  # raspberry
    "lowrank": "#A0714F",  # clay
    "wiseft": "#5E7CE2",  # cornflower
    "kickstart": "#F2A65A",  # apricot
    "maml": "#1F6FD6",  # blue
    "strategyoptimization": "#6FB500",  # lime
    "residualsearch": "#E53935",  # red
    "bayesianoptimization": "#0B5D1E",  # forest
}
READABLE = 4.5  # contrast of text with what lies behind it
ALIASES = {
    "fromscratch": "scratch",
    "finetuning": "finetune",
    "frozen": "frozentrunk",
    "freeze": "frozentrunk",
    "freezetrunk": "frozentrunk",
    "smallerrate": "smallrate",
    "smalllearningrate": "smallrate",
}
# Told apart under the common colour blindnesses, and from the methods above
# (after Tol's "muted" scheme, personal.sron.nl/~pault).
OTHERS = (
    "#CC6677", "#332288", "#3FA9C9", "#999933", "#882255", "#6B4226", "#E0B000", "#D64FB0",
    "#1A1A1A",
)  # fmt: skip


def method_colors(labels: Sequence[str]) -> list[str]:
    """Choose the colours of the methods in one plot.

    A known method always has its own colour. Any other label has the colour that its name hashes
    to, so it keeps it from plot to plot; only when two labels of one plot claim the same colour
    does the later one move on to the next free colour.

    Args:
        labels: Method names; case, spaces, hyphens and underscores do not matter.
    Returns:
        One "#RRGGBB" a label; distinct while there are colours left.
    """
    taken: list[str] = []
    for label in labels:
        wishes = _wishes(label)
        taken.append(next((color for color in wishes if color not in taken), wishes[0]))
    return taken


def readable(color: str) -> str:
    """Darken a colour as little as its text on white needs to be read (WCAG 2.2 AA).

    Args:
        color: "#RRGGBB".
    """
    parts = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    while 1.05 / (luminance([part / 255.0 for part in parts]) + 0.05) < READABLE:
        parts = [int(0.98 * part) for part in parts]
    return "#" + "".join(f"{part:02X}" for part in parts)


def ink_on(rgb: Sequence[float]) -> str:
    """The colour of text that stands out more on another colour, three parts from 0 to 1."""
    light = luminance(rgb) + 0.05
    return "black" if light / 0.05 > 1.05 / light else "white"


def luminance(rgb: Sequence[float]) -> float:
    """How light a colour is, from 0 to 1, as WCAG 2.2 defines it; three parts from 0 to 1."""
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _wishes(label: str) -> list[str]:
    name = re.sub(r"[^a-z0-9]", "", label.lower())
    own = METHODS.get(ALIASES.get(name, name))
    start = zlib.crc32(name.encode()) % len(OTHERS)  # hash() differs from process to process
    cycle = [*OTHERS[start:], *OTHERS[:start]]
    return [own, *cycle] if own else cycle
