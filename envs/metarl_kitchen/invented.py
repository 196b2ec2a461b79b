"""Ingredients that nobody has seen: drawn by rules from a seed, for learning from a few pictures.

The pantry has eight ingredients, too few to learn on some and be judged on others, five at once.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from metarl.perception.pictures import register_scene
from metarl_kitchen.ingredients import Ingredients
from metarl_kitchen.pantry import Part, Rgb, Tint, Ware

NUM_INVENTED = 80
BROWN = np.array((0.62, 0.36, 0.12))  # what golden tends to
REACH_M = 0.085  # how far from its middle an ingredient reaches, at most

Places = list[
    tuple[float, float, float]
]  # x and y [m], and a rotation about the vertical [degrees]


@register_scene("kitchen/invented-ingredients")
class InventedIngredients(Ingredients):
    """One invented ingredient in a pan on a counter; everything else as with the pantry's."""

    classes: ClassVar[tuple[str, ...]] = tuple(f"invented-{i:02d}" for i in range(NUM_INVENTED))

    def stock(self) -> tuple[dict[str, list[Part]], dict[str, Ware]]:
        """What there is, as parts, and what it weighs and costs, each by name."""
        parts, wares = dict[str, list[Part]](), dict[str, Ware]()
        for i, name in enumerate(self.classes):
            rng = np.random.default_rng(i)
            parts[name] = invent(rng)
            euro = float(np.exp(rng.uniform(np.log(1.0), np.log(30.0))))
            wares[name] = Ware(float(rng.uniform(40.0, 160.0)), euro)
        return parts, wares


def invent(rng: np.random.Generator) -> list[Part]:
    """Invent an ingredient: pieces of one form and two colours, laid out by one rule.

    Args:
        rng: Decides everything about it.
    Returns:
        Its geoms, as of the pantry's.
    """
    form = FORMS[rng.integers(len(FORMS))]
    layout = LAYOUTS[rng.integers(len(LAYOUTS))]
    count = int(rng.integers(1, 7))
    places = layout(count, rng)
    spread = max(float(np.hypot(x, y)) for x, y, _ in places)
    size = float(rng.uniform(0.8, 1.0)) * min(REACH_M - spread, 0.05)
    return form(places, size, invent_tint(rng), invent_tint(rng), rng)


def invent_tint(rng: np.random.Generator) -> Tint:
    """Invent the colours of one material: any when raw, browner when golden, near black when burnt."""
    hue, saturation, value = rng.uniform((0.0, 0.1, 0.45), (1.0, 0.95, 1.0))
    raw = np.array(colorsys.hsv_to_rgb(hue, saturation, value))
    return Tint(
        _rgb(raw), _rgb(0.5 * raw + 0.5 * BROWN * value), _rgb(0.03 + 0.1 * raw + 0.05 * BROWN)
    )


def _rgb(colour: np.ndarray) -> Rgb:
    red, green, blue = colour.tolist()
    return red, green, blue


# Where the pieces lie ---------------------------------------------------------------------


def ring(count: int, rng: np.random.Generator) -> Places:
    """Around the middle, each turned outwards."""
    radius = 0.0 if count == 1 else rng.uniform(0.035, 0.055)
    angles = 2.0 * np.pi * np.arange(count) / count
    return [(radius * np.cos(a), radius * np.sin(a), float(np.degrees(a))) for a in angles]


def row(count: int, rng: np.random.Generator) -> Places:
    """Beside each other, all turned alike."""
    turn = float(rng.uniform(0.0, 180.0))
    reach = 0.0 if count == 1 else 0.055
    return [(float(x), 0.0, turn) for x in np.linspace(-reach, reach, count)]


def heap(count: int, rng: np.random.Generator) -> Places:
    """Anywhere, anyhow; always the same way for one ingredient."""
    radius, angle = 0.055 * np.sqrt(rng.uniform(0.0, 1.0, count)), rng.uniform(-np.pi, np.pi, count)
    turn = rng.uniform(-180.0, 180.0, count)
    return [
        (r * float(np.cos(a)), r * float(np.sin(a)), float(t))
        for r, a, t in zip(radius, angle, turn)
    ]


# What a piece is --------------------------------------------------------------------------


def balls(
    places: Places, size: float, main: Tint, other: Tint, rng: np.random.Generator
) -> list[Part]:
    """Round ones, flat to plump and round to oblong, with a tip of the other colour."""
    wide, high = rng.uniform(0.5, 1.0), rng.uniform(0.3, 0.9)
    tip = rng.uniform(0.25, 0.6)
    parts = []
    for x, y, turn in places:
        radii = (size, wide * size, high * size)
        parts.append(Part("ellipsoid", radii, (x, y, high * size), (0, 0, turn), main))
        top = (x, y, 1.75 * high * size)
        parts.append(Part("ellipsoid", (tip * size,) * 3, top, (0, 0, turn), other))
    return parts


def sticks(
    places: Places, size: float, main: Tint, other: Tint, rng: np.random.Generator
) -> list[Part]:
    """Long ones that lie, with an end of the other colour."""
    thick = rng.uniform(0.15, 0.4) * size
    parts = []
    for x, y, turn in places:
        c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        half = 0.9 * size - thick
        parts.append(Part("capsule", (thick, half), (x, y, thick), (0, 90, turn), main))
        end = (x + half * c, y + half * s, thick)
        parts.append(Part("ellipsoid", (1.25 * thick,) * 3, end, (0, 0, turn), other))
    return parts


def slices(
    places: Places, size: float, main: Tint, other: Tint, rng: np.random.Generator
) -> list[Part]:
    """Round slices with a core of the other colour."""
    thick, core = rng.uniform(0.003, 0.012), rng.uniform(0.3, 0.8)
    parts = []
    for i, (x, y, _) in enumerate(places):
        lift = thick + 0.002 * i  # so that none hides in another
        parts.append(Part("cylinder", (0.9 * size, thick), (x, y, lift), (0, 0, 0), main))
        parts.append(Part("cylinder", (core * size, thick), (x, y, lift + 0.001), (0, 0, 0), other))
    return parts


def blocks(
    places: Places, size: float, main: Tint, other: Tint, rng: np.random.Generator
) -> list[Part]:
    """Blocks of two layers."""
    length, width = rng.uniform(0.4, 0.75, 2) * size
    high, share = rng.uniform(0.2, 0.6) * size, rng.uniform(0.2, 0.8)
    lower, upper = share * high, (1.0 - share) * high
    parts = []
    for x, y, turn in places:
        at, above = (x, y, lower), (x, y, 2.0 * lower + upper)
        parts.append(Part("box", (length, width, lower), at, (0, 0, turn), main))
        parts.append(Part("box", (length, width, upper), above, (0, 0, turn), other))
    return parts


Form = Callable[[Places, float, Tint, Tint, np.random.Generator], list[Part]]
FORMS: tuple[Form, ...] = (balls, sticks, slices, blocks)
LAYOUTS: tuple[Callable[[int, np.random.Generator], Places], ...] = (ring, row, heap)
