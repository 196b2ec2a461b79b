"""Cooking task families for arms with a gripper."""

from metarl_kitchen import add, heat, ingredients, robots, season

__all__ = ["add", "heat", "ingredients", "robots", "season"]
