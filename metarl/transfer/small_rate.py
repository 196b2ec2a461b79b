"""A small rate: what was learned moves a little."""

from metarl.methods import Method
from metarl.transfer.imitation import taught
from metarl.transfer.reward import by_reward
from metarl.transfer.strategy import Strategy

STRATEGY = Strategy(
    "small-rate",
    start="pretrained",
    new_head=False,
    train_trunk=True,
    rate_scale=0.1,
    doc="train everything at a tenth the rate",
)
METHOD = Method(
    STRATEGY.doc, adapting=by_reward(STRATEGY), source="Howard and Ruder 2018, arXiv:1801.06146"
)
TAUGHT = taught(STRATEGY)
