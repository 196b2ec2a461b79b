"""A new head: what was learned is where everything but the head begins."""

from metarl.methods import Method
from metarl.transfer.imitation import taught
from metarl.transfer.reward import by_reward
from metarl.transfer.strategy import Strategy


class NewHead(Strategy):
    """Draw the head anew, train everything."""

    name = "new-head"
    doc = "draw the head anew, train everything"
    new_head = True


METHOD = Method(
    NewHead.doc, adapting=by_reward(NewHead), source="Yosinski et al. 2014, arXiv:1411.1792"
)
TAUGHT = taught(NewHead)
