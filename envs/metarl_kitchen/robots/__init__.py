"""Arms of the kitchen: three of our own, and any other from its MJCF file."""

from metarl_kitchen.robots import gantry, panda, ur5e

__all__ = ["gantry", "panda", "ur5e"]
