"""Whole dishes: recipes, the counter they are cooked on, and who judges them."""

from metarl_kitchen.dishes import family

__all__ = ["family"]
