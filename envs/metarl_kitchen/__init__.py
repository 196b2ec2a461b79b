"""Cooking task families on a seven-joint arm."""

from metarl_kitchen import heat, ingredients, season

__all__ = ["heat", "ingredients", "season"]
