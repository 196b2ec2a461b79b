"""What the ingredients look like: small compounds of simple shapes, each with its colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Rgb = tuple[float, float, float]
Vec = tuple[float, ...]


@dataclass(frozen=True)
class Tint:
    """The colour of one material as it cooks.

    Attributes:
        raw: At doneness 0.
        golden: At doneness 0.5.
        burnt: At doneness 1.
    """

    raw: Rgb
    golden: Rgb
    burnt: Rgb

    @property
    def stops(self) -> np.ndarray:
        """The colours as RGB, raw, golden and burnt, (3, 3)."""
        return np.array([self.raw, self.golden, self.burnt])


@dataclass(frozen=True)
class Part:
    """One geom of an ingredient.

    Attributes:
        shape: ``ellipsoid``, ``capsule``, ``cylinder`` or ``box``.
        size: Half sizes as in MJCF [m].
        at: Position in the pan [m].
        turn: Rotations about x, then y, then z [degrees].
        tint: Its colours.
    """

    shape: str
    size: Vec
    at: Vec
    turn: Vec
    tint: Tint


CARROT = Tint((1.0, 0.45, 0.06), (0.72, 0.33, 0.06), (0.13, 0.07, 0.03))
CARROT_CORE = Tint((1.0, 0.62, 0.20), (0.78, 0.45, 0.12), (0.15, 0.08, 0.03))
STALK = Tint((0.25, 0.62, 0.16), (0.38, 0.42, 0.10), (0.08, 0.08, 0.03))
EGG_WHITE = Tint((0.98, 0.97, 0.93), (0.93, 0.76, 0.45), (0.17, 0.11, 0.07))
YOLK = Tint((1.0, 0.76, 0.06), (0.88, 0.52, 0.07), (0.16, 0.09, 0.02))
TOMATO = Tint((0.90, 0.10, 0.07), (0.63, 0.16, 0.06), (0.13, 0.04, 0.03))
LEAF = Tint((0.16, 0.55, 0.13), (0.33, 0.37, 0.08), (0.06, 0.07, 0.03))
STEM = Tint((0.86, 0.95, 0.74), (0.75, 0.66, 0.36), (0.15, 0.12, 0.06))
SKIN = Tint((0.93, 0.70, 0.60), (0.56, 0.26, 0.09), (0.10, 0.05, 0.03))
FAT = Tint((0.98, 0.90, 0.84), (0.85, 0.60, 0.30), (0.18, 0.11, 0.06))
MEAT = Tint((0.85, 0.36, 0.36), (0.52, 0.25, 0.13), (0.11, 0.06, 0.04))
TOFU = Tint((0.97, 0.95, 0.87), (0.87, 0.64, 0.27), (0.17, 0.11, 0.06))
CAP = Tint((0.80, 0.70, 0.58), (0.52, 0.34, 0.18), (0.11, 0.07, 0.05))
GILLS = Tint((0.94, 0.88, 0.78), (0.70, 0.50, 0.28), (0.15, 0.10, 0.06))
SHRIMP = Tint((0.66, 0.68, 0.70), (0.96, 0.50, 0.30), (0.17, 0.08, 0.05))
TAIL = Tint((0.42, 0.46, 0.52), (0.88, 0.28, 0.16), (0.14, 0.05, 0.04))


def carrot() -> list[Part]:
    """A carrot with its greens, and two slices."""
    radii = (0.021, 0.018, 0.0145, 0.010)
    body = [
        Part("capsule", (r, 0.013), (-0.035 + 0.027 * i, 0.014, 0.021), (0, 90, 0), CARROT)
        for i, r in enumerate(radii)
    ]
    greens = [
        Part("capsule", (0.0035, 0.018), (-0.077, 0.014 + 0.009 * k, 0.024), (0, 90, 25 * k), STALK)
        for k in (-1, 0, 1)
    ]
    slices = []
    for x, y in ((-0.012, -0.040), (0.034, -0.036)):
        slices.append(Part("cylinder", (0.019, 0.005), (x, y, 0.006), (8, 0, 0), CARROT))
        slices.append(Part("cylinder", (0.009, 0.0052), (x, y, 0.0066), (8, 0, 0), CARROT_CORE))
    return body + greens + slices


def egg() -> list[Part]:
    """A fried egg."""
    lobes = (
        (0.0, 0.0, 0.058),
        (0.030, 0.020, 0.040),
        (-0.032, 0.014, 0.040),
        (0.004, -0.034, 0.038),
    )
    white = [
        Part("ellipsoid", (r, 0.86 * r, 0.007), (x, y, 0.006), (0, 0, 0), EGG_WHITE)
        for x, y, r in lobes
    ]
    return [
        *white,
        Part("ellipsoid", (0.025, 0.025, 0.018), (0.004, 0.004, 0.013), (0, 0, 0), YOLK),
    ]


def tomato() -> list[Part]:
    """A tomato with its green star."""
    ball = Part("ellipsoid", (0.050, 0.050, 0.040), (0, 0, 0.040), (0, 0, 0), TOMATO)
    star = [
        Part(
            "ellipsoid",
            (0.016, 0.0045, 0.0025),
            (0.015 * np.cos(a), 0.015 * np.sin(a), 0.079),
            (0, 12, np.degrees(a)),
            STALK,
        )
        for a in np.arange(5) * 2.0 * np.pi / 5.0
    ]
    return [ball, *star, Part("capsule", (0.004, 0.007), (0, 0, 0.083), (0, 0, 0), STALK)]


def greens() -> list[Part]:
    """A fan of pale stems and dark leaves."""
    parts = []
    for angle in (-56.0, -28.0, 0.0, 28.0, 56.0):
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        lift = 0.010 + 0.006 * c
        stem, leaf = (-0.055 + 0.045 * c, 0.045 * s, lift), (-0.055 + 0.098 * c, 0.098 * s, lift)
        parts.append(Part("ellipsoid", (0.045, 0.011, 0.008), stem, (0, 0, angle), STEM))
        parts.append(Part("ellipsoid", (0.032, 0.024, 0.006), leaf, (14, -8, angle), LEAF))
    return parts


def pork() -> list[Part]:
    """Three cubes of pork belly, lying so that the layers show."""
    layers = ((0.005, SKIN), (0.005, FAT), (0.007, MEAT), (0.004, FAT), (0.006, MEAT))
    parts = []
    for x, y, angle in ((-0.036, -0.018, 20.0), (0.034, -0.024, -15.0), (0.002, 0.036, 50.0)):
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        along = -sum(half for half, _ in layers)
        for half, tint in layers:
            along += half
            at = (x + along * c, y + along * s, 0.024)
            parts.append(Part("box", (half, 0.027, 0.024), at, (0, 0, angle), tint))
            along += half
    return parts


def tofu() -> list[Part]:
    """Four white cubes."""
    places = (
        (-0.030, -0.030, 10.0),
        (0.032, -0.026, -20.0),
        (-0.026, 0.034, -8.0),
        (0.034, 0.036, 30.0),
    )
    return [
        Part("box", (0.025, 0.025, 0.020), (x, y, 0.020), (0, 0, a), TOFU) for x, y, a in places
    ]


def mushroom() -> list[Part]:
    """A mushroom lying on its side, and one cap."""
    return [
        Part("ellipsoid", (0.021, 0.044, 0.040), (-0.014, 0.012, 0.038), (0, 0, 15), CAP),
        Part("cylinder", (0.034, 0.005), (0.004, 0.017, 0.036), (0, 90, 15), GILLS),
        Part("capsule", (0.014, 0.024), (0.032, 0.024, 0.034), (0, 90, 15), GILLS),
        Part("ellipsoid", (0.034, 0.034, 0.022), (-0.012, -0.056, 0.018), (0, 0, 0), CAP),
    ]


def shrimp() -> list[Part]:
    """A curled shrimp with its tail fan."""
    parts = []
    for i, a in enumerate(np.radians(np.linspace(-40.0, 215.0, 8))):
        r = 0.023 - 0.0014 * i
        at = (0.042 * np.cos(a), 0.042 * np.sin(a), r)
        turn = (0, 0, np.degrees(a) + 90.0)
        parts.append(Part("ellipsoid", (0.62 * r, r, r), at, turn, SHRIMP if i % 2 else TAIL))
        parts.append(Part("ellipsoid", (0.8 * r, 0.93 * r, 0.93 * r), at, turn, SHRIMP))
    for k in (-1, 0, 1):
        at = (-0.030 + 0.012 * k, -0.044 + 0.004 * abs(k), 0.010)
        parts.append(Part("ellipsoid", (0.020, 0.008, 0.004), at, (0, 0, -75 + 28 * k), TAIL))
    return parts


MENU = {
    "carrot": carrot,
    "egg": egg,
    "greens": greens,
    "mushroom": mushroom,
    "pork": pork,
    "shrimp": shrimp,
    "tofu": tofu,
    "tomato": tomato,
}


@dataclass(frozen=True)
class Ware:
    """What a portion of usual size weighs, and what it costs at a market.

    Attributes:
        grams: Weight [g].
        euro_per_kg: Price [EUR/kg].
    """

    grams: float
    euro_per_kg: float


WARES = {
    "carrot": Ware(110.0, 1.5),
    "egg": Ware(55.0, 5.0),
    "greens": Ware(90.0, 4.0),
    "mushroom": Ware(70.0, 8.0),
    "pork": Ware(160.0, 12.0),
    "shrimp": Ware(80.0, 24.0),
    "tofu": Ware(140.0, 7.0),
    "tomato": Ware(120.0, 3.0),
}
