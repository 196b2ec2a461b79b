"""The dishes of a family as arrays, so that worlds with different dishes are one batch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from metarl_kitchen.dishes.counter import TOOLS
from metarl_kitchen.dishes.recipes import SHAPES, SKILLS, Recipe
from metarl_kitchen.dishes.state import REST, Now


class Menu:
    """D dishes, one row each; index rows by ``task.dish``.

    Args:
        dishes: Recipes by name.
    Attributes:
        names: Of the dishes.
        recipes: Their recipes.
        length: How many stages they have, (D,).
        skill: Of each stage, index into `SKILLS`; `REST` behind the last one, (D, S + 1).
        amount: What each stage asks for, (D, S + 1).
        piece: Which food each stage is about, (D, S + 1).
        heat: Share of full heat that they want, (D,).
        salt: Salt that they want [g], (D,).
        liquid: Liquid that they want [ml], 0 for none, (D,).
        want: Doneness at which each food is best, (D, 2).
        rate_1_s: Doneness that each food gains in a second at full heat, (D, 2).
        tint: Colours of each food, raw, golden and burnt, (D, 2, 3, 3).
        is_shape: Which of `SHAPES` each food has, (D, 2, number of shapes) bool.
        uses: Which skills with a tool they need, by skill, (D,) bool each.
        held_out: Kept for `test`, (D,) bool.
    """

    def __init__(self, dishes: Mapping[str, Recipe]):
        self.names, self.recipes = list(dishes), list(dishes.values())
        foods = [recipe.foods for recipe in self.recipes]
        self.length = np.array([len(recipe.stages) for recipe in self.recipes])
        self.skill = np.full((len(foods), self.length.max() + 1), REST)
        self.amount, self.piece = np.zeros(self.skill.shape), np.zeros(self.skill.shape, int)
        for d, recipe in enumerate(self.recipes):
            for s, stage in enumerate(recipe.stages):
                self.skill[d, s] = SKILLS.index(stage.skill)
                self.amount[d, s], self.piece[d, s] = stage.amount, stage.piece
        self.heat, self.salt, self.liquid = (
            np.array([recipe.amount(skill) for recipe in self.recipes])
            for skill in ("heat", "season", "pour")
        )
        self.want = np.array([[food.want for food in pair] for pair in foods])
        self.rate_1_s = np.array([[food.rate_1_s for food in pair] for pair in foods])
        self.tint = np.array([[food.tint.stops for food in pair] for pair in foods])
        self.is_shape = np.array([[[f.shape == s for s in SHAPES] for f in pair] for pair in foods])
        skills = [{stage.skill for stage in recipe.stages} for recipe in self.recipes]
        self.uses = {skill: np.array([skill in own for own in skills]) for skill in TOOLS}
        self.held_out = np.array([recipe.held_out for recipe in self.recipes])

    def at(self, dish: np.ndarray, stage: np.ndarray) -> Now:
        """What dishes are about at a stage of each, (N,) both."""
        here = (dish, stage)
        return Now(stage, self.skill[here], self.amount[here], self.piece[here])
