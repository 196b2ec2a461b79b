"""Cooking task families on a seven-joint arm."""

from metarl_kitchen import add, heat, ingredients, season

__all__ = ["add", "heat", "ingredients", "season"]
