"""Fine-tuning: go on training everything, as before."""

from metarl.methods import Method
from metarl.transfer.imitation import taught
from metarl.transfer.reward import by_reward
from metarl.transfer.strategy import Strategy

STRATEGY = Strategy(
    "fine-tune",
    start="pretrained",
    new_head=False,
    train_trunk=True,
    rate_scale=1.0,
    doc="go on training everything",
)
METHOD = Method(
    STRATEGY.doc, adapting=by_reward(STRATEGY), source="Schulman et al. 2017, arXiv:1707.06347"
)
TAUGHT = taught(STRATEGY)
