"""Scratch: the honest baseline. Where it does as well, nothing was transferred."""

from metarl.methods import Method
from metarl.transfer.imitation import taught
from metarl.transfer.reward import by_reward
from metarl.transfer.strategy import Strategy


class Scratch(Strategy):
    """Forget everything; the honest baseline."""

    name = "scratch"
    doc = "forget everything; the honest baseline"
    start = "scratch"
    new_head = True


METHOD = Method(
    Scratch.doc, adapting=by_reward(Scratch), source="Schulman et al. 2017, arXiv:1707.06347"
)
TAUGHT = taught(Scratch)
