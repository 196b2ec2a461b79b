"""The standard meta-RL families: a cheetah, an ant and a point, as published."""

from metarl_classic import ant, cheetah, point

__all__ = ["ant", "cheetah", "point"]
