"""A frozen trunk: what was learned stays, a new head learns."""

from metarl.methods import Method
from metarl.transfer.imitation import taught
from metarl.transfer.reward import by_reward
from metarl.transfer.strategy import Strategy


class FrozenTrunk(Strategy):
    """Keep the trunk, learn a new head."""

    name = "frozen-trunk"
    doc = "keep the trunk, learn a new head"
    new_head = True

    def rate(self, depth: int, progress: float) -> float:
        return 0.0 if depth else 1.0


METHOD = Method(
    FrozenTrunk.doc, adapting=by_reward(FrozenTrunk), source="Yosinski et al. 2014, arXiv:1411.1792"
)
TAUGHT = taught(FrozenTrunk)
