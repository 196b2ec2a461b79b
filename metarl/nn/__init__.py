"""Trunks, heads and policies: every network is features + head."""

from metarl.nn.initialise import initialise, linear
from metarl.nn.network import Network, PartialLoad, load_partial
from metarl.nn.trunks import Mlp, SmallCnn

__all__ = ["Mlp", "Network", "PartialLoad", "SmallCnn", "initialise", "linear", "load_partial"]
