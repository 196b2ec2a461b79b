"""Cooking task families on a seven-joint arm."""

from metarl_kitchen import ingredients, season

__all__ = ["ingredients", "season"]
