"""Fine-tuning: go on training everything, as before."""

from metarl.methods import Method
from metarl.transfer.imitation import taught
from metarl.transfer.reward import by_reward
from metarl.transfer.strategy import Strategy


class FineTune(Strategy):
    """Go on training everything."""

    name = "fine-tune"
    doc = "go on training everything"


METHOD = Method(
    FineTune.doc, adapting=by_reward(FineTune), source="Schulman et al. 2017, arXiv:1707.06347"
)
TAUGHT = taught(FineTune)
