"""Cooking task families for arms with a gripper."""

from metarl_kitchen import (
    add,
    cover,
    dishes,
    flip,
    heat,
    ingredients,
    invented,
    pour,
    robots,
    season,
    serve,
    skills,
    soak,
    sprinkle,
    stir,
)

__all__ = [
    "add",
    "cover",
    "dishes",
    "flip",
    "heat",
    "ingredients",
    "invented",
    "pour",
    "robots",
    "season",
    "serve",
    "skills",
    "soak",
    "sprinkle",
    "stir",
]
