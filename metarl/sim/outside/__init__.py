"""Environments of others, behind the face of `Worlds`."""

from metarl.sim.outside.family import OutsideFamily
from metarl.sim.outside.scene import OutsideScene

__all__ = ["OutsideFamily", "OutsideScene"]
