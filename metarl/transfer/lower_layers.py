"""Lower layers: what lies near the input is general, and all that is taken."""

from metarl.methods import Method
from metarl.transfer.config import Lowest
from metarl.transfer.imitation import taught
from metarl.transfer.reward import by_reward
from metarl.transfer.strategy import Strategy


class LowerLayers(Strategy):
    """Take the lowest layers, draw those above and the head anew, train everything."""

    name = "lower-layers"
    doc = "keep the lowest layers, draw the rest anew, train everything"
    new_head = True
    config = Lowest

    def takes(self, depth: int, last: int) -> bool:
        return depth > 0 and last - depth < self.settings.layers  # the head never


METHOD = Method(
    LowerLayers.doc, adapting=by_reward(LowerLayers), source="Yosinski et al. 2014, arXiv:1411.1792"
)
TAUGHT = taught(LowerLayers)
