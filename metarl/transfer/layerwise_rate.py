"""Rates layer by layer: what lies near the input is general, and moves least."""

from metarl.methods import Method
from metarl.transfer.config import LayerDecay
from metarl.transfer.imitation import taught
from metarl.transfer.reward import by_reward
from metarl.transfer.strategy import Strategy


class LayerwiseRate(Strategy):
    """Train everything, at rates that fall towards the input."""

    name = "layerwise-rate"
    doc = "train everything, at rates that fall towards the input"
    config = LayerDecay

    def rate(self, depth: int, progress: float) -> float:
        return self.settings.decay**depth


METHOD = Method(
    LayerwiseRate.doc,
    adapting=by_reward(LayerwiseRate),
    source="Howard and Ruder 2018, arXiv:1801.06146",
)
TAUGHT = taught(LayerwiseRate)
