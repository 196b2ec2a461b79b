"""Cooking task families for arms with a gripper."""

from metarl_kitchen import add, cover, dishes, heat, ingredients, pour, robots, season

__all__ = ["add", "cover", "dishes", "heat", "ingredients", "pour", "robots", "season"]
