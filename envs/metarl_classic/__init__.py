"""The standard meta-RL families: a cheetah, an ant and a point, as published."""

from metarl_classic import ant, direction, point, velocity

__all__ = ["ant", "direction", "point", "velocity"]
