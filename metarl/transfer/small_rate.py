"""A small rate: what was learned moves a little."""

from metarl.methods import Method
from metarl.transfer.imitation import taught
from metarl.transfer.reward import by_reward
from metarl.transfer.strategy import Strategy


class SmallRate(Strategy):
    """Train everything at a tenth the rate."""

    name = "small-rate"
    doc = "train everything at a tenth the rate"

    def rate(self, depth: int, progress: float) -> float:
        return 0.1


METHOD = Method(
    SmallRate.doc, adapting=by_reward(SmallRate), source="Howard and Ruder 2018, arXiv:1801.06146"
)
TAUGHT = taught(SmallRate)
