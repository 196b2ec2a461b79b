"""Scratch: the honest baseline. Where it does as well, nothing was transferred."""

from metarl.methods import Method
from metarl.transfer.imitation import taught
from metarl.transfer.reward import by_reward
from metarl.transfer.strategy import Strategy

STRATEGY = Strategy(
    "scratch",
    start="scratch",
    new_head=True,
    train_trunk=True,
    rate_scale=1.0,
    doc="forget everything; the honest baseline",
)
METHOD = Method(
    STRATEGY.doc, adapting=by_reward(STRATEGY), source="Schulman et al. 2017, arXiv:1707.06347"
)
TAUGHT = taught(STRATEGY)
