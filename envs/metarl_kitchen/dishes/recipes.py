"""What is cooked: ingredients, and dishes as sequences of skills with parameters."""

from __future__ import annotations

from dataclasses import dataclass

from metarl_kitchen.pantry import (
    CAP,
    CARROT,
    EGG_WHITE,
    LEAF,
    MEAT,
    SHRIMP,
    STEM,
    TOFU,
    TOMATO,
    Tint,
)

SKILLS = ("heat", "add", "stir", "season", "pour", "cover", "serve")
SHAPES = ("cube", "slice")
UNITS = {"heat": "", "season": "g", "pour": "ml"}  # of a step's amount, where it has one


@dataclass(frozen=True)
class Food:
    """A piece of food.

    Args:
        name: What it is.
        shape: How it is cut, one of `SHAPES`.
        tint: Its colours.
        want: Doneness at which it is best; 0 raw, 0.5 golden, 1 burnt.
        rate_1_s: Doneness that it gains in a second at full heat.
    """

    name: str
    shape: str
    tint: Tint
    want: float
    rate_1_s: float


@dataclass(frozen=True)
class Stage:
    """One step of a recipe.

    Args:
        skill: One of `SKILLS`.
        amount: Share of full heat, grams or millilitres; 0 where a skill has none.
        piece: Which of the dish's foods it is about, 0 or 1.
    """

    skill: str
    amount: float = 0.0
    piece: int = 0


@dataclass(frozen=True)
class Recipe:
    """A dish.

    Args:
        foods: The two pieces on the board.
        stages: Its steps, in order.
        held_out: Kept for `test`.
    """

    foods: tuple[Food, Food]
    stages: tuple[Stage, ...]
    held_out: bool = False

    def amount(self, skill: str) -> float:
        """How much of something the dish wants in all; 0 if it has no such step."""
        return sum(stage.amount for stage in self.stages if stage.skill == skill)


def _cube(name: str, tint: Tint, want: float, rate: float) -> Food:
    return Food(name, "cube", tint, want, rate)


def _slice(name: str, tint: Tint, want: float, rate: float) -> Food:
    return Food(name, "slice", tint, want, rate)


GREENS = _slice("greens", LEAF, 0.35, 0.06)
GARLIC = _cube("garlic", STEM, 0.40, 0.05)
PORK = _cube("pork", MEAT, 0.55, 0.07)
EGG = _cube("egg", EGG_WHITE, 0.40, 0.09)
TOMATO_PIECE = _slice("tomato", TOMATO, 0.45, 0.06)
TOFU_CUBE = _cube("tofu", TOFU, 0.50, 0.07)
CARROT_SLICE = _slice("carrot", CARROT, 0.45, 0.06)
MUSHROOM = _slice("mushroom", CAP, 0.45, 0.06)
SHRIMP_PIECE = _cube("shrimp", SHRIMP, 0.45, 0.07)

# What goes into a soup late is cut thin.
THIN_MUSHROOM = _slice("mushroom", CAP, 0.45, 0.11)
THIN_TOMATO = _slice("tomato", TOMATO, 0.45, 0.11)

_SERVE = (Stage("serve", piece=0), Stage("serve", piece=1))


def _fry(heat: float, grams: float) -> tuple[Stage, ...]:
    """Heat, add both, stir, season, serve."""
    return (
        Stage("heat", heat), Stage("add", piece=0), Stage("add", piece=1), Stage("stir"),
        Stage("season", grams), *_SERVE,
    )  # fmt: skip


def _braise(heat: float, ml: float, grams: float) -> tuple[Stage, ...]:
    """Heat, add both, pour, season, simmer under the lid, serve."""
    return (
        Stage("heat", heat), Stage("add", piece=0), Stage("add", piece=1), Stage("pour", ml),
        Stage("season", grams), Stage("cover"), *_SERVE,
    )  # fmt: skip


def _soup(heat: float, ml: float, grams: float) -> tuple[Stage, ...]:
    """Heat, pour, add one, stir, add the other, season, serve."""
    return (
        Stage("heat", heat), Stage("pour", ml), Stage("add", piece=0), Stage("stir"),
        Stage("add", piece=1), Stage("season", grams), *_SERVE,
    )  # fmt: skip


DISHES: dict[str, Recipe] = {
    "stir-fried-greens": Recipe((GARLIC, GREENS), _fry(0.65, 4.0)),
    "red-braised-pork": Recipe((PORK, MUSHROOM), _braise(0.60, 120.0, 5.0)),
    "carrot-and-tofu": Recipe((TOFU_CUBE, CARROT_SLICE), _fry(0.60, 3.0)),
    "pepper-shrimp": Recipe((SHRIMP_PIECE, GREENS), _fry(0.62, 6.0)),
    "mushroom-broth": Recipe((TOFU_CUBE, THIN_MUSHROOM), _soup(0.60, 180.0, 5.0)),
    "braised-tofu": Recipe((TOFU_CUBE, GREENS), _braise(0.55, 80.0, 4.0)),
    "glazed-carrots": Recipe((GARLIC, CARROT_SLICE), _braise(0.50, 60.0, 3.0)),
    "shrimp-soup": Recipe((SHRIMP_PIECE, THIN_TOMATO), _soup(0.60, 150.0, 4.0)),
    "tomato-egg-soup": Recipe((TOMATO_PIECE, EGG), _soup(0.65, 200.0, 5.0), held_out=True),
    "pork-with-greens": Recipe((PORK, GREENS), _fry(0.60, 5.0), held_out=True),
    "braised-egg": Recipe((EGG, CARROT_SLICE), _braise(0.44, 100.0, 4.0), held_out=True),
}
